"""Answer accuracy of a checkpoint, with the whole attention cache and with all but a few tokens of it hidden.

Teacher-forced: an answer counts if every one of its tokens, the line break after it included, is the arg max given
the gold tokens before it, which is the same as greedy decoding printing exactly the answer.
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

import data
import model as model_module


def sparse_mask(time, first, last):
    """[time, time] bool: query t sees keys 0..first-1 and t-last+1..t, the ablation's whole memory."""
    t = torch.arange(time)
    near = (t[None, :] <= t[:, None]) & (t[None, :] > t[:, None] - last)
    return near | ((t[None, :] < first) & (t[None, :] <= t[:, None]))


@torch.no_grad()
def correct(model, encoded, ablate=None, half=True, rows=10):
    """One bool per document: was the last answer reproduced? ablate: (first, last) tokens that attention may see.

    `rows` documents go through the model at once, padded at the end, where nothing looks.
    """
    results = []
    for at in range(0, len(encoded), rows):
        group = encoded[at : at + rows]
        x = torch.zeros(len(group), max(len(t) for t, _ in group) - 1, dtype=torch.int64)
        for r, (tokens, _) in enumerate(group):
            x[r, : len(tokens) - 1] = torch.from_numpy(tokens[:-1])
        mask = sparse_mask(x.shape[1], *ablate) if ablate else None
        hidden = model(x, mask, half)
        for r, (tokens, weights) in enumerate(group):
            places = np.flatnonzero(weights[1:] == np.float32(data.WEIGHTS[data.ANSWER]))
            guess = model.logits(hidden[r, places]).argmax(-1).numpy()
            results.append(bool(np.all(guess == tokens[1:][places])))
    return results


def load(path):
    """(model, tokenizer, checkpoint record) of a checkpoint written by train.py."""
    state = torch.load(path, weights_only=True)
    model = model_module.Model(model_module.Shape(**state["shape"]))
    model.load_state_dict(state["model"])
    return model.eval(), Tokenizer.from_str(state["tokenizer"]), state


def documents(tokenizer, task, length, count, prompts=None):
    """Encoded single-question documents: of the toolkit's own prompts if given, else of our generator."""
    if prompts:
        lines = [l for l in prompts if json.loads(l)["id"].startswith(task)][:count]
        return [data.encode(tokenizer, data.from_prompt(line)) for line in lines]
    return [data.encode(tokenizer, data.document(random.Random(f"test/{task}/{length}/{i}"), length, task))
            for i in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--lengths", type=int, nargs="+", default=[250, 500, 1000, 1500, 2000])
    parser.add_argument("--prompts", help="files of `namm prompts`, with {task} and {length} in the name")
    parser.add_argument("--half", action="store_true", help="bfloat16 activations, as in training")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, tokenizer, _ = load(args.checkpoint)
    rows = []
    for task in data.TASKS:
        for length in args.lengths:
            lines = None
            if args.prompts:
                lines = Path(args.prompts.format(task=task, length=length)).read_text().splitlines()
            encoded = documents(tokenizer, task, length, args.count, lines)
            row = {"task": task, "length_tokens": length, "samples": len(encoded),
                   "mean_tokens": float(np.mean([len(t) for t, _ in encoded])),
                   "full": float(np.mean(correct(model, encoded, half=args.half))),
                   "ablated": float(np.mean(correct(model, encoded, (4, 16), half=args.half)))}
            rows.append(row)
            print(json.dumps(row), flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
