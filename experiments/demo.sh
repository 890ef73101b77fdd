#!/usr/bin/env bash
# One long chat on the real llama-server: alone, with namm attached and everything kept, and with a policy that keeps a quarter. Draws memory over time,
# rates and answers side by side on one page. Takes 98 seconds on two free cores behind the set-up; nothing is downloaded or installed.
set -euo pipefail

usage() {
  cat <<'HELP'
usage: bash experiments/demo.sh [--output DIR] [--policy FILE] [--budget B] [--context N] [--threads N]

  --output DIR    new folder for page, record, logs and policy (default: build/demo, build/demo-2, ...)
  --policy FILE   a policy, or a name (h2o-mean, default, ...), in place of one that is fitted first, on 12 short texts
  --budget B      what is kept (default 25%)
  --context N     -c of every server (default 8192)
  --threads N     of every server (default: all cores)
HELP
}

output='' policy='' budget=25% context=8192 threads=$(nproc)
while (($#)); do
  case $1 in
    --output | --policy | --budget | --context | --threads)
      [[ -n ${2:-} ]] || { echo "demo: $1 needs a value" >&2; exit 2; }
      declare "${1#--}=$2"
      [[ $1 != --output && ! ( $1 == --policy && -e $2 ) ]] || declare "${1#--}=$(realpath -m "$2")"
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    *) echo "demo: unknown option '$1' (see --help)" >&2; exit 2 ;;
  esac
  shift
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${BUILD:-build/release}
namm=$build/namm server=build/llama/bin/llama-server
small=build/models/SmolLM2-135M-Instruct.Q4_1.gguf model=build/models/SmolLM2-135M-Instruct.Q8_0.gguf
requantize=$build/experiments/models/namm_requantize
missing=()
[[ -x $server ]] || missing+=("llama-server: bash cmake/setup.sh --with-server")
[[ -x $namm ]] || missing+=("the program: cmake --preset release && cmake --build --preset release --target namm")
[[ -e $model || -e $small ]] || missing+=("the model: bash experiments/models/fetch_smollm2.sh")
if ((${#missing[@]})); then
  echo "demo: the set-up is not complete; run what follows, then this again" >&2
  printf '  %s\n' "${missing[@]}" >&2
  exit 1
fi

if [[ -z $output ]]; then
  output=build/demo
  for ((i = 2; ; i++)); do
    [[ -e $output ]] || break
    output=build/demo-$i
  done
fi
[[ ! -e $output ]] || { echo "demo: $output exists; choose a new folder with --output" >&2; exit 1; }
mkdir -p "$output"

SECONDS=0
if [[ ! -e $model ]]; then
  [[ -x $requantize ]] || cmake --build "$build" --target namm_requantize
  "$requantize" "$small" "$model"
fi
if [[ -z $policy ]]; then
  echo "== fitting a policy to the model: 12 made-up texts (namm calibrate takes 60 and longer ones by default, and about four minutes)"
  "$namm" calibrate --no-keep --model "$model" --output "$output/policy" --texts 12 --length 512 --workers "$threads" --quiet
  policy=$output/policy/policy.json
fi
echo "== the same chat on three servers, turn by turn"
python3 experiments/demo/demo.py --namm "$namm" --server "$server" --model "$model" --policy "$policy" --budget "$budget" --context "$context" \
  --threads "$threads" --output "$output"
echo "== done in $SECONDS s: open $output/demo.html"
