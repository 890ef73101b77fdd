#!/usr/bin/env bash
# What the fitness functions on traces say of policies beside the live answer-likelihood, on SmolLM2-135M-Instruct.
# Needs a built tree with the target namm_fitness_values, and a policy of `namm calibrate` for the model: run.sh PROBE.json
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build/release}
probe=$(realpath "$1")
bash "$root/experiments/models/fetch_smollm2.sh" "$root/build/models"
model=$root/build/models/SmolLM2-135M-Instruct.Q4_1.gguf
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1

"$build/namm" trace --model "$model" --output "$work/t.trace" --tasks niah-single,kv-recall,passkey,niah-multikey-1 --length 500 \
  --prompts 2 --validation 2
"$build/namm" evolve --traces "$work/t.trace" --generations 0 --features light --output "$work/light"
"$build/namm" evolve --traces "$work/t.trace" --generations 0 --features light+probe --probe "$probe" --output "$work/blend"
mkdir "$work/p"
python3 "$here/make_policies.py" "$work/light/policy.json" "$work/blend/policy.json" "$work/p"
cp "$probe" "$work/p/probe.json"

values() { "$build/experiments/trace_fitness/namm_fitness_values" "$model" "$work/t.trace" 25% "$@"; }
cd "$work/p"
{
  values uniform probe.json random streaming h2o h2o-mean tova snapkv knorm linear-{0,1,2,3}.json blend-{0.5,2.0}-11.json
  values pooled probe.json random h2o-mean linear-{4,5}.json blend-0.25-11.json blend-1.0-11.json blend-4.0-12.json
} > "$here/values.jsonl"
python3 "$here/correlate.py" "$here/values.jsonl" > "$here/correlation.json"
