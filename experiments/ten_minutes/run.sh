#!/usr/bin/env bash
# What each policy, feature set, strategy and fitness reaches in MINUTES (10) on two cores: evolved on six kinds of task under 12.5 %
# and 25 % of the cache, then measured on six, of which three are other kinds. Needs a built tree with the target namm_requantize, and
# a policy of `namm calibrate` for SmolLM2-135M-Instruct. What is there already is not done again.
#   bash experiments/ten_minutes/run.sh PROBE.json [MINUTES] [OUTPUT_DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
probe=$(realpath "$1")
minutes=${2:-10}
output=$(realpath -m "${3:-$root/build/experiments/ten_minutes}")
build=${BUILD:-$root/build/release}
bash "$root/experiments/models/fetch_smollm2.sh" "$root/build/models"
model=$root/build/models/SmolLM2-135M-Instruct.Q8_0.gguf
[ -e "$model" ] || "$build/experiments/models/namm_requantize" "$root/build/models/SmolLM2-135M-Instruct.Q4_1.gguf" "$model"
mkdir -p "$output"
cd "$output"  # results name policies by their path from here
namm=$build/namm
trained=(--tasks passkey,niah-single-3,niah-multivalue,kv-recall,code-retrieval,text --length 512,900)
search=(--budget 12.5%,25% --interval 512 --prompts 4 --validation 4 --generations 100000 --stop-after-minutes "$minutes" --workers 2 --quiet)

evolve() {  # NAME ARGUMENTS...
  [ -e "$1/done" ] || { rm -rf "$1" && "$namm" evolve --output "$1" "${search[@]}" "${@:2}" && touch "$1/done"; }
}
semi=(--model "$model" --fitness semi-live "${trained[@]}" --training-pool 12 --prompt-memory 6000 --stop-stagnant 60)

evolve light --policy linear --features light --mode uniform "${semi[@]}"
evolve light-probe --policy linear --features light+probe --probe "$probe" --mode pooled "${semi[@]}"
evolve linear-paper --policy linear --features paper --mode uniform "${semi[@]}"
evolve namm --policy namm --features paper --mode uniform --strategy sep-cma-tpa "${semi[@]}"
evolve namm-on-light --policy namm --start light/policy.json --mode uniform "${semi[@]}"
[ -e t.trace ] || "$namm" trace --model "$model" --output t.trace "${trained[@]}" --interval 512 --prompts 12 --validation 4 --statistics sums \
  --keys none --workers 2 --quiet
for start in zeros least-squares; do
  evolve "light-retention-$start" --policy linear --features light --mode uniform --traces t.trace --start "$start" --stop-stagnant 50
done
evolve offsets --policy "$probe" --mode pooled --population 12 --step-size 0.3 --strategy sep-cma-tpa "${semi[@]}"
evolve offsets-cma --policy "$probe" --mode pooled --population 12 --strategy cma "${semi[@]}"
evolve light-live --policy linear --features light --mode uniform --model "$model" --fitness answer-likelihood "${trained[@]}" \
  --validate-every 2

measure() {  # FILE ARGUMENTS...
  local resume=()
  [ ! -e "$1" ] || resume=(--resume)
  "$namm" eval --json "$1" "${resume[@]}" --model "$model" --seed 11 --workers 2 --interval 512 --length 700 --samples 6 --budget 25%,12.5% \
    --tasks passkey,niah-multikey-1,kv-recall,multi-turn,vt,text --quiet "${@:2}"
}
cp "$probe" probe.json
measure pooled.jsonl --mode pooled --policy probe.json,offsets/policy.json,offsets-cma/policy.json,light-probe/policy.json
measure uniform.jsonl --mode uniform --policy light/policy.json,light-live/policy.json,light-retention-zeros/policy.json,light-retention-least-squares/policy.json,namm/policy.json,linear-paper/policy.json,namm-on-light/policy.json,default,h2o,h2o-mean
