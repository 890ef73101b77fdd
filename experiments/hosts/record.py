"""Gathers a finished run into one JSON: settings, learning curve, accuracy, checksum."""

import argparse
import hashlib
import importlib.metadata
import json
from pathlib import Path

import evaluate

PACKAGES = ("torch", "numpy", "tokenizers", "gguf")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="output folder of train.py, with accuracy.json of evaluate.py in it")
    parser.add_argument("gguf", type=Path)
    parser.add_argument("json", type=Path)
    args = parser.parse_args()
    model, _, state = evaluate.load(args.run / "checkpoint.pt")
    log = [json.loads(line) for line in (args.run / "log.jsonl").read_text().splitlines()]
    content = args.gguf.read_bytes()
    record = {
        "file": args.gguf.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
        "architecture": "jamba", "parameters": sum(p.numel() for p in model.parameters()), "shape": state["shape"],
        "steps": state["step"], "seconds": round(state["seconds"]),
        "packages": {p: importlib.metadata.version(p) for p in PACKAGES},
        "accuracy": json.loads((args.run / "accuracy.json").read_text()),
        "curve": [r for r in log if "kv-recall-1000" in r],
    }
    args.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
