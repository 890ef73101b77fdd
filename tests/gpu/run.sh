#!/usr/bin/env bash
# Caches in device memory on a real GPU: builds the runtime with its CUDA backend, then runs the tests that otherwise run on an
# emulated device (tests/device) on the GPUs of this machine, in at most 8 minutes.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# the version: llama_package, llama_version, llama_sha256
source "$root/adapters/llama_cpp/version/pinned.bash"

usage() {
  cat <<'HELP'
usage: bash tests/gpu/run.sh [--build FOLDER] [--source LLAMA] [--build-only]

  --build FOLDER   where to build (default: build/gpu). What is there already is not built again
  --source LLAMA   a source folder of llama.cpp (default: the pinned version, downloaded to build/gpu-llama)
  --build-only     build for the GPUs in NAMM_CUDA_ARCHITECTURES (90 by default), which need not be here, and stop

Needs the packages of cmake/setup.sh and the CUDA toolkit. The build takes long: CUDA's flash attention has many kernels.
HELP
}

fail() {
  echo "gpu: $*" >&2
  exit 1
}

build=$root/build/gpu source='' only=0
while (($#)); do
  case $1 in
    --build) build=${2:?a folder}; shift ;;
    --source) source=${2:?a folder}; shift ;;
    --build-only) only=1 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "gpu: unknown option '$1' (see --help)" >&2; exit 2 ;;
  esac
  shift
done

architectures=${NAMM_CUDA_ARCHITECTURES:-90}
if ((!only)); then
  gpus=$(nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader 2> /dev/null) || gpus=''
  [[ $gpus ]] ||
    fail "there must be a GPU that nvidia-smi lists, is none; nothing was built or run (docs/gpu.md says what is known without one)"
  echo "gpu: $gpus"
  architectures=native
fi
export PATH=$PATH:/usr/local/cuda/bin
tests=$build/tests/device/namm_test_device

if [[ ! -x $tests ]]; then
  command -v nvcc > /dev/null || fail "nvcc must be there to build for CUDA, is not; install the CUDA toolkit, or bring $build from where it is"
  if [[ -z $source ]]; then
    source=$root/build/gpu-llama/vendor/llama.cpp
    if [[ ! -f $source/include/llama.h ]]; then
      mkdir -p "$root/build/gpu-llama"
      echo "$llama_package==$llama_version --hash=sha256:$llama_sha256" > "$root/build/gpu-llama/requirements.txt"
      python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary "$llama_package" --require-hashes \
        --requirement "$root/build/gpu-llama/requirements.txt" --dest "$root/build/gpu-llama" < /dev/null ||
        fail "download of $llama_package $llama_version failed; give a source folder with --source"
      tar -xzf "$root"/build/gpu-llama/*.tar.gz -C "$root/build/gpu-llama" --strip-components=1 --no-same-owner
    fi
  fi
  mkdir -p "$build"
  if ! {
    cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_UNITY_BUILD=OFF "-DNAMM_LLAMA_SOURCE=$source" \
      -DGGML_CUDA=ON "-DCMAKE_CUDA_ARCHITECTURES=$architectures" -DBUILD_SHARED_LIBS=ON &&
      cmake --build "$build" --target namm_test_device
  } > "$build.log" 2>&1; then
    tail -n 20 "$build.log" >&2
    fail "the build failed; all of it is in $build.log"
  fi
fi
if ((only)); then
  echo "gpu: built $tests for CUDA architecture $architectures; run 'bash tests/gpu/run.sh --build $build' where a GPU is"
  exit 0
fi

# What counts bytes or is about the emulated device itself stays out; two devices are used where there are two.
status=0
NAMM_TEST_GPU=1 timeout 480 "$tests" '~[emulated]~[memory]' --durations yes | tee "$build/device-tests.txt" || status=$?
case $status in
  0) echo "gpu: all tests passed on $gpus" ;;
  124) fail "the tests took more than 8 minutes; what was done is in $build/device-tests.txt" ;;
  *) fail "tests failed on $gpus; see $build/device-tests.txt" ;;
esac
