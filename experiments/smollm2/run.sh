#!/usr/bin/env bash
# SmolLM2-135M-Instruct on 4,000 tokens of a licence text with one number hidden in it: stock llama.cpp (flash attention off and on), the full cache attached, and a policy
# at 50, 25 and 12.5 %, uniform and pooled. Answer, entries, bytes, resident memory and speed, in one run.
#   bash experiments/smollm2/run.sh [POLICY] [OUTPUT_DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
policy=${1:-h2o-mean}
output=${2:-$root/build/experiments/smollm2}
namm=${NAMM:-$root/build/release/namm}
mkdir -p "$output"
bash "$root/experiments/models/fetch_smollm2.sh" "$root/build/models"
model=$root/build/models/SmolLM2-135M-Instruct.Q4_1.gguf
"$namm" prompts --task niah-single --model "$model" --length 4000 --seed 3 --split test \
  --haystack /usr/share/common-licenses/GPL-3 > "$output/prompt.jsonl"
python3 - "$output" <<'PY'
import json, sys
folder = sys.argv[1]
sample = json.loads(open(f"{folder}/prompt.jsonl").readline())
open(f"{folder}/context.txt", "w").write(sample["context"])
open(f"{folder}/question.txt", "w").write(sample["question"].strip())
open(f"{folder}/prefix.txt", "w").write(sample["answer_prefix"].strip())
PY
"$namm" run --model "$model" --file "$output/context.txt" --question "$(cat "$output/question.txt")" \
  --answer-prefix "$(cat "$output/prefix.txt")" --max-tokens 32 --compare --policy "$policy" --budget 50%,25%,12.5% \
  --mode uniform,pooled --interval 512 --threads "${THREADS:-2}" --json "$output/results.jsonl"
