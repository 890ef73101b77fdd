#!/usr/bin/env python3
"""What an entry per head that stands for the evicted tokens is worth: their mean key and value, its logit raised by the log of
their number.

  python experiments/left_behind/means.py MODEL POLICY PROMPTS.jsonl OUTPUT.jsonl
  python experiments/left_behind/means.py --table OUTPUT.jsonl...

MODEL is a folder of Transformers (float32), POLICY what `namm calibrate` writes, PROMPTS what `namm prompts` prints. Prompts that
are in OUTPUT already are left out. Needs namm, kvpress 0.5.5 with its Transformers (below 5.3), torch and SciPy.

A context is read once with the full cache; the policy decides once, behind it. Question and answer then see what is kept, and the
entries that stand for the rest, by an attention of ours. An entry takes the place of a kept token: budgets are of both together.
"""

import argparse
import json
import math
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "kvpress"))

SHARES = [0.25, 0.125, 0.05]
PROTECTED = 20  # 4 sinks, the newest 16: NAMMPress's own
WAYS = {  # name: (entries of a head, how evicted tokens are shared between them, what is added to the log of their number)
    "nothing": (0, None, None),
    "1 mean": (1, "together", "log"),
    "1 mean, as one token": (1, "together", "none"),
    "1 mean, heads unlike their mean none": (1, "together", "close"),
    "4 means, by place": (4, "place", "log"),
    "4 means, by key": (4, "key", "log"),
    "16 means, by key": (16, "key", "log"),
    "4 means, by key, heads unlike them none": (4, "key", "close"),
    "1 mean and the spread of the keys": (1, "together", "spread"),
}


class Head:
    """What a KV head's evicted tokens leave: keys, values [entries, size]; added [entries]; spread [entries, size], the variance."""

    def __init__(self, keys, values, way, torch):
        count, shared, added = WAYS[way]
        members = torch.zeros(len(keys), dtype=torch.long)
        if shared == "place":
            members = torch.arange(len(keys)) * count // max(len(keys), 1)
        elif shared == "key":
            members = clusters(keys, count, torch)
        parts = [index for index in (torch.where(members == part)[0] for part in range(count)) if len(index)]
        mean = lambda rows: torch.stack([rows[index].mean(0) for index in parts])
        self.keys, self.values = mean(keys), mean(values)
        self.spread = torch.stack([keys[index].var(0, unbiased=False) for index in parts])
        self.added = torch.tensor([0.0 if added == "none" else math.log(len(index)) for index in parts])
        self.second_order = added == "spread"
        # whether the means say something of these keys: what is left around them is less than half their mean square
        shares = torch.tensor([len(index) / len(keys) for index in parts])
        self.close = (shares[:, None] * self.spread).sum() < 0.5 * (keys * keys).mean(0).sum()


