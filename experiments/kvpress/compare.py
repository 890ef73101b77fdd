#!/usr/bin/env python3
"""kvpress's presses and our policies on the same prompts: a context is compressed once, without its question, then the question is
asked and the gold answer's log-likelihood is taken.

  python experiments/kvpress/compare.py MODEL PROMPTS.jsonl OUTPUT.jsonl [--policies default,FILE] [--presses KeyDiff,KVzip] [--ratios 0.75,0.875]
  python experiments/kvpress/compare.py --table OUTPUT.jsonl...

MODEL is a folder of Transformers, PROMPTS what `namm prompts` prints. Prompts that are in OUTPUT already are left out, so
that a run that was stopped goes on with the same line.
Needs namm, kvpress 0.5.5 with its Transformers (below 5.3), torch and SciPy.

A context is read once for all presses that score layer by layer: the hook below calls their compress() as BasePress's hook does, for
every press and ratio. KVzip reads by itself, once for all ratios; so does each of our policies.
"""

import argparse
import copy
import json
import logging
import statistics
import sys
from pathlib import Path

MODES = ["uniform", "pooled"]


def layer_by_layer(ratios, names):
    import kvpress as kv

    made = {
        "Random": kv.RandomPress(seed=1),
        "Knorm": kv.KnormPress(),
        "KeyDiff": kv.KeyDiffPress(),
        "TOVA": kv.TOVAPress(),
        "SnapKV": kv.SnapKVPress(),
        "ChunkKV (SnapKV)": kv.ChunkKVPress(kv.SnapKVPress()),
        "ExpectedAttention": kv.ExpectedAttentionPress(),
        "AdaKV (ExpectedAttention)": kv.AdaKVPress(kv.ExpectedAttentionPress()),
    }
    presses = {}
    for name in made if names is None else [name for name in names if name in made]:
        for ratio in ratios:
            presses[name, ratio] = one = copy.deepcopy(made[name])
            one.compression_ratio = ratio
    return presses


def label_of(policy):
    return "calibrated" if policy.endswith(".json") or Path(policy).is_dir() else policy


class Compressed:
    """A cache as a press leaves it: per layer keys, values and what kvpress hides of them (None: nothing)."""

    def __init__(self):
        self.layers = []

    def add(self, keys, values, hidden=None):
        self.layers.append((keys, values, hidden))

    def bytes(self):
        return sum(tensor.untyped_storage().nbytes() for keys, values, _ in self.layers for tensor in (keys, values))

    def entries(self):
        return sum(keys.shape[1] * keys.shape[2] - (0 if hidden is None else len(hidden[0])) for keys, _, hidden in self.layers)


