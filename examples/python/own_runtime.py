"""A KV cache of your own, in NumPy: a Sequence knows what the policy knows of a text, the cache follows what it keeps."""

import namm
import numpy as np

layers, heads, size, tokens = 2, 2, 16, 600
rng = np.random.default_rng(1)
policy = namm.Policy("h2o-mean").with_budget("25%").with_interval(200)
sequence = namm.Sequence(policy, [(layer, heads, size, size, 0) for layer in range(layers)])
keys = {(layer, head): np.empty((0, size), np.float32) for layer in range(layers) for head in range(heads)}

for first in range(0, tokens, 100):  # batches of 100 tokens
    for layer in range(layers):
        sequence.append(layer, np.arange(first, first + 100, dtype=np.int32))  # this policy reads no keys
        for head in range(heads):
            keys[layer, head] = np.concatenate([keys[layer, head], rng.normal(size=(100, size)).astype(np.float32)])
            held = len(keys[layer, head])
            # one query head per KV head here; with more, the mean over those that share it
            logits = rng.normal(size=(100, size)).astype(np.float32) @ keys[layer, head].T / np.sqrt(size)
            logits[np.arange(held) > np.arange(held - 100, held)[:, None]] = -np.inf
            rows = np.exp(logits - logits.max(axis=1, keepdims=True))
            sequence.observe(layer, head, rows / rows.sum(axis=1, keepdims=True), first)
    if sequence.due:
        sequence.update()
        for layer, head in keys:
            keys[layer, head] = keys[layer, head][sequence.kept(layer, head)]

print(f"{tokens} tokens read, {len(keys[0, 0])} held per head; {sequence.usage()}")
