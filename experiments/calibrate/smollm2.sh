#!/usr/bin/env bash
# Calibration of SmolLM2-135M-Instruct from made-up texts, beside baselines and upper bounds, on tasks that nothing was fitted to. Needs a built tree. Hours on 2 cores; every
# step can be interrupted and goes on where it was.
#   bash experiments/calibrate/smollm2.sh [OUTPUT_DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
output=$(realpath -m "${1:-$root/build/experiments/calibrate_smollm2}")
namm=$(realpath "${NAMM:-$root/build/release/namm}")
bash "$root/experiments/models/fetch_smollm2.sh" "$root/build/models"
model=$root/build/models/SmolLM2-135M-Instruct.Q4_1.gguf
mkdir -p "$output"
cd "$output"  # results name policies by their path from here

calibrate() {  # NAME ARGUMENTS...
  if [ -e "$1/policy.json" ] && [ ! -e "$1/calibration.state" ]; then return; fi
  local where=(--output "$1")
  [ ! -e "$1/calibration.state" ] || where=(--resume "$1")
  "$namm" calibrate --no-keep --model "$model" "${where[@]}" --value-weight 0 --recency 0 --read-out linear --texts 30 --workers 2 "${@:2}"  # what the tables were made with
}
measure() {  # FILE ARGUMENTS...
  local how=()
  [ ! -e "$1" ] || how=(--resume)
  "$namm" eval --model "$model" --json "$1" "${how[@]}" --interval 512 --seed 11 --workers 2 "${@:2}" >/dev/null
}
calibrate probe-seed1 --seed 1
calibrate probe-seed2 --seed 2
calibrate probe-seed3 --seed 3
calibrate key-only --seed 1 --input key

all=passkey,niah-single-2,niah-multikey-1,niah-multivalue,vt,kv-recall,city-facts,multi-turn,code-retrieval,text
some=passkey,niah-multikey-1,vt,kv-recall,multi-turn,code-retrieval
measure main.jsonl --policy probe-seed1/policy.json,h2o-mean --mode pooled --budget 25%,12.5% --tasks "$all" --length 700 --samples 3
measure upper.jsonl --policy oracle,kvzip --mode pooled --budget 12.5% --tasks "$all" --length 700 --samples 3
measure seeds.jsonl --policy probe-seed2/policy.json,probe-seed3/policy.json,key-only/policy.json --mode pooled --budget 25%,12.5% --tasks "$some" --length 700 --samples 3
measure baselines.jsonl --policy probe-seed1/policy.json,snapkv,tova,streaming,knorm,random --mode uniform --budget 25% --tasks "$some" --length 700 --samples 3
measure length-4000.jsonl --policy probe-seed1/policy.json,h2o-mean --mode pooled --budget 25%,12.5% --tasks niah-multikey-1,city-facts,kv-recall,text \
  --length 4000 --samples 1
measure length-7900.jsonl --policy probe-seed1/policy.json,h2o-mean --mode pooled --budget 25%,12.5% --tasks niah-multikey-1,city-facts,text \
  --length 7900 --samples 1
"$namm" report ./*.jsonl --format markdown --output results.md
echo "results: $output/*.jsonl and results.md"
