#!/usr/bin/env bash
# All policies side by side on SmolLM2-135M-Instruct: 50, 25 and 12.5 % of the cache, 700-token prompts of six tasks that nothing was fitted to, and the report of it.
# Goes on where it was stopped. Needs a built tree; NAMM names another program than build/release/namm.
#   bash experiments/smollm2/compare.sh [OUTPUT_DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
output=$(realpath -m "${1:-$root/build/experiments/smollm2}")
namm=$(realpath "${NAMM:-$root/build/release/namm}")
bash "$root/experiments/models/fetch_smollm2.sh" "$root/build/models"
model=$root/build/models/SmolLM2-135M-Instruct.Q4_1.gguf
mkdir -p "$output"
cd "$output"  # results name policies by their path from here
SECONDS=0
[ -e probe-seed1/policy.json ] || "$namm" calibrate --model "$model" --output probe-seed1 --seed 1 --value-weight 0 --recency 0 --read-out linear --texts 30 --workers 2  # as in the tables
[ -e key-only/policy.json ] || "$namm" calibrate --model "$model" --output key-only --seed 1 --input key --value-weight 0 --recency 0 --read-out linear --texts 30 --workers 2
cp "$root/experiments/embedded_host/policies/linear-light-seed3.json" .  # evolved on another model
measure() {  # FILE TASKS ARGUMENTS...
  local how=()
  [ ! -e "$1" ] || how=(--resume)
  "$namm" eval --model "$model" --json "$1" "${how[@]}" --interval 512 --tasks "$2" --length 700 --samples 3 --seed 11 --workers 2 \
    "${@:3}" > /dev/null
}
policies=probe-seed1/policy.json,key-only/policy.json,linear-light-seed3.json,h2o-mean,h2o,snapkv,tova,streaming,knorm,random
measure pooled.jsonl passkey,niah-multikey-1,kv-recall,multi-turn,vt,text --policy "$policies,expected-attention,kvzip,oracle" --mode pooled --budget 50%,25%,12.5% --details details.jsonl --details-prompts 1
measure uniform.jsonl passkey,niah-multikey-1,kv-recall --policy "$policies,expected-attention" --mode uniform --budget 25%
"$namm" report pooled.jsonl uniform.jsonl details.jsonl --output comparison.md
"$namm" report pooled.jsonl uniform.jsonl details.jsonl --output comparison.html
echo "after $SECONDS s: $output/comparison.md, comparison.html"
