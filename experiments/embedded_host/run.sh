#!/usr/bin/env bash
# Evolves policies on the embedded host (three seeds and what is left out in turn) and evaluates them with every baseline on prompts
# that evolution never saw. Needs a built tree (tests/run.sh or experiments/quickstart.sh). About 15 minutes on 2 cores.
#   bash experiments/embedded_host/run.sh [OUTPUT_DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
output=$(realpath -m "${1:-$root/build/experiments/embedded_host}")
namm=$(realpath "${NAMM:-$root/build/release/namm}")
model=$root/experiments/hosts/jamba-recall.gguf
mkdir -p "$output"

evolve() {  # NAME SEED ARGUMENTS...
  local name=$1 seed=$2
  shift 2
  local folder=$output/$name-seed$seed
  if [ -e "$folder/done" ]; then return; fi
  local how=(--output "$folder")
  [ ! -e "$folder/checkpoint.json" ] || how=(--resume "$folder")
  local generations=25 rest=("$@")
  if [ "${rest[-2]}" = --generations ]; then
    generations=${rest[-1]}
    rest=("${rest[@]:0:${#rest[@]}-2}")
  fi
  "$namm" evolve --model "$model" "${how[@]}" --budget 25% --interval 128 --length 300,600 --prompts 3 --validation 8 \
    --validate-every 5 --workers 2 --seed "$seed" --generations "$generations" "${rest[@]}"
  touch "$folder/done"
}

# The main line: nine numbers, a linear policy on the light features, fitness on the model's own output.
for seed in 1 2 3; do evolve linear-light-likelihood "$seed" --policy linear --features light --generations 15; done
# With the spectrogram beside them.
for seed in 1 2 3; do evolve linear-extended-likelihood "$seed" --policy linear --features extended; done
# Attention history alone; another fitness; the paper's network and features.
evolve linear-paper-likelihood 1 --policy linear --features paper
evolve linear-extended-score 1 --policy linear --features extended --fitness task-score
evolve namm-paper-likelihood 1 --policy namm --features paper --strategy sep-cma

cd "$output"  # results name policies by their path from here
policies=random,streaming,h2o,h2o-mean,tova,snapkv,knorm
for folder in *-seed*/; do policies+=,${folder}policy.json; done
"$namm" eval --model "$model" --policy "$policies" --budget 25%,12.5% --interval 128 --length 1000 --samples 40 --seed 7 --workers 2 \
  --json results.jsonl
"$namm" report results.jsonl --format markdown --output results.md
echo "results: $output/results.jsonl and results.md"
