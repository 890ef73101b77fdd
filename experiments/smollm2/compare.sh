#!/usr/bin/env bash
# All policies side by side on SmolLM2-135M-Instruct (weights in Q8_0): 50, 25 and 12.5 % of the cache, 700-token prompts of six tasks that nothing was fitted to, and the report of it.
# First experiments/calibrate/three_seeds.sh, whose calibrated policy (probe-1) and averaged offsets (averaged-1) it takes from THREE_SEEDS. What is done is not done again; an evolution that was stopped begins anew. Needs a built tree.
#   bash experiments/smollm2/compare.sh [OUTPUT_DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
three=$(realpath "${THREE_SEEDS:-$root/build/experiments/three_seeds}")
output=$(realpath -m "${1:-$root/build/experiments/smollm2}")
namm=$(realpath "${BUILD:-$root/build/release}")/namm
model=$root/build/models/SmolLM2-135M-Instruct.Q8_0.gguf
mkdir -p "$output"
cd "$output"  # results name policies by their path from here
SECONDS=0
cp -r "$three/probe-1" "$three/averaged-1" .
[ -e key-only/policy.json ] && [ ! -e key-only/calibration.state ] || {
  how=(--output key-only)
  [ ! -e key-only/calibration.state ] || how=(--resume key-only)
  "$namm" calibrate --no-keep --model "$model" "${how[@]}" --seed 1 --input key --workers 2
}
on_probe() {  # FOLDER ARGUMENTS...: a network added to the calibrated policy, evolved for eight minutes on one core
  [ -e "$1/done" ] || {
    rm -rf "$1"
    "$namm" evolve --model "$model" --output "$1" --probe probe-1/policy.json --mode pooled --fitness semi-live --tasks passkey,niah-single-3,niah-multivalue,kv-recall,code-retrieval,text \
      --length 512,900 --training-pool 12 --budget 12.5%,25% --interval 512 --prompts 2 --validation 4 --generations 100000 --stop-after-minutes 8 --quiet "${@:2}"
    touch "$1/done"
  }
}
on_probe linear-light-probe --policy linear --features light+probe --strategy cma
on_probe linear-extended-probe --policy linear --features extended+probe --strategy cma
on_probe namm-light-probe --policy namm --features light+probe --strategy sep-cma-tpa
on_probe namm-paper-probe --policy namm --features paper+probe --strategy sep-cma-tpa
measure() {  # FILE ARGUMENTS...
  local how=()
  [ ! -e "$1" ] || how=(--resume)
  "$namm" eval --model "$model" --json "$1" "${how[@]}" --interval 512 --tasks passkey,niah-multikey-1,kv-recall,multi-turn,vt,text --length 700 --samples 3 --seed 11 --workers 2 \
    "${@:2}" > /dev/null
}
policies=probe-1,averaged-1,key-only,linear-light-probe,linear-extended-probe,namm-light-probe,namm-paper-probe
policies=${policies//,//policy.json,}/policy.json,default,h2o-mean,h2o,snapkv,tova,streaming,knorm,random,expected-attention
measure pooled.jsonl --policy "$policies,kvzip,oracle" --mode pooled --budget 50%,25%,12.5% --details details.jsonl --details-prompts 1
measure uniform.jsonl --policy probe-1/policy.json,averaged-1/policy.json,h2o,h2o-mean,snapkv,random --mode uniform --budget 25%
"$namm" report pooled.jsonl uniform.jsonl details.jsonl --output comparison.md
"$namm" report pooled.jsonl uniform.jsonl details.jsonl --output comparison.html
echo "after $SECONDS s: $output/comparison.md, comparison.html"
