#!/usr/bin/env bash
# What fewer bits cost by themselves, and beside fewer tokens: the full cache held in each format, then a calibrated policy at shares of the bytes.
# What is done is not done again. Needs a built tree with the target namm_requantize.
#   bash experiments/bits/run.sh [OUTPUT_DIR]
# FORMATS (for the full cache; may be empty), STORES (beside a policy; may be empty), BUDGETS, SAMPLES, SEED, WORKERS and MODEL in
# the environment take other cells.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
output=$(realpath -m "${1:-$root/build/experiments/bits}")
build=$(realpath "${BUILD:-$root/build/release}")
namm=$build/namm
model=${MODEL:-$root/build/models/SmolLM2-135M-Instruct.Q8_0.gguf}
if [ ! -e "$model" ]; then
  original=$(bash "$root/experiments/models/fetch_smollm2.sh")
  "$build/experiments/models/namm_requantize" "$original" "$model"
fi
text=${TEXT:-$root/build/texts/kjv.txt}
[ -e "$text" ] || bash "$root/experiments/texts/fetch.sh" > /dev/null
workers=${WORKERS:-2}
mkdir -p "$output"
cd "$output"  # results name policies by their path from here
measure() {  # STORE FILE ARGUMENTS...
  "$namm" eval --model "$model" --store "$1" --json "$2" --resume --tasks niah-multikey-1,text --haystack "$text" --length 700 \
    --samples "${SAMPLES:-20}" --seed "${SEED:-101}" --workers "$workers" --quiet "${@:3}" > /dev/null
}
for store in ${FORMATS-q8_0 q8_0,q4_0 q4_0 f16,q4_0}; do measure "$store" "full-$store.jsonl" --policy full; done
stores=${STORES-f16 f16+4means q8_0 q8_0,q4_0 q8_0,q4_0+4means q4_0}
[ -n "$stores" ] || exit 0
[ -e calibrated/policy.json ] && [ ! -e calibrated/calibration.state ] || {
  how=(--output calibrated)
  [ ! -e calibrated/calibration.state ] || how=(--resume calibrated)
  "$namm" calibrate --no-keep --model "$model" "${how[@]}" --seed 1 --workers "$workers"
}
for store in $stores; do
  measure "$store" "bytes-$store.jsonl" --policy calibrated/policy.json --mode pooled \
    --budget "${BUDGETS:-25%bytes,12.5%bytes,6.25%bytes}"
done
"$namm" eval --model "$model" --json baselines-f16.jsonl --resume --tasks niah-multikey-1,text --haystack "$text" --length 700 \
  --samples "${SAMPLES:-20}" --seed "${SEED:-101}" --workers "$workers" --quiet --policy h2o-mean,random --mode pooled \
  --budget "${BUDGETS:-25%bytes,12.5%bytes,6.25%bytes}" > /dev/null
