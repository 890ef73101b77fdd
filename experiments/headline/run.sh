#!/usr/bin/env bash
# What policies lose on real text that no fit has read: 20 prompts per cell, both protocols, one frozen configuration (calibration with defaults).
# Prompts of seeds from 101 on, which nothing was chosen on. What is done is not done again. Needs a built tree with the target namm_requantize.
#   bash experiments/headline/run.sh [smollm2 | qwen] [OUTPUT_DIR]
# FITS, SEEDS, WHEN, STORE, BUDGETS, POLICIES, TASKS, TEXT and WORKERS in the environment take other cells (see below for what is taken without).
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
policies=${POLICIES-default,h2o-mean,h2o-half,snapkv,kvzip,random}
fits=${FITS:-1}  # seeds of calibrations
seeds=${SEEDS:-101}  # of prompts
workers=${WORKERS:-2}
tasks=${TASKS:-niah-multikey-1,text}
text=${TEXT:-kjv}
bash "$root/experiments/texts/fetch.sh" > /dev/null
mkdir -p "$output"
cd "$output"  # results name policies by their path from here
SECONDS=0
for fit in $fits; do
  folder=calibrated-$fit
  [ -e "$folder/policy.json" ] && [ ! -e "$folder/calibration.state" ] || {
    how=(--output "$folder")
    [ ! -e "$folder/calibration.state" ] || how=(--resume "$folder")
    "$namm" calibrate --no-keep --model "$model" "${how[@]}" --seed "$fit" --workers "$workers"
  }
  policies=$folder/policy.json${policies:+,$policies}
done
for seed in $seeds; do
  for when in ${WHEN:-once chunked}; do
    "$namm" eval --model "$model" --json "$text-$when-$seed${STORE:+-$STORE}.jsonl" --store "${STORE:-f16}" --resume --compress "$when" --mode pooled --budget "$budgets" --policy "$policies" \
      --tasks "$tasks" --haystack "$root/build/texts/$text.txt" --length 700 --samples 20 --seed "$seed" --workers "$workers" > /dev/null
    echo "$text, $when, seed $seed: after $SECONDS s"
  done
done
shopt -s nullglob  # of a protocol that was not asked for there is no file
"$namm" report ./*-once-*.jsonl ./*-chunked-*.jsonl --output headline.md
