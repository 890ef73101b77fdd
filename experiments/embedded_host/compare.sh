#!/usr/bin/env bash
# All policies side by side on the embedded host: 50, 25 and 12.5 % of the cache per KV head, 1,000-token prompts of the three
# tasks the host was trained on. Goes on where it was stopped. Needs a built tree; NAMM names another program than build/release/namm.
#   bash experiments/embedded_host/compare.sh [OUTPUT_DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
output=$(realpath -m "${1:-$root/build/experiments/comparison}")
namm=$(realpath "${NAMM:-$root/build/release/namm}")
mkdir -p "$output"
cd "$here"  # results name policies by their path from here
policies=policies/linear-light-seed1.json,policies/linear-light-seed2.json,policies/linear-light-seed3.json
policies+=,random,streaming,h2o,h2o-mean,tova,snapkv,knorm,expected-attention,kvzip,oracle
SECONDS=0
"$namm" eval --model "$root/experiments/hosts/jamba-recall.gguf" --policy "$policies" --budget 50%,25%,12.5% --mode uniform \
  --interval 128 --tasks passkey,niah-single,kv-recall --length 1000 --samples 40 --seed 7 --workers 2 --json "$output/comparison.jsonl" \
  --details "$output/comparison-details.jsonl" --details-prompts 3 --resume > /dev/null
echo "evaluation: $SECONDS s"
"$namm" report "$output/comparison.jsonl" "$output/comparison-details.jsonl" --output "$output/comparison.md"
"$namm" report "$output/comparison.jsonl" "$output/comparison-details.jsonl" --output "$output/comparison.html"
echo "report: $output/comparison.html, comparison.md"
