#!/usr/bin/env bash
# SmolLM2-135M-Instruct, three seeds from texts to policy: calibrate with the defaults; evolve on top, under 12.5 % and 25 %, an offset per
# KV head (offsets-*), a linear policy on light+probe features (blend-*), and one on probe features alone (near-1); then measure on tasks, real prose, code, longer contexts and
# with the question seen. Evolution and most measurements run on a copy with weights in Q8_0. Needs a built tree with the target
# namm_requantize. About three hours on two cores; what is there already is not done again.
#   bash experiments/calibrate/three_seeds.sh [OUTPUT_DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
output=$(realpath -m "${1:-$root/build/experiments/three_seeds}")
build=${BUILD:-$root/build/release}
namm=$build/namm
bash "$root/experiments/models/fetch_smollm2.sh" "$root/build/models"
[ -e "$root/build/texts/manuals.txt" ] || bash "$root/experiments/texts/fetch.sh" "$root/build/texts"
original=$root/build/models/SmolLM2-135M-Instruct.Q4_1.gguf
model=$root/build/models/SmolLM2-135M-Instruct.Q8_0.gguf
[ -e "$model" ] || "$build/experiments/models/namm_requantize" "$original" "$model"
mkdir -p "$output"
cd "$output"  # results name policies by their path from here

evolve() {  # NAME ARGUMENTS...
  [ ! -e "$1/done" ] || return 0
  local how=(--output "$1")
  [ ! -e "$1/checkpoint.json" ] || how=(--resume "$1")
  "$namm" evolve --model "$model" "${how[@]}" --fitness semi-live --length 512,900 --prompts 4 --training-pool 12 --validation 4 --validate-every 5 \
    --tasks passkey,niah-single-3,niah-multivalue,kv-recall,code-retrieval,text --budget 12.5%,25% --mode pooled --interval 512 --workers 2 --quiet "${@:2}"
  touch "$1/done"
}
for seed in 1 2 3; do
  [ -e "probe-$seed/policy.json" ] || {
    how=(--output "probe-$seed")
    [ ! -e "probe-$seed/calibration.state" ] || how=(--resume "probe-$seed")
    "$namm" calibrate --model "$original" "${how[@]}" --seed "$seed" --workers 2
  }
  evolve "offsets-$seed" --policy "probe-$seed/policy.json" --seed "$seed" --strategy sep-cma-tpa --step-size 0.3 --population 12 --generations 15
  evolve "blend-$seed" --policy linear --features light+probe --probe "probe-$seed/policy.json" --seed "$seed" --generations 10
done
evolve near-1 --policy linear --features probe --probe probe-1/policy.json --generations 10  # without attention

measure() {  # FILE ARGUMENTS...
  local resume=()
  [ ! -e "$1" ] || resume=(--resume)
  "$namm" eval --json "$1" "${resume[@]}" --interval 512 --seed 11 --workers 2 --quiet "${@:2}" > /dev/null
}
each() {  # FILE ARGUMENTS...: every budget with the policies that were best for it, of seeds SEEDS
  local probes='' quarter='' eighth=''
  for seed in $seeds; do
    probes+=,probe-$seed/policy.json
    for kind in $kinds; do
      quarter+=,$kind-$seed/policy-25.json
      eighth+=,$kind-$seed/policy-12.5.json
    done
  done
  measure "$1-25.jsonl" --mode pooled --budget 25% --policy "${probes#,}$quarter$also" "${@:2}"
  measure "$1-12.5.jsonl" --mode pooled --budget 12.5% --policy "${probes#,}$eighth$also" "${@:2}"
}
tasks=passkey,niah-multikey-1,kv-recall,multi-turn,vt,text
seeds='1 2 3' kinds='offsets blend' also='' each tasks --model "$model" --length 700 --samples 6 --tasks "$tasks"
seeds=1 kinds=near also='' each near --model "$model" --length 700 --samples 6 --tasks "$tasks"
measure uniform.jsonl --model "$model" --length 700 --samples 6 --tasks "$tasks" --mode uniform --budget 25%,12.5% --policy h2o,h2o-mean,default
measure kvzip.jsonl --model "$model" --length 700 --samples 6 --tasks "$tasks" --mode pooled --budget 25%,12.5% --policy kvzip
seeds=1 kinds=blend also=
each original --model "$original" --length 700 --samples 3 --tasks "$tasks"
also=,h2o-mean
each prose --model "$model" --length 700 --samples 6 --tasks text --haystack "$root/build/texts/kjv.txt"
each manuals --model "$model" --length 700 --samples 6 --tasks text --haystack "$root/build/texts/manuals.txt"
each code --model "$model" --length 700 --samples 6 --tasks text --haystack code
each question-seen --model "$model" --length 700 --samples 4 --tasks "$tasks" --question-in-context
each length-4000 --model "$model" --length 4000 --samples 2 --tasks niah-multikey-1,kv-recall,multi-turn,text
each length-7900 --model "$model" --length 7900 --samples 1 --tasks niah-multikey-1,kv-recall,multi-turn,text
