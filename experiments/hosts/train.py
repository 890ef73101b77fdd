"""Trains the recall host from scratch on a CPU. An interrupted run continues from its last checkpoint."""

import argparse
import json
import math
import os
import random
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer

import data
import evaluate
import model as model_module
import ops
import optim

# (until this share of the run, lengths to draw from). Recall is learnt on short texts, where a needle is one of few,
# and then stretched; 1,500 keeps the 1,000 tokens of the evaluation inside the range.
CURRICULUM = ((0.08, (64, 64, 128)), (0.2, (64, 128, 256)), (0.4, (128, 256, 512)), (0.65, (256, 512, 1000)),
              (1.01, (256, 512, 1000, 1500)))


def length_of(seed, step, steps):
    lengths = next(l for until, l in CURRICULUM if step / steps < until)
    return random.Random(f"length/{seed}/{step}").choice(lengths)


def rate(step, steps, warmup, floor=0.02):
    """Share of the peak learning rate: linear warm-up, flat, then a linear fall over the last half."""
    if step < warmup:
        return (step + 1) / warmup
    return max(floor, min(1.0, 2.0 * (1 - step / steps)))


def make_tokenizer(size, prompts):
    rng = random.Random("tokenizer")
    texts = ["".join(p for p, _ in data.document(rng, 400)) for _ in range(6000)] + [" ".join(data.key_words())] * 20
    for lines in prompts.values():
        texts += ["".join(p for p, _ in data.from_prompt(line)) for line in lines[:1500]]
    return data.train_tokenizer(texts, size)


def save(path, **state):
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="folder for the checkpoint and the log")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--tokens", type=int, default=4096, help="tokens per step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--attention", type=int, default=2)
    parser.add_argument("--state", type=int, default=8)
    parser.add_argument("--muon-rate", type=float, default=0.02)
    parser.add_argument("--adam-rate", type=float, default=4e-3)
    parser.add_argument("--prompts", type=Path, nargs="*", default=[],
                        help="JSON lines of `namm prompts`, one file per length, the length after the last '-'")
    parser.add_argument("--prompt-share", type=float, default=0.5)
    parser.add_argument("--drills", type=float, default=0.9, help="share of drill documents at first; falls to 0.2")
    parser.add_argument("--check-every", type=int, default=250)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.output.mkdir(parents=True, exist_ok=True)
    path, log = args.output / "checkpoint.pt", args.output / "log.jsonl"
    prompts = {int(p.stem.rsplit("-", 1)[1]): p.read_text().splitlines() for p in args.prompts}
    if path.exists():
        model, tokenizer, state = evaluate.load(path)
        first, seconds = state["step"], state["seconds"]
    else:
        tokenizer = make_tokenizer(1024, prompts)
        model = model_module.Model(model_module.Shape(layers=args.layers, attention=args.attention, state=args.state,
                                                      rank=args.state))
        first, seconds, state = 0, 0.0, None
    model.train()
    optimisers = optim.build(model, args.muon_rate, args.adam_rate)
    if state:
        for o, s in zip(optimisers, state["optimisers"]):
            o.load_state_dict(s)
    started, window, answers = time.time(), time.time(), []
    for step in range(first, args.steps):
        for o in optimisers:
            for group in o.param_groups:
                group["lr"] = group["peak"] * rate(step, args.steps, 100)
        length = length_of(args.seed, step, args.steps)
        done = step / args.steps
        drills = args.drills + (0.2 - args.drills) * min(1.0, done / 0.5)
        # Real prompts hold one answer in hundreds of tokens: they come in once matching has been learnt.
        share = args.prompt_share * min(1.0, max(0.0, (done - 0.1) / 0.3))
        x, y, w = (torch.from_numpy(a) for a in data.batch(tokenizer, args.seed, step, length, args.tokens, prompts, share,
                                                           drills))
        loss, rows = ops.cross_entropy(model.logits(model(x)).flatten(0, 1), y.flatten(), w.flatten())
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(optimisers[1].param_groups[0]["params"], 1.0)
        for o in optimisers:
            o.step()
            o.zero_grad(set_to_none=True)
        model.enforce_floor()
        is_answer = w.flatten() > 0.9 * w.max()
        answers.append(float(rows[is_answer].mean()))
        if not math.isfinite(answers[-1]):
            raise RuntimeError(f"training: the loss is not finite at step {step}; lower the rates")
        if (step + 1) % 25 == 0:
            record = {"step": step + 1, "length": length, "loss": round(float(loss.detach()), 4),
                      "answer_loss": round(sum(answers) / len(answers), 4), "grad_norm": round(float(norm), 3),
                      "seconds": round(seconds + time.time() - started, 1)}
            answers = []
            if (step + 1) % args.check_every == 0 or step + 1 == args.steps:
                model.eval()
                for task in data.TASKS:
                    for n in (128, 1000):
                        encoded = evaluate.documents(tokenizer, task, n, 20)
                        record[f"{task}-{n}"] = sum(evaluate.correct(model, encoded)) / 20
                        if n == 1000:
                            record[f"{task}-{n}-ablated"] = sum(evaluate.correct(model, encoded, (4, 16))) / 20
                model.train()
                save(path, model=model.state_dict(), optimisers=[o.state_dict() for o in optimisers], step=step + 1,
                     shape=model.s.dict(), tokenizer=tokenizer.to_str(), seconds=seconds + time.time() - started)
            print(json.dumps(record), flush=True)
            with log.open("a") as f:
                f.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
