#!/usr/bin/env bash
# What policies lose on real text that no fit has read: 20 prompts per cell, both protocols, one frozen configuration (calibration with defaults, seed 1).
# Prompts of seed 101, which nothing was chosen on. What is done is not done again. Needs a built tree with the target namm_requantize.
#   bash experiments/headline/run.sh [smollm2 | qwen] [OUTPUT_DIR]
# BUDGETS, POLICIES, TASKS and TEXT in the environment take other cells (see below for what is taken without).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
which=${1:-smollm2}
output=$(realpath -m "${2:-$root/build/experiments/headline/$which}")
build=$(realpath "${BUILD:-$root/build/release}")
namm=$build/namm
case $which in
  smollm2)
    model=$root/build/models/SmolLM2-135M-Instruct.Q8_0.gguf
    original=$(bash "$root/experiments/models/fetch_smollm2.sh")
    [ -e "$model" ] || "$build/experiments/models/namm_requantize" "$original" "$model"
    ;;
  qwen) model=$(bash "$root/experiments/models/fetch_qwen.sh") ;;
  *) echo "headline: the model must be smollm2 or qwen, is '$which'" >&2; exit 2 ;;
esac
budgets=${BUDGETS:-25%}
policies=${POLICIES:-calibrated/policy.json,default,h2o-mean,h2o-half,snapkv,kvzip,random}
tasks=${TASKS:-niah-multikey-1,text}
text=${TEXT:-kjv}
bash "$root/experiments/texts/fetch.sh" > /dev/null
mkdir -p "$output"
cd "$output"  # results name policies by their path from here
SECONDS=0
[ -e calibrated/policy.json ] && [ ! -e calibrated/calibration.state ] || {
  how=(--output calibrated)
  [ ! -e calibrated/calibration.state ] || how=(--resume calibrated)
  "$namm" calibrate --no-keep --model "$model" "${how[@]}" --seed 1 --workers 2
}
for when in once chunked; do
  "$namm" eval --model "$model" --json "$text-$when.jsonl" --resume --compress "$when" --mode pooled --budget "$budgets" --policy "$policies" \
    --tasks "$tasks" --haystack "$root/build/texts/$text.txt" --length 700 --samples 20 --seed 101 --workers 2 > /dev/null
  echo "$text, $when: after $SECONDS s"
done
"$namm" report ./*-once.jsonl ./*-chunked.jsonl --output headline.md
