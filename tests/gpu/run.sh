#!/usr/bin/env bash
# Caches in device memory on a real GPU: the tests that otherwise run on an emulated device (tests/device), some of them under
# compute-sanitizer, too, then rates and memory beside llama.cpp alone. Under 8 minutes after the build.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

usage() {
  cat <<'HELP'
usage: bash tests/gpu/run.sh [--build FOLDER] [--llama PREFIX] [--model FILE] [--only PART,...] [--repetitions N] [--build-only]

  --build FOLDER    where to build (default: build/gpu). What is there already is not built again
  --llama PREFIX    a llama.cpp installed with CUDA, its programs in PREFIX/bin (default: build/llama; without CUDA there, it is
                    built anew: cmake/setup.sh --with-server --cuda)
  --model FILE      for rates (default: a model of the shape of Llama 3.1 8B with random weights, made in /dev/shm; needs numpy and
                    gguf, `pip install gguf`)
  --only PART,...   device, sanitizer, rates (default: all)
  --repetitions N   of the rates (default: 2)
  --build-only      build for the GPUs in NAMM_CUDA_ARCHITECTURES (90 by default), which need not be here, and stop

Needs the packages of cmake/setup.sh and the CUDA toolkit. FOLDER/report gets what each part said, and rates.json.
HELP
}

fail() {
  echo "gpu: $*" >&2
  exit 1
}

build=$root/build/gpu llama=$root/build/llama model='' parts=device,sanitizer,rates repetitions=2 only=0
while (($#)); do
  case $1 in
    --build) build=${2:?a folder}; shift ;;
    --llama) llama=${2:?a folder}; shift ;;
    --model) model=${2:?a file}; shift ;;
    --only) parts=${2:?parts}; shift ;;
    --repetitions) repetitions=${2:?a number}; shift ;;
    --build-only) only=1 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "gpu: unknown option '$1' (see --help)" >&2; exit 2 ;;
  esac
  shift
done

for name in ${parts//,/ }; do
  [[ ,device,sanitizer,rates, == *,$name,* ]] || { echo "gpu: --only must name device, sanitizer or rates, has '$name'" >&2; exit 2; }
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

if [[ ! -x $build/tests/device/namm_test_device ]]; then
  command -v nvcc > /dev/null || fail "nvcc must be there to build for CUDA, is not; install the CUDA toolkit, or bring $build from where it is"
  if [[ $llama == "$root/build/llama" ]]; then
    NAMM_CUDA_ARCHITECTURES=$architectures bash "$root/cmake/setup.sh" --with-server --cuda
  elif ! compgen -G "$llama/lib/libggml-cuda.so*" > /dev/null || [[ ! -x $llama/bin/llama-batched-bench ]]; then
    fail "--llama must be an installed llama.cpp with CUDA and llama-batched-bench in its bin, is $llama; build it with GGML_CUDA=ON"
  fi
  mkdir -p "$build"
  if ! {
    cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release "-DCMAKE_PREFIX_PATH=$llama" &&
      cmake --build "$build" --target namm_test_device namm namm_preload namm_module
  } > "$build.log" 2>&1; then
    tail -n 20 "$build.log" >&2
    fail "the build failed; all of it is in $build.log"
  fi
fi
if ((only)); then
  echo "gpu: built for CUDA architecture $architectures; run 'bash tests/gpu/run.sh --build $build' where a GPU is"
  exit 0
fi

report=$build/report failed=()
mkdir -p "$report"
# runs a part, if it is wanted, and keeps what it says
part() {
  local name=$1
  shift
  [[ ,$parts, == *,$name,* ]] || return 0
  echo "gpu: $name"
  local began=$SECONDS status=0
  "$@" > "$report/$name.txt" 2>&1 || status=$?
  tail -n 8 "$report/$name.txt"
  echo "gpu: $name took $((SECONDS - began)) s"
  ((status == 0)) || failed+=("$name ($status)")
}

# What counts an emulated device's bytes or is about that device itself stays out; two devices are used where there are two.
part device env NAMM_TEST_GPU=1 timeout 300 "$build/tests/device/namm_test_device" '~[emulated]~[memory]' --durations yes
# ggml's kernels on tensors and masks of ours: no access beyond them
part sanitizer env NAMM_TEST_GPU=1 timeout 120 compute-sanitizer --error-exitcode 1 "$build/tests/device/namm_test_device" '[api],[saved]'
rates() {
  local probe=/dev/shm/namm-random-probe.json
  if [[ -z $model ]]; then
    model=/dev/shm/namm-random-8b.gguf
    [[ -f $model && -f $probe ]] || python3 "$root/tests/gpu/random_model.py" --model "$model" --policy "$probe" || return
    policies=streaming,$probe,h2o-mean
  fi
  python3 "$root/tests/gpu/rates.py" --namm "$build/namm" --bench "$llama/bin/llama-batched-bench" --model "$model" \
    --policies "${policies:-streaming,h2o-mean}" --repetitions "$repetitions" --out "$report/rates.json"
}
part rates rates

((${#failed[@]} == 0)) || fail "failed on $gpus: ${failed[*]}; what they said is in $report"
echo "gpu: all parts passed on $gpus; report in $report"
