#!/usr/bin/env bash
# The policy `default`: begins with the one evolved on the embedded host, goes on on SmolLM2-135M-Instruct (weights in Q8_0) with three seeds; their mean ships (core/policies/shipped/default.json). Evaluated on both.
# Needs a built tree with the target namm_requantize.
#   bash experiments/universal/run.sh [OUTPUT_DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
output=$(realpath -m "${1:-$root/build/experiments/universal}")
build=$(realpath "${BUILD:-$root/build/release}")
namm=$build/namm
bash "$root/experiments/models/fetch_smollm2.sh" "$root/build/models"
model=$root/build/models/SmolLM2-135M-Instruct.Q8_0.gguf
[ -e "$model" ] || "$build/experiments/models/namm_requantize" "$root/build/models/SmolLM2-135M-Instruct.Q4_1.gguf" "$model"
[ -e "$root/build/texts/kjv.txt" ] || bash "$root/experiments/texts/fetch.sh" "$root/build/texts"
mkdir -p "$output"
cd "$output"  # results name policies by their path from here
for seed in 1 2 3; do
  how=(--output "default-$seed")
  [ ! -e "default-$seed/checkpoint.json" ] || how=(--resume "default-$seed")
  "$namm" evolve --model "$model" "${how[@]}" --policy "$root/experiments/embedded_host/policies/linear-light-seed3.json" --seed "$seed" --fitness semi-live \
    --tasks passkey,niah-single-3,niah-multivalue,kv-recall,code-retrieval,text,code-completion --length 512,900 --prompts 2 --training-pool 8 --validation 6 \
    --population 12 --generations 15 --budget 25% --mode uniform --interval 512 --workers 2
done
"$namm" average default-{1,2,3}/policy.json --output default-mean.json
measure() {  # FILE ARGUMENTS...
  local resume=()
  [ ! -e "$1" ] || resume=(--resume)
  "$namm" eval --json "$1" "${resume[@]}" --mode uniform --seed "${of_prompts:-11}" --workers 2 "${@:2}"
}
earlier=$here/policies/retrieval.json
tasks=passkey,niah-multikey-1,kv-recall,multi-turn,vt,text
smollm2=(--model "$model" --interval 512 --length 700)
embedded=(--model "$root/experiments/hosts/jamba-recall.gguf" --interval 128 --length 1000 --samples 20 --budget 25% --tasks passkey,niah-single,kv-recall)
# the seeds and their mean, on the real model and on the embedded one
seeds=default-1/policy.json,default-2/policy.json,default-3/policy.json,default-mean.json,$earlier
measure three-seeds.jsonl "${smollm2[@]}" --samples 3 --budget 25% --policy "$seeds,h2o" --tasks $tasks
measure three-seeds-host.jsonl "${embedded[@]}" --policy "$seeds,$root/experiments/embedded_host/policies/linear-light-seed3.json"
# which one ships: on validation prompts of the tasks of its evolution
validate() { of_prompts=12 measure "$1" --split validation --policy "$earlier,default-mean.json" "${@:2}"; }
validate smollm2-validation.jsonl "${smollm2[@]}" --samples 6 --budget 25% --tasks passkey,niah-single-3,niah-multivalue,kv-recall,code-retrieval,text,code-completion
validate host-validation.jsonl "${embedded[@]}"
# beside the baselines
baselines=h2o,h2o-mean,snapkv,tova,knorm,streaming,random,expected-attention
measure smollm2.jsonl "${smollm2[@]}" --samples 6 --budget 50%,25%,12.5% --policy "$earlier,default-mean.json,$baselines,kvzip" --tasks $tasks
measure smollm2-seen.jsonl "${smollm2[@]}" --samples 6 --budget 25% --question-in-context --policy "$earlier,default-mean.json,$baselines" --tasks "${tasks%,text}"
measure smollm2-long.jsonl --model "$model" --interval 512 --length 2500 --samples 3 --budget 25% --policy "$earlier,default-mean.json,h2o,random" --tasks $tasks
# what it drops of prose and of code, by kind of token
for haystack in "$root/build/texts/kjv.txt" code; do
  name=kinds-$(basename "$haystack" .txt)
  measure "$name.jsonl" --model "$model" --interval 512 --length 700 --samples 6 --budget 25% --policy "$earlier,default-mean.json,h2o,h2o-mean" --tasks text --haystack "$haystack" \
    --details "$name-details.jsonl" --details-prompts 6
  "$namm" report "$name.jsonl" "$name-details.jsonl" --output "$name.md"
done
