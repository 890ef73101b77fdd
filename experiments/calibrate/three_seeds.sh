#!/usr/bin/env bash
# SmolLM2-135M-Instruct, three seeds from texts to policy: calibrate with the defaults, evolve an offset per KV head on top under 12.5 %
# and 25 %, then measure on tasks, real prose, code and longer contexts. Evolution and measurements run on a copy with weights in Q8_0.
# Needs a built tree with the target namm_requantize. Two to three hours on two cores; what is there already is not done again.
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
for seed in 1 2 3; do
  [ -e "probe-$seed/policy.json" ] || {
    how=(--output "probe-$seed")
    [ ! -e "probe-$seed/calibration.state" ] || how=(--resume "probe-$seed")
    "$namm" calibrate --model "$original" "${how[@]}" --seed "$seed" --workers 2
  }
  [ -e "offsets-$seed/done" ] || {
    how=(--output "offsets-$seed")
    [ ! -e "offsets-$seed/checkpoint.json" ] || how=(--resume "offsets-$seed")
    "$namm" evolve --model "$model" "${how[@]}" --policy "probe-$seed/policy.json" --seed "$seed" --fitness semi-live --strategy sep-cma-tpa \
      --step-size 0.3 --population 12 --tasks passkey,niah-single-3,niah-multivalue,kv-recall,code-retrieval,text --length 512,900 --prompts 4 \
      --training-pool 12 --validation 4 --validate-every 5 --generations 15 --budget 12.5%,25% --mode pooled --interval 512 --workers 2
    touch "offsets-$seed/done"
  }
done

measure() {  # FILE ARGUMENTS...
  local resume=()
  [ ! -e "$1" ] || resume=(--resume)
  "$namm" eval --json "$1" "${resume[@]}" --interval 512 --seed 11 --workers 2 --quiet "${@:2}" > /dev/null
}
ours=probe-1/policy.json,offsets-1/policy.json,probe-2/policy.json,offsets-2/policy.json,probe-3/policy.json,offsets-3/policy.json
tasks=passkey,niah-multikey-1,kv-recall,multi-turn,vt,text
here=(--model "$model" --length 700 --samples 6)
measure tasks.jsonl "${here[@]}" --tasks "$tasks" --mode pooled --budget 25%,12.5% --policy "$ours"
measure uniform.jsonl "${here[@]}" --tasks "$tasks" --mode uniform --budget 25%,12.5% --policy h2o,h2o-mean,default
measure kvzip.jsonl "${here[@]}" --tasks "$tasks" --mode pooled --budget 25%,12.5% --policy kvzip
for text in kjv.txt manuals.txt; do
  measure "prose-$text.jsonl" "${here[@]}" --tasks text --haystack "$root/build/texts/$text" --mode pooled --budget 25%,12.5% \
    --policy probe-1/policy.json,offsets-1/policy.json,h2o-mean
done
measure code.jsonl "${here[@]}" --tasks text --haystack code --mode pooled --budget 25%,12.5% --policy probe-1/policy.json,offsets-1/policy.json,h2o-mean
for how in "4000 2" "7900 1"; do
  read -r length samples <<< "$how"
  measure "length-$length.jsonl" --model "$model" --length "$length" --samples "$samples" --tasks niah-multikey-1,kv-recall,multi-turn,text --mode pooled \
    --budget 25%,12.5% --policy probe-1/policy.json,offsets-1/policy.json,h2o-mean
done
measure half.jsonl "${here[@]}" --tasks "$tasks" --mode pooled --budget 50% --policy probe-1/policy.json,offsets-1/policy.json
measure question-inside.jsonl --model "$model" --length 700 --samples 4 --tasks "$tasks" --question-in-context --mode pooled --budget 25%,12.5% \
  --policy probe-1/policy.json,offsets-1/policy.json,h2o-mean
measure original.jsonl --model "$original" --length 700 --samples 3 --tasks "$tasks" --mode pooled --budget 25%,12.5% --policy probe-1/policy.json,offsets-1/policy.json
