#!/usr/bin/env bash
# Makes a bare Debian 12 (or newer, or Ubuntu 24.04 or newer) machine able to build this project:
# installs the missing packages, then builds the pinned llama.cpp into build/llama. Run again, it does nothing.
# With --with-server also llama-server and its like, linked to that library, into build/llama/bin.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# the version: llama_package, llama_version, llama_sha256
source "$root/adapters/llama_cpp/version/pinned.bash"

usage() {
  cat <<'HELP'
usage: bash cmake/setup.sh [--packages-only | --llama-only] [--with-server] [--with-clang] [--cuda] [--archive FILE | --llama PATH]

  --packages-only   install the missing system packages and stop
  --llama-only      build llama.cpp into build/llama and leave the system packages alone
  --with-server     build llama-server, llama-cli, llama-completion, llama-bench and llama-batched-bench, too, into
                    build/llama/bin (10 to 15 minutes on two cores); a library that is there already stays as it is
  --with-clang      install Clang with its sanitizers and OpenMP, too: what the presets `tsan` and `fuzz` are built with
  --cuda            build llama.cpp with its CUDA backend for the GPUs of this machine (or, without one, for those in
                    NAMM_CUDA_ARCHITECTURES, 90 for example); needs the CUDA toolkit, takes up to an hour on two cores. Later calls
                    keep it until `--llama pinned`
  --archive FILE    take llama.cpp from this copy of the pinned source package (checked) instead of downloading it
  --llama PATH      build this llama.cpp of yours, a source folder of any version, instead of the pinned one. It is copied, not
                    changed. Later calls keep it until `--llama pinned`; after a change in it, give it again

llama.cpp is built with GGML_NATIVE=ON: for the processor of this machine only.
HELP
}

fail() {
  echo "setup: $*" >&2
  exit 1
}

packages=1 llama=1 server=0 clang=0 cuda=0 archive='' checkout=''
while (($#)); do
  case $1 in
    --packages-only) llama=0 ;;
    --llama-only) packages=0 ;;
    --with-server) server=1 ;;
    --with-clang) clang=1 ;;
    --cuda) cuda=1 ;;
    --archive)
      archive=${2:-}
      [[ -f $archive ]] || { echo "setup: --archive needs an existing file, got '$archive'" >&2; exit 2; }
      archive=$(realpath "$archive")
      shift
      ;;
    --llama)
      checkout=${2:-}
      if [[ $checkout != pinned ]]; then
        [[ -f $checkout/ggml/src/ggml-backend-impl.h && -f $checkout/include/llama.h ]] ||
          { echo "setup: --llama needs a llama.cpp source folder (with include/llama.h and ggml/src/ggml-backend-impl.h) or 'pinned', got '$checkout'" >&2; exit 2; }
        checkout=$(realpath "$checkout")
      fi
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    *) echo "setup: unknown option '$1' (see --help)" >&2; exit 2 ;;
  esac
  shift
done
((packages || !clang)) || { echo "setup: --llama-only and --with-clang exclude each other" >&2; exit 2; }
((llama || !server)) || { echo "setup: --packages-only and --with-server exclude each other" >&2; exit 2; }
[[ -z $checkout ]] || { ((llama)) && [[ -z $archive ]]; } || { echo "setup: --llama excludes --packages-only and --archive" >&2; exit 2; }
if ((cuda)); then
  [[ -z $checkout ]] || { echo "setup: --cuda and --llama exclude each other; a llama.cpp of yours is built with CUDA by yourself" >&2; exit 2; }
  ((llama)) || { echo "setup: --packages-only and --cuda exclude each other" >&2; exit 2; }
fi
((packages || llama)) || { echo "setup: --packages-only and --llama-only exclude each other" >&2; exit 2; }

prefix=$root/build/llama
stamp=$prefix/pinned-version
wanted="$llama_package $llama_version sha256 $llama_sha256"

# Of a checkout: files that take part in the build, by name, size and time.
source_files() {
  (cd "$checkout" && find . \( -name .git -o -path './build*' -o -path './models' \) -prune -o -type f -print0)
}
fingerprint() {
  (cd "$checkout" && source_files | sort -z | xargs -0 stat --format '%n %s %y' | sha256sum | cut -c 1-16)
}

if [[ -z $checkout && -z $archive && $cuda == 0 && -f $stamp && $(<"$stamp") == checkout\ * ]]; then
  read -r _ _ checkout < "$stamp"
  echo "setup: build/llama is of $checkout and stays so ('--llama pinned' goes back to the pinned version)"
  if [[ -e $prefix/bin/pinned-version || $server == 0 ]]; then
    wanted=$(<"$stamp")  # whatever has changed in it since
  elif [[ ! -d $checkout ]]; then
    fail "$checkout is not there any more; give '--llama PATH', or '--llama pinned'"
  fi
fi
if [[ $checkout == pinned ]]; then
  checkout=''