class Bench:
    def __init__(self, folder, options):
        import torch
        import transformers

        torch.set_num_threads(1)
        self.torch, self.transformers = torch, transformers
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=options.dtype, attn_implementation="sdpa").eval()
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.layers = [layer.self_attn for layer in self.model.model.layers]
        self.name, self.dtype = Path(folder).stem, options.dtype
        self.policies, self.only_ours = options.policies.split(",") if options.policies else [], options.only_ours
        self.presses = options.presses and options.presses.split(",")
        self.ratios = [float(ratio) for ratio in options.ratios.split(",")]

    # -- prompts, in the parts of host/protocol.hpp -------------------------------------------------------------------------------

    def encode(self, prompt):
        mark = "#" * 40
        template = self.tokenizer.apply_chat_template([{"role": "user", "content": mark}], add_generation_prompt=True, tokenize=False)
        before, after = template.split(mark)
        ids = lambda text: self.tokenizer.encode(text, add_special_tokens=False) if text else []
        shown = prompt["answer_prefix"] or prompt["question"] + after
        answer = ("" if shown[-1:].isspace() else " ") + prompt["answers"][0]
        question = ids(prompt["question"]) + ids(after) + ids(prompt["answer_prefix"])
        return ids(before) + ids(prompt["context"]), question, ids(answer)

    # -- compressing --------------------------------------------------------------------------------------------------------------

    def read(self, context):
        """The cache of a context, as plain tensors."""
        cache = self.transformers.DynamicCache()
        self.model.model(input_ids=self.torch.tensor([context]), past_key_values=cache)
        return cache

    def by_layer(self, context):
        """The full cache, and {(press, ratio): Compressed} of the presses that compress a layer when it has been read."""
        presses = {} if self.only_ours else layer_by_layer(self.ratios, self.presses)
        out = {key: Compressed() for key in presses}

        def hook(module, args, kwargs, output):
            held = kwargs["past_key_values"].layers[module.layer_idx]
            for key, press in presses.items():
                module.masked_key_indices = None
                keys, values = press.compress(module, kwargs["hidden_states"], held.keys, held.values, output[1], kwargs)
                out[key].add(keys, values, module.masked_key_indices)
            module.masked_key_indices = None

        for press in presses.values():
            press.post_init_from_model(self.model)
        hooks = []
        for module in self.layers:
            module.rotary_emb = self.model.model.rotary_emb
            hooks.append(module.register_forward_hook(hook, with_kwargs=True))
        try:
            cache = self.read(context)
        finally:
            for one in hooks:
                one.remove()
        full = Compressed()
        for layer in cache.layers:
            full.add(layer.keys, layer.values)
        return full, out

    def kvzip(self, context):
        import kvpress

        bench, hidden = self, {}

        class AllRatios(kvpress.KVzipPress):
            def compress_post(self, model):
                for ratio in bench.ratios:
                    self.compression_ratio = ratio
                    super().compress_post(model)
                    hidden[ratio] = [module.masked_key_indices for module in bench.layers]

        with AllRatios(compression_ratio=self.ratios[0])(self.model):
            cache = self.read(context)
        return {("KVzip", ratio): self.hiding(cache, hidden[ratio]) for ratio in self.ratios}

    def hiding(self, cache, hidden):
        out = Compressed()
        for layer, indices in zip(cache.layers, hidden, strict=True):
            out.add(layer.keys, layer.values, indices)
        return out

    def ours(self, context, name):
        """A policy's statistics are of one reading; a budget and a mode only say what is done with them."""
        from namm import Sequence
        from namm._model import ModelShape
        from namm.kvpress import NAMMPress, _dropped, _gather, _Reading

        shape, out = ModelShape(self.model), {}
        reading = _Reading(NAMMPress(name, 0.5, mode="uniform").chosen(), shape)
        with reading.attached():
            cache = self.read(context)
        saved = reading.observed.sequences[0].save()
        for mode in MODES:
            for ratio in self.ratios:
                sequence = Sequence(NAMMPress(name, ratio, mode=mode).chosen(), shape.layer_tuples(), shape.bytes_per_number)
                sequence.restore(saved)
                sequence.update()
                one = Compressed()
                for index, layer in enumerate(cache.layers):
                    kept = [[self.torch.from_numpy(sequence.kept(index, head)).long() for head in range(shape.kv_heads)]]
                    if mode == "uniform":
                        layer = copy.copy(layer)
                        _gather(layer, kept)
                        one.add(layer.keys, layer.values)
                    else:
                        one.add(layer.keys, layer.values, _dropped(kept, len(context)))
                out[f"namm {label_of(name)}, {mode}", ratio] = one
        return out

    def attached(self, context, question, answer, name, ratio):
        """(share kept, bytes of keys and values, log-likelihood) of a pooled budget in a cache that can hold it."""
        import namm

        torch = self.torch
        with namm.attach(self.model, name, budget=1 - ratio, mode="pooled", interval=1 << 20) as memory:
            self.model(input_ids=torch.tensor([context]), logits_to_keep=1)
            memory.update()  # once, behind the context
            usage = memory.usage()
            later = torch.tensor([question + answer[:-1]])
            logits = self.model(input_ids=later, past_key_values=memory.cache, logits_to_keep=len(answer)).logits[0]
        chances = torch.log_softmax(logits.float(), dim=-1)
        return 1 - usage.logical_saving, usage.kv_bytes, chances[torch.arange(len(answer)), torch.tensor(answer)].mean().item()

    # -- asking -------------------------------------------------------------------------------------------------------------------

    def answer_log_likelihoods(self, cells, context, question, answer):
        """{cell: mean over the answer's tokens, nat}. Caches whose tensors are equally long are asked together, as rows of a batch."""
        alike = {}
        for key, one in cells.items():
            alike.setdefault((tuple(keys.shape[2] for keys, _, _ in one.layers), one.layers[0][2] is not None), []).append(key)
        out = {}
        for keys in alike.values():
            out.update(zip(keys, self.ask([cells[key] for key in keys], context, question, answer), strict=True))
        return out

    def ask(self, together, context, question, answer):
        """Where kvpress hides entries, the answer goes in one token at a time, as it generates: its fake keys hide the less, the more
        queries one key has to be far from. So does everything where ChunkKV leaves some layers longer than others: Transformers'
        mask is of one length, and a token alone needs none."""
        torch = self.torch
        cache = self.transformers.DynamicCache()
        for index, parts in enumerate(zip(*(one.layers for one in together), strict=True)):
            keys, values, hidden = zip(*parts, strict=True)
            cache.update(torch.cat(keys), torch.cat(values), index)
            hides = hidden[0] is not None
            if hides:  # places of a row: rows (all 0), KV heads, entries
                numbered = [(rows + number, heads, entries) for number, (rows, heads, entries) in enumerate(hidden)]
                self.layers[index].masked_key_indices = tuple(torch.cat(each) for each in zip(*numbered, strict=True))
        uneven = len({layer.keys.shape[2] for layer in cache.layers}) > 1
        pieces = [question, *([token] for token in answer[:-1])] if hides else [question + answer[:-1]]
        if uneven:
            pieces = [[token] for token in question + answer[:-1]]
        at, logits = len(context), []
        for piece in pieces:
            out = self.model(
                input_ids=torch.tensor([piece] * len(together)),
                position_ids=torch.arange(at, at + len(piece)).unsqueeze(0),
                past_key_values=cache,
                logits_to_keep=1 if hides or uneven else len(answer),
            )
            logits.append(out.logits)
            at += len(piece)
        for module in self.layers:
            module.masked_key_indices = None
        chances = torch.log_softmax(torch.cat(logits, dim=1)[:, -len(answer) :].float(), dim=-1)
        return chances[:, torch.arange(len(answer)), torch.tensor(answer)].mean(dim=1).tolist()

    def measure(self, prompt):
        context, question, answer = self.encode(prompt)
        full, cells = self.by_layer(context)
        (best,) = self.ask([full], context, question, answer)
        if not self.only_ours and (self.presses is None or "KVzip" in self.presses):
            cells.update(self.kvzip(context))
        for name in self.policies:
            cells.update(self.ours(context, name))
        answered = self.answer_log_likelihoods(cells, context, question, answer)
        measured = {key: (one.entries() / full.entries(), one.bytes(), answered[key]) for key, one in cells.items()}
        if self.only_ours:
            for name in self.policies:
                for ratio in self.ratios:
                    measured[f"namm {label_of(name)}, pooled, attached", ratio] = self.attached(context, question, answer, name, ratio)
        for (press, ratio), (kept, held, log_likelihood) in measured.items():
            yield {
                "model": self.name,
                "dtype": self.dtype,
                "task": prompt["task"],
                "prompt": prompt["id"],
                "tokens": len(context),
                "press": press,
                "compression_ratio": ratio,
                "kept": kept,
                "bytes": held / full.bytes(),
                "full_log_likelihood": best,
                "answer_log_likelihood": log_likelihood,
            }

    def check(self, prompt):
        """What is read together is what each press does alone: one press of each kind, kept keys and hidden places."""
        import kvpress
        from namm.kvpress import NAMMPress

        context, ratio = self.encode(prompt)[0][:200], self.ratios[0]
        together = {**self.by_layer(context)[1], **self.kvzip(context), **self.ours(context, "snapkv")}
        alone = {
            "SnapKV": kvpress.SnapKVPress(ratio),
            "AdaKV (ExpectedAttention)": kvpress.AdaKVPress(kvpress.ExpectedAttentionPress(ratio)),
            "KVzip": kvpress.KVzipPress(ratio),
            "namm snapkv, uniform": NAMMPress("snapkv", ratio, mode="uniform"),
            "namm snapkv, pooled": NAMMPress("snapkv", ratio, mode="pooled"),
        }
        for name, press in alone.items():
            if (name, ratio) not in together:
                continue
            with press(self.model):
                cache = self.read(context)
            for module, layer, (keys, values, hidden) in zip(self.layers, cache.layers, together[name, ratio].layers, strict=True):
                places = lambda indices: None if indices is None else sorted(zip(*(index.tolist() for index in indices)))
                assert self.torch.equal(layer.keys, keys) and self.torch.equal(layer.values, values), name
                assert places(getattr(module, "masked_key_indices", None)) == places(hidden), name
                module.masked_key_indices = None


