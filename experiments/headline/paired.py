#!/usr/bin/env python3
"""Two policies beside each other on the same 8, 12 or 20 prompts: how much less per token the first loses of the gold answer's
log-likelihood, with the 95 % t interval of the paired differences; by budget and by task and length, and over their mean (prompts
of one number are alike in all lengths, so they are one). Standard library only.

  python3 experiments/headline/paired.py RECORDS POLICY OTHER
"""
import json, math, statistics, sys

T = {8: 2.3646, 12: 2.2010, 20: 2.0930}  # quantiles of Student's t, 97.5 %, by the number of prompts

records, policy, other = sys.argv[1:]
rows = {}
for r in map(json.loads, open(records)):
    if r["policy"] in (policy, other):
        rows[r["budget"], r["task"], r["length_tokens"], r["policy"]] = r["prompts"]["answer_log_likelihood"]


def line(name, values):
    mean, half = statistics.mean(values), T[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{name:32} {mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"


for budget in sorted({key[0] for key in rows}):
    gains = {key[1:3]: [a - b for a, b in zip(rows[(budget, *key[1:3], policy)], rows[(budget, *key[1:3], other)])]
             for key in rows if key[0] == budget}
    for (task, length), values in gains.items():
        print(line(f"{budget:6} {task}, {length}", values))
    if len(gains) > 1:
        print(line(f"{budget:6} mean of tasks", [statistics.mean(of) for of in zip(*gains.values())]))