def clusters(keys, count, torch):
    """k-means in 10 rounds, begun with the tokens at equal distances in the text."""
    centres = keys[torch.arange(count) * len(keys) // count]
    for _ in range(10):
        members = torch.cdist(keys, centres).argmin(1)
        centres = torch.stack([keys[members == part].mean(0) if (members == part).any() else centres[part] for part in range(count)])
    return members


class Left:
    """The attention of question and answer, for every layer: a mask over the context, and what stands for the evicted."""

    def __init__(self, kept, heads):
        self.kept, self.heads = kept, heads  # [layer][KV head]: bool [context]; Head or None

    def attend(self, layer, query, key, value, scale, torch):
        group = query.shape[1] // key.shape[1]
        out = torch.empty_like(query)
        tokens, total = query.shape[2], key.shape[2]
        seen = torch.ones(tokens, total, dtype=torch.bool).tril(total - tokens)
        for kv_head in range(key.shape[1]):
            q = query[0, kv_head * group : (kv_head + 1) * group]
            of_context = self.kept[layer][kv_head]
            mask = seen.clone()
            mask[:, : len(of_context)] &= of_context
            logits = (q @ key[0, kv_head].T * scale).masked_fill(~mask, float("-inf"))
            values = value[0, kv_head]
            if (head := self.heads[layer][kv_head]) is not None:
                more = q @ head.keys.T * scale + head.added
                if head.second_order:  # log E exp of a Gaussian
                    more = more + (q * q) @ head.spread.T * scale * scale / 2
                logits, values = torch.cat([logits, more], -1), torch.cat([values, head.values])
            out[0, kv_head * group : (kv_head + 1) * group] = logits.softmax(-1) @ values
        return out


class Experiment:
    def __init__(self, folder, policy):
        import compare
        from transformers import AttentionInterface

        self.bench = compare.Bench(folder, [], False)
        self.torch, self.policy, self.left = self.bench.torch, policy, None
        AttentionInterface.register("left-behind", self.attention)

    def attention(self, module, query, key, value, mask, dropout=0.0, scaling=None, **kwargs):
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        return self.left.attend(module.layer_idx, query, key, value, scale, self.torch).transpose(1, 2).contiguous(), None

    def encode(self, prompt):
        """Token ids of context, question and answer; plain text has no question and no chat template."""
        if prompt["question"]:
            return self.bench.encode(prompt)
        ids = lambda text: self.bench.tokenizer.encode(text, add_special_tokens=False)
        context, answer = ids(prompt["context"]), ids(" " + prompt["answers"][0].lstrip())
        return context[:-1], context[-1:], answer

    def read(self, context):
        """The full cache, and the policy's statistics of the context."""
        from namm._model import ModelShape
        from namm.kvpress import NAMMPress, _Reading

        self.shape = ModelShape(self.bench.model)
        reading = _Reading(NAMMPress(self.policy, 0.5).chosen(), self.shape)
        with reading.attached():
            cache = self.bench.read(context)
        return cache, reading.observed.sequences[0].save()

    def kept(self, saved, tokens, entries):
        """bool [layer][KV head][token] of a policy with so many entries per head in the mean, in the policy's own mode."""
        from namm import Sequence
        from namm.kvpress import NAMMPress

        policy = NAMMPress(self.policy, 1 - entries / tokens).chosen()
        sequence = Sequence(policy, self.shape.layer_tuples(), self.shape.bytes_per_number)
        sequence.restore(saved)
        sequence.update()
        out = self.torch.zeros(len(self.bench.layers), self.shape.kv_heads, tokens, dtype=self.torch.bool)
        for layer in range(len(self.bench.layers)):
            for head in range(self.shape.kv_heads):
                out[layer, head, self.torch.from_numpy(sequence.kept(layer, head)).long()] = True
        return out

    def ask(self, cache, left, question, answer, context):
        """Log-probabilities of the answer's tokens, nat, in the mean, and those of all next tokens [answer, vocabulary]."""
        torch = self.torch
        self.left = left
        fed = self.bench.transformers.DynamicCache()
        for index, layer in enumerate(cache.layers):
            fed.update(layer.keys.clone(), layer.values.clone(), index)
        later = question + answer[:-1]
        config = self.bench.model.config
        before, config._attn_implementation = config._attn_implementation, "left-behind"
        try:
            out = self.bench.model(
                input_ids=torch.tensor([later]),
                position_ids=torch.arange(len(context), len(context) + len(later)).unsqueeze(0),
                past_key_values=fed,
                logits_to_keep=len(answer),
            )
        finally:
            config._attn_implementation = before
        chances = torch.log_softmax(out.logits[0].float(), dim=-1)
        return chances[torch.arange(len(answer)), torch.tensor(answer)].mean().item(), chances

    def heads(self, cache, kept, way):
        if WAYS[way][0] == 0:
            return [[None] * self.shape.kv_heads for _ in cache.layers]
        out = []
        for index, layer in enumerate(cache.layers):
            row = []
            for head in range(self.shape.kv_heads):
                gone = ~kept[index, head]
                one = None
                if gone.any():
                    one = Head(layer.keys[0, head, gone], layer.values[0, head, gone], way, self.torch)
                    if WAYS[way][2] == "close" and not one.close:
                        one = None
                row.append(one)
            out.append(row)
        return out

    def measure(self, prompt):
        context, question, answer = self.encode(prompt)
        cache, saved = self.read(context)
        everything = self.torch.ones(len(self.bench.layers), self.shape.kv_heads, len(context), dtype=self.torch.bool)
        best, all_chances = self.ask(cache, Left(everything, self.heads(cache, everything, "nothing")), question, answer, context)
        for share in SHARES:
            for way, (count, _, _) in WAYS.items():
                entries = max(share * len(context) - count, PROTECTED)
                kept = self.kept(saved, len(context), entries)
                value, chances = self.ask(cache, Left(kept, self.heads(cache, kept, way)), question, answer, context)
                yield {
                    "task": prompt["task"],
                    "prompt": prompt["id"],
                    "tokens": len(context),
                    "share": share,
                    "way": way,
                    "kept": kept.float().mean().item(),
                    "full_log_likelihood": best,
                    "answer_log_likelihood": value,
                    "kl": (all_chances.exp() * (all_chances - chances)).sum(-1).mean().item(),
                }


def table(paths):
    """Change against the full cache, nat per token of the answer, its paired difference from leaving nothing, and the divergence."""
    from scipy.stats import t

    records = [json.loads(line) for path in paths for line in open(path)]

    def interval(values):
        mean, half = statistics.mean(values), t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
        return f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]"

    tasks = sorted({record["task"] for record in records})
    texts = [task for task in tasks if task.startswith("text")]
    groups = {**{task: [task] for task in tasks}, "plain texts": texts, "questions": [task for task in tasks if task not in texts]}
    for name, of_group in groups.items():
        of_task = [record for record in records if record["task"] in of_group]
        of = lambda way, share, value: {r["prompt"]: value(r) for r in of_task if r["way"] == way and r["share"] == share}
        print(f"\n{name}, {len({record['prompt'] for record in of_task})} prompts\n")
        print("| left behind | " + " | ".join(f"{100 * share:g} % | beside nothing | KL" for share in SHARES) + " |\n|" + "---|" * (1 + 3 * len(SHARES)))
        for way in WAYS:
            cells = []
            for share in SHARES:
                change = lambda record: record["answer_log_likelihood"] - record["full_log_likelihood"]
                mine, none = of(way, share, change), of("nothing", share, change)
                cells.append(f"{statistics.mean(mine.values()):+.3f}")
                cells.append("" if way == "nothing" else interval([mine[prompt] - none[prompt] for prompt in mine]))
                cells.append(f"{statistics.mean(of(way, share, lambda record: record['kl']).values()):.3f}")
            print(f"| {way} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        return table(options.files)
    folder, policy, prompts, output = options.files
    import compare
    import torch
    import transformers

    transformers.logging.disable_progress_bar()
    experiment = Experiment(str(folder), str(policy))
    with torch.no_grad():
        compare.measure_rest([json.loads(line) for line in open(prompts)], output, experiment.measure)


if __name__ == "__main__":
    main()
