#!/usr/bin/env python3
"""Three seeds of prompts by three of fits: the change of the gold answer's log-likelihood per token over all 60 prompts, with the
95 % t interval of the paired differences; of each fit, and of the mean of the three (per prompt). Standard library only.

  python3 experiments/headline/three_seeds.py [RECORDS]     default: seeds_chunked.jsonl beside this file
"""
import json, math, pathlib, statistics, sys

T_59 = 2.0010  # quantile of Student's t, 59 degrees of freedom, 97.5 %

records = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).with_name("seeds_chunked.jsonl")
rows = {(r["seed"], r["policy"], r["task"]): r for r in map(json.loads, records.read_text().splitlines())}
seeds = sorted({seed for seed, _, _ in rows})
fits = sorted({policy for _, policy, _ in rows if policy.startswith("calibrated")})


def changes(policy, task):
    out = []
    for seed in seeds:
        mine, full = (rows[seed, name, task]["prompts"]["answer_log_likelihood"] for name in (policy, "full"))
        out += [a - b for a, b in zip(mine, full)]
    return out


def line(name, values):
    assert len(values) == 60
    mean, half = statistics.mean(values), T_59 * statistics.stdev(values) / math.sqrt(len(values))
    return f"{name:28} {mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"


for task in sorted({task for _, _, task in rows}):
    print(task)
    for fit in fits:
        right = sum(sum(rows[seed, fit, task]["prompts"]["exact"]) for seed in seeds)
        print(" ", line(fit, changes(fit, task)), f"{right:.0f} of 60 right")
    print(" ", line("mean of the fits", [statistics.mean(of) for of in zip(*(changes(fit, task) for fit in fits))]))
    print("  full:", f"{sum(sum(rows[seed, 'full', task]['prompts']['exact']) for seed in seeds):.0f} of 60 right")