elif [[ -z $checkout ]] && { ((cuda)) || [[ -f $stamp && $(<"$stamp") == "$llama_package "*' cuda' ]]; }; then
  wanted+=' cuda'
  cuda=1
elif [[ -n $checkout && $wanted != checkout\ * ]]; then
  wanted="checkout $(fingerprint) $checkout"
fi

# The programs have a stamp of their own: a tree that has only the library gets just them.
programs=(llama-server llama-cli llama-completion llama-bench llama-batched-bench)

llama_present() {
  [[ -f $stamp && $(<"$stamp") == "$wanted" ]]
}
server_present() {
  [[ -f $prefix/bin/pinned-version && $(<"$prefix/bin/pinned-version") == "$wanted" ]]
}
all_present() {
  llama_present && { ((!server)) || server_present; }
}

# Whether what the presets need can be compiled and linked.
clang_is_whole() {
  local place
  place=$(mktemp -d)
  echo 'int main() {}' > "$place/main.cpp"
  clang++ -fsanitize=address,undefined -fopenmp "$place/main.cpp" -o "$place/main" 2> /dev/null &&
    clang++ -fsanitize=thread "$place/main.cpp" -o "$place/main" 2> /dev/null
  local code=$?
  rm -rf "$place"
  return "$code"
}

install_packages() {
  local needed=(ca-certificates catch2 libboost-dev libboost-program-options-dev libeigen3-dev libhwy-dev
    libopenblas-serial-dev libspdlog-dev nlohmann-json3-dev libopenmpi-dev openmpi-bin)
  # A tool from elsewhere serves as well as the package.
  command -v cmake > /dev/null || needed+=(cmake)
  command -v ninja > /dev/null || needed+=(ninja-build)
  command -v c++ > /dev/null || needed+=(g++)
  command -v git > /dev/null || needed+=(git)
  if ((clang)) && ! clang_is_whole; then
    needed+=(clang libclang-rt-dev libomp-dev)
  fi
  if ((llama)) && [[ -z $archive && -z $checkout ]] && ! all_present; then
    python3 -m pip --version > /dev/null 2>&1 || needed+=(python3-pip)
  fi

  if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null; then
    echo "setup: no apt-get here, so nothing is installed; Debian's names for what is needed: ${needed[*]}" >&2
    return
  fi
  local missing=() package
  for package in "${needed[@]}"; do
    # shellcheck disable=SC2016  # dpkg's own placeholder
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null) == installed ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0

  local as_root=()
  if ((EUID != 0)); then
    command -v sudo > /dev/null || fail "missing packages and no right to install them; as root: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  echo "setup: installing ${missing[*]}"
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
}