def table(paths):
    """Loss against the full cache, nat per token of the answer, with the 95 % t interval of the paired differences."""
    from scipy.stats import t

    records = [json.loads(line) for path in paths for line in open(path)]
    for model, task in sorted({(record["model"], record["task"]) for record in records}):
        of_task = [record for record in records if (record["model"], record["task"]) == (model, task)]
        prompts = {record["prompt"] for record in of_task}
        ratios = sorted({record["compression_ratio"] for record in of_task})
        full = statistics.mean({record["prompt"]: record["full_log_likelihood"] for record in of_task}.values())
        print(f"\n{model}, {task}, {len(prompts)} prompts; full cache {full:.3f} nat per token of the answer\n")
        print("| press | " + " | ".join(f"{100 * (1 - ratio):g} % kept" for ratio in ratios) + " | bytes still held at 25 % |")
        print("|---" * (len(ratios) + 2) + "|")
        rows = []
        for press in {record["press"]: None for record in of_task}:
            cells, held, counted = {}, 1.0, 0
            for ratio in ratios:
                of = [record for record in of_task if record["press"] == press and record["compression_ratio"] == ratio]
                counted = len(of)
                losses = [record["answer_log_likelihood"] - record["full_log_likelihood"] for record in of]
                mean, half = statistics.mean(losses), t.ppf(0.975, len(losses) - 1) * statistics.stdev(losses) / len(losses) ** 0.5
                cells[ratio] = (mean, half)
                if ratio == 0.75:
                    held = statistics.mean(record["bytes"] for record in of)
            rows.append((cells[0.75][0], press if counted == len(prompts) else f"{press} ({counted} prompts)", cells, held))
        for _, press, cells, held in sorted(rows, key=lambda row: -row[0]):
            shown = " | ".join(f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]" for mean, half in cells.values())
            print(f"| {press} | {shown} | {100 * held:.0f} % |")


