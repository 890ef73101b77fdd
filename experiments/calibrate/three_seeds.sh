#!/usr/bin/env bash
# SmolLM2-135M-Instruct, three seeds from texts to policy: calibrate with the defaults, evolve an offset per KV head for 12.5 % on top of it, without recency and with it; average
# three runs (averaged-1: seeds 1 to 3, averaged-2: seeds 4 to 6); then
# measure on tasks, real prose, code, longer contexts, with the question seen and on the weights as they were published. Everything else runs on a copy with weights in
# Q8_0. Needs a built tree with the target namm_requantize. About four hours on two cores (estimated); what is there already is not done again.
#   bash experiments/calibrate/three_seeds.sh [OUTPUT_DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
output=$(realpath -m "${1:-$root/build/experiments/three_seeds}")
build=$(realpath "${BUILD:-$root/build/release}")
namm=$build/namm
bash "$root/experiments/models/fetch_smollm2.sh" "$root/build/models"
[ -e "$root/build/texts/manuals.txt" ] || bash "$root/experiments/texts/fetch.sh" "$root/build/texts"
original=$root/build/models/SmolLM2-135M-Instruct.Q4_1.gguf
model=$root/build/models/SmolLM2-135M-Instruct.Q8_0.gguf
[ -e "$model" ] || "$build/experiments/models/namm_requantize" "$original" "$model"
mkdir -p "$output"
cd "$output"  # results name policies by their path from here

set_recency() {  # R FROM TO: the policy in folder TO is that of FROM but for its recency
  python3 -c 'import json, sys
file = json.load(open(sys.argv[2] + "/policy.json"))
file["policy"]["recency"] = file["provenance"]["recency"] = int(sys.argv[1])
json.dump(file, open(sys.argv[3] + "/policy.json", "w"))' "$@"
}

evolve() {  # FOLDER START SEED
  [ ! -e "$1/done" ] || return 0
  local how=(--output "$1")
  [ ! -e "$1/checkpoint.json" ] || how=(--resume "$1")
  "$namm" evolve --model "$model" "${how[@]}" --policy "$2" --seed "$3" --fitness semi-live --strategy sep-cma-tpa --step-size 0.3 --population 12 \
    --generations 15 --prompts 2 --training-pool 12 --validation 4 --validate-every 5 --tasks passkey,niah-single-3,niah-multivalue,kv-recall,code-retrieval,text \
    --length 512,900 --budget 12.5% --mode pooled --interval 512 --workers 2 --quiet
  touch "$1/done"
}

for seed in 1 2 3; do
  [ -e "probe-$seed/policy.json" ] && [ ! -e "probe-$seed/calibration.state" ] || {
    how=(--output "probe-$seed")
    [ ! -e "probe-$seed/calibration.state" ] || how=(--resume "probe-$seed")
    "$namm" calibrate --no-keep --model "$model" "${how[@]}" --seed "$seed" --workers 2
    # the recency that the tables have
    python3 "$root/experiments/recency/earlier.py" "probe-$seed/policy.json" "probe-$seed/policy.json"
  }
  mkdir -p "plain-$seed" "offsets-plain-then-$seed"
  set_recency 0 "probe-$seed" "plain-$seed"
  evolve "offsets-$seed" "probe-$seed/policy.json" "$seed"
  evolve "offsets-plain-$seed" "plain-$seed/policy.json" "$seed"
  evolve "offsets-plain-$((seed + 3))" "plain-$seed/policy.json" "$((seed + 3))"
  set_recency 1 "offsets-plain-$seed" "offsets-plain-then-$seed"
done
mkdir -p averaged-1 averaged-2
"$namm" average offsets-plain-{1,2,3}/policy.json --recency 1 --output averaged-1/policy.json
"$namm" average offsets-plain-{5,6,4}/policy.json --recency 1 --output averaged-2/policy.json  # the first file's probe: seed 2's

measure() {  # FILE ARGUMENTS...
  local resume=()
  [ ! -e "$1" ] || resume=(--resume)
  "$namm" eval --json "$1" "${resume[@]}" --interval 512 --seed 11 --workers 2 --quiet "${@:2}" > /dev/null
}
tasks=passkey,niah-multikey-1,kv-recall,multi-turn,vt,text
probes=probe-1/policy.json,probe-2/policy.json,probe-3/policy.json
offsets=,averaged-1/policy.json,averaged-2/policy.json,offsets-plain-4/policy.json,offsets-plain-5/policy.json,offsets-plain-6/policy.json
for kind in "" plain- plain-then-; do offsets+=,offsets-${kind}1/policy.json,offsets-${kind}2/policy.json,offsets-${kind}3/policy.json; done
measure tasks.jsonl --model "$model" --mode pooled --length 700 --samples 6 --tasks "$tasks" --budget 25%,12.5% --policy "$probes$offsets"
measure others.jsonl --model "$model" --mode pooled --length 700 --samples 6 --tasks "$tasks" --budget 25%,12.5% --policy h2o-mean,kvzip
others() {  # FILE ARGUMENTS...: one seed beside the others' best
  measure "$1" --mode pooled --budget 25%,12.5% --policy probe-1/policy.json,averaged-1/policy.json,plain-1/policy.json,offsets-1/policy.json,offsets-plain-1/policy.json,offsets-plain-then-1/policy.json,h2o-mean,kvzip "${@:2}"
}
others prose.jsonl --model "$model" --length 700 --samples 6 --tasks text --haystack "$root/build/texts/kjv.txt"
others manuals.jsonl --model "$model" --length 700 --samples 6 --tasks text --haystack "$root/build/texts/manuals.txt"
others code.jsonl --model "$model" --length 700 --samples 6 --tasks text --haystack code
others question-seen.jsonl --model "$model" --length 700 --samples 4 --tasks "$tasks" --question-in-context
others length-4000.jsonl --model "$model" --length 4000 --samples 2 --tasks niah-multikey-1,kv-recall,multi-turn,text
others length-7900.jsonl --model "$model" --length 7900 --samples 1 --tasks niah-multikey-1,kv-recall,multi-turn,text
# the weights as published
measure original.jsonl --model "$original" --mode pooled --length 700 --samples 3 --tasks "$tasks" --budget 50%,25%,12.5% --policy "$probes,averaged-1/policy.json"
