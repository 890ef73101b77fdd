#!/usr/bin/env bash
# The policy `default`: begins with the one evolved on the embedded host, goes on on SmolLM2-135M-Instruct, and is evaluated on both.
# Needs a built tree; NAMM names another program than build/release/namm.
#   bash experiments/universal/run.sh [OUTPUT_DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
output=$(realpath -m "${1:-$root/build/experiments/universal}")
namm=$(realpath "${NAMM:-$root/build/release/namm}")
bash "$root/experiments/models/fetch_smollm2.sh" "$root/build/models"
model=$root/build/models/SmolLM2-135M-Instruct.Q4_1.gguf
mkdir -p "$output"
cd "$output"  # results name policies by their path from here
how=(--output run)
[ ! -e run/checkpoint.json ] || how=(--resume run)
"$namm" evolve --model "$model" "${how[@]}" --policy "$root/experiments/embedded_host/policies/linear-light-seed3.json" --fitness semi-live \
  --tasks passkey,niah-single-3,niah-multivalue,kv-recall,code-retrieval --length 512,900 --prompts 2 --training-pool 8 --validation 6 \
  --population 12 --generations 25 --budget 25% --mode uniform --interval 512 --workers 2
cp run/policy.json default.json
measure() {  # FILE ARGUMENTS...
  local resume=()
  [ ! -e "$1" ] || resume=(--resume)
  "$namm" eval --json "$1" "${resume[@]}" --mode uniform --seed 11 --workers 2 "${@:2}"
}
measure smollm2.jsonl --model "$model" --interval 512 --length 700 --samples 3 --budget 25%,50%,12.5% --policy default.json,h2o,h2o-mean,streaming,random \
  --tasks passkey,niah-multikey-1,kv-recall,multi-turn,vt,text
measure host.jsonl --model "$root/experiments/hosts/jamba-recall.gguf" --interval 128 --length 1000 --samples 20 --budget 25% \
  --policy "default.json,$root/experiments/embedded_host/policies/linear-light-seed3.json" --tasks passkey,niah-single,kv-recall
# what it drops of prose and of code, by kind of token
[ -e "$root/build/texts/kjv.txt" ] || bash "$root/experiments/texts/fetch.sh" "$root/build/texts"
for haystack in "$root/build/texts/kjv.txt" code; do
  name=kinds-$(basename "$haystack" .txt)
  measure "$name.jsonl" --model "$model" --interval 512 --length 700 --samples 8 --budget 25% --policy default,h2o --tasks text --haystack "$haystack" \
    --details "$name-details.jsonl" --details-prompts 8
  "$namm" report "$name.jsonl" "$name-details.jsonl" --output "$name.md"
done
