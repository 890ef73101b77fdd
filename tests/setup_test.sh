#!/usr/bin/env bash
# cmake/setup.sh --llama PATH: copies the folder, keeps to it, builds again after a change, and refuses what is no llama.cpp. A
# stand-in for cmake puts what an installation has where it belongs; building the real one takes minutes.
set -euo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "setup_test: $*" >&2
  cat "$work/log" >&2
  exit 1
}
setup() {
  PATH=$work/bin:$PATH bash "$work/namm/cmake/setup.sh" --llama-only "$@" > "$work/log" 2>&1
}
builds() {
  wc -l < "$work/builds"
}

mkdir -p "$work/bin" "$work/namm/cmake" "$work/namm/adapters/llama_cpp/version" "$work/mine/include" "$work/mine/ggml/src"
cp "$tree/cmake/setup.sh" "$work/namm/cmake/"
cp "$tree/adapters/llama_cpp/version/pinned.bash" "$work/namm/adapters/llama_cpp/version/"
echo 'header of mine' > "$work/mine/ggml/src/ggml-backend-impl.h"
touch "$work/mine/include/llama.h" "$work/mine/LICENSE" "$work/builds"
rm -rf
cat > "$work/bin/cmake" <<'STAND_IN'
#!/usr/bin/env bash
case $1 in
  --install) exit 0 ;;
  --build) exit 0 ;;
esac
for word in "$@"; do
  case $word in
    -DCMAKE_INSTALL_PREFIX=*)
      mkdir -p "${word#*=}/include" "${word#*=}/lib/pkgconfig"
      touch "${word#*=}/lib/pkgconfig/llama.pc"
      echo built >> "$(dirname "$0")/../builds"
      ;;
  esac
done
STAND_IN
chmod +x "$work/bin/cmake"

code=0
setup --llama "$work/bin" || code=$?
((code == 2)) || fail "a folder without llama.cpp must be refused with code 2, was $code"
grep -q 'needs a llama.cpp source folder' "$work/log" || fail "the refusal must say what is needed"

setup --llama "$work/mine" || fail "must build"
[[ $(<"$work/namm/build/llama/include/ggml-backend-impl.h") == 'header of mine' ]] || fail "must be of the folder that was given"
[[ $(builds) == 1 ]] || fail "must build once"
[[ -z $(find "$work/mine" -newer "$work/log" -print -quit) && ! -e $work/mine/build ]] || fail "must not change the folder"

setup || fail "a later call must do nothing"
grep -q "build/llama is of $work/mine and stays so" "$work/log" || fail "must say whose llama.cpp it is"
setup --llama "$work/mine" || fail "must find it built"
[[ $(builds) == 1 ]] || fail "must not build again what has not changed"

echo 'another header' > "$work/mine/ggml/src/ggml-backend-impl.h"
setup || fail "must keep what is there"
[[ $(builds) == 1 ]] || fail "a change is built when --llama is given again, not before"
setup --llama "$work/mine" || fail "must build after a change"
[[ $(builds) == 2 && $(<"$work/namm/build/llama/include/ggml-backend-impl.h") == 'another header' ]] || fail "must build the change"

touch "$work/archive"
code=0
setup --llama "$work/mine" --archive "$work/archive" || code=$?
((code == 2)) || fail "--archive and --llama exclude each other"
for with in "--llama $work/mine" --packages-only; do
  code=0
  # shellcheck disable=SC2086  # an option and its value
  PATH=$work/bin:$PATH bash "$work/namm/cmake/setup.sh" --cuda $with > "$work/log" 2>&1 || code=$?
  ((code == 2)) || fail "--cuda and $with exclude each other"
done
echo "setup_test: passed"
