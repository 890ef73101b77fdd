"""A calibrated policy as earlier versions made it: recency 1 in all heads alike, and between them.

    python3 experiments/recency/earlier.py calibrated/policy.json earlier.json [RECENCY]

With a recency of 0 it is today's without recency.
"""
import json
import sys

read, written, recency = sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 1.0
with open(read) as file:
    content = json.load(file)
content["policy"].pop("evenness")
content["policy"]["recency"] = recency
content["provenance"]["recency"] = recency
with open(written, "w") as file:
    json.dump(content, file)
