#!/usr/bin/env python3
"""Rank correlation of surrogate fitness with live answer-likelihood: correlate.py VALUES.jsonl > correlation.json
Values of a policy are means over prompts. Intervals: 95 %, bootstrap over policies and over prompts at once."""
import json
import random
import sys


def ranks(values):
    order = sorted(range(len(values)), key=lambda i: values[i])
    out, i = [0.0] * len(values), 0
    while i < len(order):
        j = i
        while j + 1 < len(order) and values[order[j + 1]] == values[order[i]]:
            j += 1
        for k in range(i, j + 1):
            out[order[k]] = (i + j) / 2
        i = j + 1
    return out


def spearman(a, b):
    a, b = ranks(a), ranks(b)
    n = len(a)
    ma, mb = sum(a) / n, sum(b) / n
    cov = sum((x - ma) * (y - mb) for x, y in zip(a, b))
    va, vb = sum((x - ma) ** 2 for x in a), sum((y - mb) ** 2 for y in b)
    return cov / (va * vb) ** 0.5 if va > 0 and vb > 0 else float("nan")


def kendall(a, b):
    """tau-b"""
    both = ties_a = ties_b = 0
    n = len(a)
    for i in range(n):
        for j in range(i):
            x, y = (a[i] > a[j]) - (a[i] < a[j]), (b[i] > b[j]) - (b[i] < b[j])
            both += x * y
            ties_a += x == 0
            ties_b += y == 0
    pairs = n * (n - 1) / 2
    return both / ((pairs - ties_a) * (pairs - ties_b)) ** 0.5 if pairs > max(ties_a, ties_b) else float("nan")


def mean_over(values, prompts):
    return sum(values[p] for p in prompts) / len(prompts)


def correlation(rows, name, draws=2000):
    prompts = range(len(rows[0]["live"]["values"]))

    def both(some_rows, some_prompts):
        a = [mean_over(r[name]["values"], some_prompts) for r in some_rows]
        b = [mean_over(r["live"]["values"], some_prompts) for r in some_rows]
        return spearman(a, b), kendall(a, b)

    point = both(rows, list(prompts))
    draw, samples = random.Random(1), []
    for _ in range(draws):
        sample = both([draw.choice(rows) for _ in rows], [draw.choice(prompts) for _ in prompts])
        if sample[0] == sample[0]:
            samples.append(sample)

    def interval(k):
        values = sorted(s[k] for s in samples)
        return [round(values[int(0.025 * len(values))], 3), round(values[int(0.975 * len(values)) - 1], 3)]

    return {"spearman": round(point[0], 3), "spearman_ci95": interval(0), "kendall": round(point[1], 3), "kendall_ci95": interval(1)}


rows = [json.loads(line) for line in open(sys.argv[1])]
groups = {"all": rows}
for mode in sorted({r["mode"] for r in rows}):
    groups[mode] = [r for r in rows if r["mode"] == mode]
out = {"prompts": len(rows[0]["live"]["values"])}
for group, members in groups.items():
    out[group] = {"policies": len(members)}
    for name in ("retention", "retention_uniform", "semi_live"):
        out[group][name] = correlation(members, name)
out["seconds_per_unit"] = {
    name: round(sum(r[name]["seconds"] for r in rows) / sum(len(r[name]["values"]) for r in rows), 5)
    for name in ("retention", "semi_live", "live")
}
out["policies"] = [
    {
        "policy": r["policy"].rsplit("/", 1)[-1].removesuffix(".json"),
        "mode": r["mode"],
        **{name: round(sum(r[name]["values"]) / len(r[name]["values"]), 4) for name in ("retention", "retention_uniform", "semi_live", "live")},
    }
    for r in rows
]
json.dump(out, sys.stdout, indent=1)
print()
