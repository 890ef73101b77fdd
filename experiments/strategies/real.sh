#!/usr/bin/env bash
# Which strategy evolves the better policy on a real fitness: the embedded host, semi-live, 12.5 % of the cache per head, the same number of evaluations for all.
# Needs a built tree. What is there already is not done again. About an hour on one core (estimated; the records are of part of it); the validations of all runs are put into real.jsonl.
#   bash experiments/strategies/real.sh [OUTPUT_DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
output=$(realpath -m "${1:-$root/build/experiments/strategies_real}")
namm=$(realpath "${BUILD:-$root/build/release}")/namm
mkdir -p "$output"
cd "$output"
for seed in 1 2 3; do
  for what in "linear light" "namm paper"; do
    read -r policy features <<< "$what"
    for strategy in cma sep-cma sep-cma-tpa cr-fm-nes es; do
      [ "$policy $strategy" != "namm cma" ] || continue  # decompositions of 4,172 x 4,172 take minutes
      run=$policy-$features-$strategy-$seed
      [ ! -e "$run/done" ] || continue
      rm -rf "$run"
      "$namm" evolve --model "$root/experiments/hosts/jamba-recall.gguf" --output "$run" --policy "$policy" --features "$features" --strategy "$strategy" --seed "$seed" \
        --fitness semi-live --tasks basic --length 500 --interval 128 --budget 12.5% --mode uniform --prompts 4 --training-pool 24 --population 12 --generations 25 \
        --validation 32 --validate-every 5 --quiet
      touch "$run/done"
    done
  done
done
python3 - > real.jsonl << 'END'
import glob, json
for log in sorted(glob.glob("*/log.jsonl")):
    policy, features, rest = log.split("/")[0].split("-", 2)
    strategy, seed = rest.rsplit("-", 1)
    lines = [json.loads(line) for line in open(log)]
    means = {line["generation"]: line["validation"]["mean"] for line in lines if "validation" in line}
    print(json.dumps({"policy": policy, "features": features, "strategy": strategy, "seed": int(seed),
                      "validation_of_the_mean": means, "best_validation": lines[-1]["best_validation"]}))
END
