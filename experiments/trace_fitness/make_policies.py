#!/usr/bin/env python3
"""Policies that differ: random linear weights, and a calibrated probe blended with them.
make_policies.py LIGHT.json PROBE.json FOLDER: policy files of a fresh run with `--features light`, and one with `light+probe`."""
import json
import random
import sys

light, probe, folder = sys.argv[1:]


def write(name, template, scale, seed):
    content = json.load(open(template))
    policy = content["policy"]
    draw = random.Random(seed)
    policy["weights"] = [round(draw.gauss(0, scale), 6) for _ in policy["weights"]]
    json.dump(content, open(f"{folder}/{name}.json", "w"))


for seed in range(8):
    write(f"linear-{seed}", light, 1.0, seed)
for scale in (0.25, 0.5, 1.0, 2.0, 4.0):
    for seed in (11, 12):
        write(f"blend-{scale}-{seed}", probe, scale, seed)
