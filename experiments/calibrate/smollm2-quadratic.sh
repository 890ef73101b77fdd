#!/usr/bin/env bash
# SmolLM2-135M-Instruct: probes of attention alone at 30, 60 and 90 texts, and offsets per KV head evolved on top of it. Needs a built tree.
#   bash experiments/calibrate/smollm2-quadratic.sh [OUTPUT_DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
output=$(realpath -m "${1:-$root/build/experiments/calibrate_quadratic}")
namm=$(realpath "${NAMM:-$root/build/release/namm}")
bash "$root/experiments/models/fetch_smollm2.sh" "$root/build/models"
model=$root/build/models/SmolLM2-135M-Instruct.Q4_1.gguf
mkdir -p "$output"
cd "$output"  # results name policies by their path from here
for texts in 30 60 90; do
  [ -e "$texts-texts/policy.json" ] || "$namm" calibrate --no-keep --model "$model" --output "$texts-texts" --value-weight 0 --recency 0 --texts "$texts" --workers 2
done
how=(--output offsets)
[ ! -e offsets/checkpoint.json ] || how=(--resume offsets)
"$namm" evolve --model "$model" "${how[@]}" --policy 90-texts/policy.json --fitness semi-live --strategy sep-cma-tpa --step-size 0.3 --population 12 \
  --tasks passkey,niah-single-3,niah-multivalue,kv-recall,code-retrieval --length 512,900 --prompts 2 --training-pool 8 --validation 6 \
  --generations 11 --budget 12.5% --mode pooled --interval 512 --workers 2
resume=()
[ ! -e results.jsonl ] || resume=(--resume)
"$namm" eval --model "$model" --json results.jsonl "${resume[@]}" --mode pooled --budget 50%,25%,12.5% --interval 512 --seed 11 --length 700 --samples 3 --workers 2 \
  --tasks passkey,niah-multikey-1,kv-recall,multi-turn,vt,text --policy 30-texts/policy.json,60-texts/policy.json,90-texts/policy.json,offsets/policy.json
