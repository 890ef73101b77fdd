#!/usr/bin/env bash
# The whole loop on the embedded host model: installs what is missing, builds the program, evolves a memory policy with CMA-ES,
# and compares it with the baselines on prompts that evolution never saw.
set -euo pipefail

usage() {
  cat <<'HELP'
usage: bash experiments/quickstart.sh [--output DIR] [--seed N]

  --output DIR   new folder for the run, the results and the report (default: build/quickstart, build/quickstart-2, ...)
  --seed N       seed of the evolution (default 1)
HELP
}

output='' seed=1
while (($#)); do
  case $1 in
    --output | --seed)
      [[ -n ${2:-} ]] || { echo "quickstart: $1 needs a value" >&2; exit 2; }
      if [[ $1 == --output ]]; then output=$(realpath -m "$2"); else seed=$2; fi
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    *) echo "quickstart: unknown option '$1' (see --help)" >&2; exit 2 ;;
  esac
  shift
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ -z $output ]]; then
  output=$PWD/build/quickstart
  for ((i = 2; ; i++)); do
    [[ -e $output ]] || break
    output=$PWD/build/quickstart-$i
  done
fi
[[ ! -e $output ]] || { echo "quickstart: $output exists; choose a new folder with --output" >&2; exit 1; }
mkdir -p "$output"

SECONDS=0
bash cmake/setup.sh
cmake --preset release
cmake --build --preset release --target namm
built=$SECONDS
echo "== set-up and build: $built s"

namm=$PWD/build/release/namm
model=$PWD/experiments/hosts/jamba-recall.gguf
workers=$(nproc)
cd "$output"

echo "== evolving a policy that keeps 25 % of the cache (CMA-ES)"
"$namm" evolve --model "$model" --output run --seed "$seed" --features light --strategy cma --budget 25% \
  --interval 128 --length 300,600 --generations 10 --workers "$workers"

echo "== the policy beside the baselines, on prompts evolution never saw"
"$namm" eval --model "$model" --policy full,random,streaming,h2o,h2o-mean,run/policy.json --split test \
  --budget 25% --interval 128 --length 1000 --samples 20 --workers "$workers" --json results.jsonl
"$namm" report results.jsonl run --format markdown --output report.md

cat <<END

== done: set-up and build $built s, the rest $((SECONDS - built)) s
policy   $output/run/policy.json
run      $output/run
results  $output/results.jsonl
report   $output/report.md
END
