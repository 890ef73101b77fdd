#!/usr/bin/env bash
# The same short run of evolution on 1 and on 2 ranks of one worker each: bash experiments/scaling/measure.sh NAMM MODEL.gguf OUTPUT
# Keeps the timing.jsonl of both. The machine must be quiet and have two cores.
set -euo pipefail
namm=$1 model=$2 out=$3
mkdir -p "$out"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
for ranks in 1 2; do
  rm -rf "$out/run-$ranks"
  mpirun -n "$ranks" "$namm" evolve --model "$model" --tasks passkey,kv-recall --length 96,160 --interval 32 --budget 25% \
    --population 6 --prompts 2 --validation 2 --validate-every 2 --generations 2 --quiet --output "$out/run-$ranks"
  cp "$out/run-$ranks/timing.jsonl" "$out/ranks-$ranks.jsonl"
done
for file in checkpoint.json policy.json log.jsonl; do cmp "$out/run-1/$file" "$out/run-2/$file"; done
