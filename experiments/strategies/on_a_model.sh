#!/usr/bin/env bash
# The strategies on a real fitness: answer-likelihood on the embedded host under 12.5 % per head, linear (9 parameters) and namm (4,172),
# SECONDS (30) with one worker each, three seeds. Needs a built tree. One JSON line per run in on_a_model.jsonl of OUTPUT_DIR.
#   bash experiments/strategies/on_a_model.sh [SECONDS] [OUTPUT_DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
minutes=$(python3 -c "print(${1:-30} / 60)")
output=$(realpath -m "${2:-$root/build/experiments/strategies}")
namm=${NAMM:-$root/build/release/namm}
mkdir -p "$output"
cd "$output"
export OMP_NUM_THREADS=1

one() {  # POLICY FEATURES STRATEGY SEED
  local name=$1-$3-$4
  [ ! -e "$name/done" ] || return 0
  rm -rf "$name"
  "$namm" evolve --model "$root/experiments/hosts/jamba-recall.gguf" --output "$name" --policy "$1" --features "$2" --strategy "$3" --seed "$4" \
    --budget 12.5% --mode uniform --interval 128 --length 300,600 --training-pool 16 --validation 8 --generations 100000 \
    --stop-after-minutes "$minutes" --quiet > "$name.txt"
  touch "$name/done"
}
for seed in 1 2 3; do
  for strategy in cma sep-cma sep-cma-tpa cr-fm-nes es; do
    one linear light "$strategy" "$seed" &
    [ "$strategy" = cma ] || one namm paper "$strategy" "$seed"  # cma: one decomposition of 4,172 columns takes minutes
    wait $!
  done
done
python3 - <<'PY' > on_a_model.jsonl
import glob, json
for path in sorted(glob.glob("*/done")):
    told = json.load(open(path.replace("done", "policy.json")))["provenance"]
    keys = ("policy", "strategy", "seed", "population", "generations", "start_validation", "validation")
    print(json.dumps({key: told[key] for key in keys}))
PY
