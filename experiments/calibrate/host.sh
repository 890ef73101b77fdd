#!/usr/bin/env bash
# Calibration of the embedded host (a hybrid of Mamba and attention layers): three seeds, what the probe reads, what it is fitted to, evolution on top of it, beside
# every baseline and the upper bounds. Needs a built tree. About 20 minutes on 2 cores.
#   bash experiments/calibrate/host.sh [OUTPUT_DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
output=$(realpath -m "${1:-$root/build/experiments/calibrate_host}")
namm=$(realpath "${NAMM:-$root/build/release/namm}")
model=$root/experiments/hosts/jamba-recall.gguf
mkdir -p "$output"
cd "$output"  # results name policies by their path from here

calibrate() {  # NAME ARGUMENTS...
  [ -e "$1/policy.json" ] || "$namm" calibrate --no-keep --model "$model" --output "$1" --quiet "${@:2}"
}
for seed in 1 2 3; do calibrate "probe-seed$seed" --seed "$seed"; done
calibrate key-only --input key
calibrate later --target later
calibrate planted --target planted
calibrate answers --target answers --tasks basic

evolve() {  # NAME ARGUMENTS...
  if [ -e "$1/done" ]; then return; fi
  "$namm" evolve --model "$model" --output "$1" --budget 12.5% --interval 512 --length 300,600 --prompts 3 --validation 8 --workers 2 --quiet "${@:2}"
  touch "$1/done"
}
for seed in 1 2 3; do
  evolve "linear-probe-seed$seed" --probe "probe-seed$seed/policy.json" --seed "$seed" --generations 15
  evolve "linear-light+probe-seed$seed" --probe "probe-seed$seed/policy.json" --features light+probe --seed "$seed" --generations 15
done
evolve "namm-paper+probe" --probe probe-seed1/policy.json --policy namm --features paper+probe --strategy sep-cma --generations 15
evolve "linear-light" --features light --mode pooled --generations 15

fitted=probe-seed1/policy.json,probe-seed2/policy.json,probe-seed3/policy.json,key-only/policy.json,later/policy.json,planted/policy.json,answers/policy.json
evolved=linear-light/policy.json,namm-paper+probe/policy.json
for seed in 1 2 3; do evolved+=",linear-probe-seed$seed/policy.json,linear-light+probe-seed$seed/policy.json"; done
"$namm" eval --model "$model" --policy "$fitted,$evolved,random,streaming,h2o,h2o-mean,tova,snapkv,knorm,kvzip,oracle" --budget 50%,25%,12.5% --mode pooled,uniform \
  --interval 512 --length 1000 --samples 20 --seed 7 --workers 2 --json results.jsonl >/dev/null
"$namm" eval --model "$model" --policy probe-seed1/policy.json,linear-light/policy.json,h2o-mean,oracle --budget 25%,12.5% --mode pooled --interval 512 \
  --length 500,2000,4000,8000 --samples 10 --seed 7 --workers 2 --json lengths.jsonl >/dev/null
"$namm" report results.jsonl lengths.jsonl --format markdown --output results.md
echo "results: $output/results.jsonl, lengths.jsonl and results.md"
