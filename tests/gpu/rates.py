#!/usr/bin/env python3
"""Rates and memory of llama.cpp on a GPU, alone and with policies attached, in one run: llama-batched-bench reads prompts of several
lengths and generates behind each; `namm attach` holds its cache in device memory.

    python3 tests/gpu/rates.py --namm build/gpu/namm --bench build/llama/bin/llama-batched-bench --model model.gguf --out rates.json

What runs takes turns (--repetitions), so that a machine that gets slower slows all of it. Memory is what the driver says of the whole
GPU, at most, every 50 ms, less what it said before. Standard library only."""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time


def memory_used():
    if not shutil.which("nvidia-smi"):
        return None
    said = subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"], capture_output=True, text=True)
    return int(said.stdout.split()[0]) if said.returncode == 0 and said.stdout.strip() else None


class Peak(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.before = memory_used()
        self.most, self.over = self.before, threading.Event()

    def run(self):
        while self.before is not None and not self.over.wait(0.05):
            self.most = max(self.most, memory_used() or 0)

    def end(self):
        self.over.set()
        self.join()
        return None if self.before is None else self.most - self.before


def run(a, name, options):
    """One process that measures all lengths: [{prompt, read_per_second, generated_per_second}], its peak, what namm said."""
    with tempfile.TemporaryDirectory() as folder:
        stats = pathlib.Path(folder) / "stats.jsonl"
        command = [a.bench, "-m", a.model, "-ngl", "99", "-fa", "on", "-npp", a.lengths, "-ntg", str(a.generate), "-npl", "1"]
        cells = max(map(int, a.lengths.split(","))) + a.generate
        command += ["-c", str(-(-cells // 256) * 256), "-b", "2048", "-ub", "512", "--output-format", "jsonl"]
        if options is not None:
            command = [a.namm, "attach", "--quiet", "--stats", str(stats), *options, "--", *command]
        peak = Peak()
        peak.start()
        began = time.time()
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=a.timeout)
        except subprocess.TimeoutExpired:
            peak.end()
            return {"name": name, "code": 124, "lengths": [], "said": f"longer than {a.timeout} s"}
        out = {"name": name, "seconds": round(time.time() - began, 1), "peak_mib": peak.end(), "code": done.returncode, "lengths": []}
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                row = json.loads(line)
                out["lengths"].append({"prompt": row["pp"], "read_per_second": row["speed_pp"], "generated_per_second": row["speed_tg"]})
        if stats.exists():
            out["stats"] = [json.loads(line) for line in stats.read_text().splitlines()]
        if done.returncode or not out["lengths"]:
            out["said"] = done.stderr[-2000:]
        return out


def variants(a):
    yield "alone", None
    yield "full", ["--policy", "full"]
    for policy in a.policies.split(","):
        yield policy, ["--policy", policy, "--budget", a.budget]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("namm", "bench", "model", "out"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--lengths", default="4096,16384,32768", help="of the prompts (%(default)s)")
    parser.add_argument("--generate", type=int, default=64, help="tokens behind each (%(default)s)")
    parser.add_argument("--policies", default="streaming,h2o-mean", help="names and policy files (%(default)s)")
    parser.add_argument("--budget", default="25%", help="of each policy (%(default)s)")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--timeout", type=int, default=300, help="seconds of one process (%(default)s)")
    a = parser.parse_args()
    runs = [run(a, name, options) for _ in range(a.repetitions) for name, options in variants(a)]
    report = {"model": os.path.basename(a.model), "budget": a.budget, "runs": runs}
    pathlib.Path(a.out).write_text(json.dumps(report, indent=1) + "\n")

    print(f"{'':22}" + "".join(f"{n + ' read/s':>16}{'generated/s':>13}" for n in a.lengths.split(",")) + f"{'peak MiB':>10}")
    for name, _ in variants(a):
        mine = [r for r in runs if r["name"] == name and r["code"] == 0 and r["lengths"]]
        if not mine:
            print(f"{os.path.basename(name):22} failed: " + next(r.get("said", "") for r in runs if r["name"] == name)[-300:])
            continue
        print(f"{os.path.basename(name):22}", end="")
        for i in range(len(mine[0]["lengths"])):
            for rate, width in (("read_per_second", 16), ("generated_per_second", 13)):
                print(f"{statistics.median(r['lengths'][i][rate] for r in mine):{width}.1f}", end="")
        print(f"{max(r['peak_mib'] or 0 for r in mine):10}")
    return int(any(r["code"] or not r["lengths"] for r in runs))


if __name__ == "__main__":
    sys.exit(main())
