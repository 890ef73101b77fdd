#!/usr/bin/env bash
# What policies lose on real text that no fit has read: SmolLM2-135M-Instruct (weights in Q8_0), a quarter of the cache, 20 prompts per cell, both protocols, one frozen configuration (calibration with defaults, seed 1).
# Prompts of seed 101, which nothing was chosen on. What is done is not done again. Needs a built tree with the target namm_requantize.
#   bash experiments/headline/run.sh [OUTPUT_DIR]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
output=$(realpath -m "${1:-$root/build/experiments/headline}")
build=$(realpath "${BUILD:-$root/build/release}")
namm=$build/namm
model=$root/build/models/SmolLM2-135M-Instruct.Q8_0.gguf
original=$(bash "$root/experiments/models/fetch_smollm2.sh")
[ -e "$model" ] || "$build/experiments/models/namm_requantize" "$original" "$model"
bash "$root/experiments/texts/fetch.sh" > /dev/null
mkdir -p "$output"
cd "$output"  # results name policies by their path from here
SECONDS=0
[ -e calibrated/policy.json ] && [ ! -e calibrated/calibration.state ] || {
  how=(--output calibrated)
  [ ! -e calibrated/calibration.state ] || how=(--resume calibrated)
  "$namm" calibrate --model "$model" "${how[@]}" --seed 1 --workers 2
}
for when in once chunked; do
  "$namm" eval --model "$model" --json "$when.jsonl" --resume --compress "$when" --mode pooled --budget 25% --policy calibrated/policy.json,default,h2o-mean,snapkv \
    --tasks niah-multikey-1,text --haystack "$root/build/texts/kjv.txt" --length 700 --samples 20 --seed 101 --workers 2 > /dev/null
  echo "$when: after $SECONDS s"
done
"$namm" report once.jsonl chunked.jsonl --output headline.md
