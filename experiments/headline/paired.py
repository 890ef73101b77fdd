#!/usr/bin/env python3
"""Two policies beside each other on the same 20 prompts: how much less per token the first loses of the gold answer's
log-likelihood, with the 95 % t interval of the paired differences; by task, and over the mean of the tasks. Standard library only.

  python3 experiments/headline/paired.py RECORDS POLICY OTHER
"""
import json, math, statistics, sys

T_19 = 2.0930  # quantile of Student's t, 19 degrees of freedom, 97.5 %

records, policy, other = sys.argv[1:]
rows = {(r["policy"], r["task"]): r["prompts"]["answer_log_likelihood"] for r in map(json.loads, open(records))}


def line(name, values):
    assert len(values) == 20
    mean, half = statistics.mean(values), T_19 * statistics.stdev(values) / math.sqrt(len(values))
    return f"{name:16} {mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"


gains = {task: [a - b for a, b in zip(rows[policy, task], rows[other, task])] for _, task in rows}
for task, values in gains.items():
    print(line(task, values))
if len(gains) > 1:
    print(line("mean of tasks", [statistics.mean(of) for of in zip(*gains.values())]))