def measure_rest(prompts, output, measure):
    """Appends the records of every prompt that is not in the file yet, a prompt at a time."""
    done = {json.loads(line)["prompt"] for line in open(output)} if output.exists() else set()
    print(f"{len(prompts)} prompts, {sum(prompt['id'] in done for prompt in prompts)} of them done", file=sys.stderr)
    for prompt in prompts:
        if prompt["id"] in done:
            continue
        records = list(measure(prompt))
        with open(output, "a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
        print(prompt["id"], file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--policies", default="default,h2o-mean,snapkv")
    parser.add_argument("--only-ours", action="store_true", help="policies alone, beside records that are there, and attached, too")
    parser.add_argument("--presses", help="these of kvpress's alone, as the table names them")
    parser.add_argument("--ratios", default="0.5,0.75,0.875", help="shares that are dropped; the table wants 0.75 among them")
    parser.add_argument("--dtype", default="float32", help="of weights, keys and values")
    parser.add_argument("--shard", default="0/1", help="these of the prompts, for several processes")
    options = parser.parse_args()
    if options.table:
        return table(options.files)
    folder, prompts, output = options.files
    import torch
    import transformers

    transformers.logging.disable_progress_bar()
    logging.disable(logging.WARNING)
    shard, shards = map(int, options.shard.split("/"))
    prompts = [json.loads(line) for line in open(prompts)][shard::shards]
    bench = Bench(str(folder), options)
    with torch.no_grad():
        if not output.exists():
            bench.check(prompts[0])
        measure_rest(prompts, output, bench.measure)


if __name__ == "__main__":
    main()
