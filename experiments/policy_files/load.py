#!/usr/bin/env python3
"""How long a large policy takes to load, as JSON and as safetensors: a calibrated policy of made-up numbers in the shape of Llama 3 8B.

    python experiments/policy_files/load.py [--layers 32] [--times 7]

Needs the Python package, whose reader is the program's. Every file is read several times, the fastest and the median are printed;
the first reading has put it into the memory of the system.
"""

import argparse
import json
import os
import statistics
import tempfile
import time

import namm
import numpy as np


def made_up(layers, kv_heads=8, size=128):
    draw = np.random.default_rng(1)
    inputs = 2 * kv_heads * size

    def numbers(count):
        return [float(f"{x:.9g}") for x in draw.standard_normal(count).astype(np.float32)]

    return {
        "input": "layer",
        "layers": [
            {
                "layer": layer,
                "kv_heads": kv_heads,
                "key_size": size,
                "value_size": size,
                "weights": numbers(kv_heads * (inputs + 1)),
                "square_centre": numbers(inputs),
                "square_scale": numbers(inputs),
                "square_weights": numbers(kv_heads * inputs),
            }
            for layer in range(layers)
        ],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--times", type=int, default=7)
    values = parser.parse_args()
    probe = made_up(values.layers)
    count = sum(len(part) for layer in probe["layers"] for part in layer.values() if isinstance(part, list))
    content = {
        "format": "namm-policy",
        "version": 1,
        "kind": "key-probe",
        "interval_tokens": 512,
        "policy": {"probe": probe, "recency": 1.0},
        "selection": {"mode": "pooled", "budget": "25%", "sinks": 4, "recent": 16},
        "spectrogram": {"fft_size": 32, "hop": 16, "decay": 0.99},
        "provenance": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        first = os.path.join(folder, "first.json")
        with open(first, "w", encoding="utf-8") as file:
            json.dump(content, file)
        policy = namm.Policy(first)
        print(f"{count} numbers")
        for ending in ("json", "safetensors"):
            path = os.path.join(folder, f"policy.{ending}")
            policy.save(path)
            taken = []
            for _ in range(values.times):
                start = time.process_time()
                again = namm.Policy(path)
                taken.append(1000 * (time.process_time() - start))
            assert again.json == policy.json
            size = os.path.getsize(path) / 2**20
            print(f"{ending}: {size:.1f} MiB, {min(taken):.1f} ms of processor time at best, {statistics.median(taken):.1f} median of {values.times}")


if __name__ == "__main__":
    main()