check_cmake() {
  local version
  version=$(cmake --version | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p')
  [[ $(printf '%s\n' 3.25 "$version" | sort -V | head -n 1) == 3.25 ]] ||
    fail "CMake 3.25 or newer is needed, found $version; Debian 12 and Ubuntu 24.04 have it"
}

partial=$root/build/llama.partial
source=$partial/package/vendor/llama.cpp

# One set-up at a time; what it leaves unfinished is removed.
begin() {
  mkdir -p "$root/build"
  exec 9> "$root/build/.setup.lock"
  if ! flock -n 9; then
    echo "setup: waiting for another set-up in this folder"
    flock 9
  fi
  rm -rf "$partial"
  mkdir -p "$partial"
  trap 'rm -rf "$partial"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

unpack_source() {
  if [[ -n $checkout ]]; then
    echo "setup: copying $checkout"
    mkdir -p "$source"
    source_files | tar -C "$checkout" --null --files-from=- -cf - | tar -xf - -C "$source"
    return
  fi
  if [[ -z $archive ]]; then
    echo "setup: downloading $llama_package $llama_version (76 MB)"
    # pip compares the hash before it looks into the package
    echo "$llama_package==$llama_version --hash=sha256:$llama_sha256" > "$partial/requirements.txt"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary "$llama_package" --require-hashes \
      --requirement "$partial/requirements.txt" --dest "$partial" < /dev/null ||
      fail "download of $llama_package $llama_version failed; with a copy at hand: bash cmake/setup.sh --archive FILE"
    archive=$(echo "$partial"/*.tar.gz)
  fi
  echo "$llama_sha256  $archive" | sha256sum --check --status - 2> /dev/null ||
    fail "$archive is not $llama_package $llama_version: SHA-256 is not $llama_sha256"
  mkdir "$partial/package"
  tar -xzf "$archive" -C "$partial/package" --strip-components=1 --no-same-owner
}

# Builds in build/llama.partial and renames at the end: build/llama is whole or absent at every instant.
build_llama() {
  if ((cuda)); then
    export PATH=$PATH:/usr/local/cuda/bin
    command -v nvcc > /dev/null || fail "--cuda needs nvcc, which is not on the PATH; install the CUDA toolkit, or give '--llama pinned'"
  fi
  echo "setup: building llama.cpp (minutes; log in build/llama.log)"
  # llama.cpp asks git for its version and would find this repository's
  local log=$root/build/llama.log
  local commit=() backends=()
  if ((cuda)); then
    backends=(-DGGML_CUDA=ON -DGGML_CUDA_NCCL=OFF "-DCMAKE_CUDA_ARCHITECTURES=${NAMM_CUDA_ARCHITECTURES:-native}")
  fi
  if [[ -n $checkout && -e $checkout/.git ]]; then
    commit=("-DLLAMA_BUILD_COMMIT=$(git -C "$checkout" rev-parse --short HEAD)" "-DLLAMA_BUILD_NUMBER=$(git -C "$checkout" rev-list --count HEAD)")
  fi
  if ! {
    GIT_CEILING_DIRECTORIES=$root/build cmake -S "$source" -B "$partial/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
      -DCMAKE_INSTALL_PREFIX="$partial/install" -DCMAKE_INSTALL_LIBDIR=lib "-DCMAKE_INSTALL_RPATH=\$ORIGIN" \
      -DBUILD_SHARED_LIBS=ON -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_TOOLS=OFF \
      -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_OPENSSL=OFF \
      -DLLAMA_BUILD_IS_DEV=OFF -DGGML_NATIVE=ON -DGGML_OPENMP=ON "${commit[@]}" \
      "${backends[@]}" &&
      cmake --build "$partial/build" &&
      cmake --install "$partial/build"
  } > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "building llama.cpp failed; the whole log: build/llama.log"
  fi
  # not installed by llama.cpp; a ggml backend cannot be written without it
  cp "$source/ggml/src/ggml-backend-impl.h" "$partial/install/include/"
  cp "$source/LICENSE" "$partial/install/LICENSE"
  # its own folders, wherever it is moved
  sed -i -e 's|^prefix=.*|prefix=${pcfiledir}/../..|' -e 's|^exec_prefix=.*|exec_prefix=${prefix}|' \
    -e 's|^libdir=.*|libdir=${prefix}/lib|' -e 's|^includedir=.*|includedir=${prefix}/include|' "$partial/install/lib/pkgconfig/"*.pc
  echo "$wanted" > "$partial/install/pinned-version"

  if [[ -e $prefix ]]; then
    mv "$prefix" "$partial/replaced"
  fi
  mv "$partial/install" "$prefix"
  echo "setup: llama.cpp is in build/llama"
}

# The programs, linked to the library in build/llama, which is not built again: in the unpacked source, `llama` and `ggml` become
# the installed ones. Whole or absent, too.
build_server() {
  echo "setup: building ${programs[*]} (log in build/llama-server.log)"
  cat > "$source/src/CMakeLists.txt" <<INSTALLED
add_library(llama INTERFACE)
target_include_directories(llama INTERFACE "$prefix/include")
target_link_libraries(llama INTERFACE "$prefix/lib/libllama.so" "$prefix/lib/libggml.so" "$prefix/lib/libggml-cpu.so" "$prefix/lib/libggml-base.so")
INSTALLED
  local log=$root/build/llama-server.log
  if ! {
    GIT_CEILING_DIRECTORIES=$root/build cmake -S "$source" -B "$partial/server" -G Ninja -DCMAKE_BUILD_TYPE=Release \
      -DCMAKE_PREFIX_PATH="$prefix" -DLLAMA_USE_SYSTEM_GGML=ON -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_COMMON=ON -DLLAMA_BUILD_TOOLS=ON \
      -DLLAMA_BUILD_SERVER=ON -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF \
      -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_IS_DEV=OFF -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON \
      "-DCMAKE_INSTALL_RPATH=\$ORIGIN/../lib" &&
      cmake --build "$partial/server" --target "${programs[@]}"
  } > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "building llama-server failed; the whole log: build/llama-server.log"
  fi
  mkdir "$partial/programs"
  local program
  for program in "${programs[@]}"; do
    install -s "$partial/server/bin/$program" "$partial/programs/"
  done
  echo "$wanted" > "$partial/programs/pinned-version"
  if [[ -e $prefix/bin ]]; then
    mv "$prefix/bin" "$partial/replaced-programs"
  fi
  mv "$partial/programs" "$prefix/bin"
  echo "setup: ${programs[*]} are in build/llama/bin"
}

if [[ -e $prefix/bin ]]; then
  server=$llama  # they go with the library they were built for
fi
if ((packages)); then
  install_packages
  check_cmake
fi
if ((llama)) && ! all_present; then
  begin
  if ! all_present; then  # the set-up that was waited for may have made it
    unpack_source
    if ! llama_present; then
      build_llama
    fi
    if ((server)); then
      build_server
    fi
  fi
fi
echo "setup: all that is needed is there"
