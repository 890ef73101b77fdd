#!/usr/bin/env python3
"""Memory and time of generate() in Transformers on the CPU, stock and with policies.

  python experiments/python/generate.py MODEL.gguf [--lengths 2000,8000] [--rounds 1] [--output FILE.jsonl]
  python experiments/python/generate.py --table FILE.jsonl          # the tables of records that are there

Memory: every way of generating in a process of its own. Times: all ways in one process, a prompt after the other, then a token of
each in turns, so that whatever else the machine does meets them alike; what is compared is processor time within a round. Needs
namm, torch, transformers, gguf, accelerate. The weights are turned to float32 once, beside the GGUF.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

WAYS = ["stock", "stock in pieces", "full", "streaming", "h2o-mean", "default", "default 12.5%"]
NEW = 33  # tokens; the first comes of the prompt
PIECE = 512


def prompt_of(tokenizer, tokens):
    """The first tokens of this repository's documentation."""
    docs = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
    ids = tokenizer("\n".join(path.read_text() for path in docs), return_tensors="pt")["input_ids"]
    if ids.shape[1] < tokens:
        raise ValueError(f"length: must be at most the {ids.shape[1]} tokens of docs/, is {tokens}")
    return ids[:, :tokens]


def status(field):
    """kB of /proc/self/status in bytes."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[field].split()[0]) * 1024


def load(folder):
    import torch
    import transformers

    torch.set_num_threads(1)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def attach(model, way):
    import namm

    policy, _, budget = way.partition(" ")  # a quarter where no budget is named
    return namm.attach(model, policy, **({} if way == "full" else {"budget": budget or 0.25}))


def about():
    import namm
    import torch
    import transformers

    versions = {"transformers": transformers.__version__, "torch": torch.__version__, "namm": namm.__version__}
    return {"load": Path("/proc/loadavg").read_text().split()[0], **versions}


def memory_of(folder, way, tokens):
    """Peaks of one generation."""
    import torch

    model, tokenizer = load(folder)
    ids = prompt_of(tokenizer, tokens)
    options = dict(max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, return_dict_in_generate=True)

    def run(ids, **more):
        return model.generate(ids, attention_mask=torch.ones_like(ids), **options, **more)

    def measured(ids):
        if way.startswith("stock"):
            out = run(ids, **({"prefill_chunk_size": PIECE} if way != "stock" else {}))
            layers = (out.cache if "cache" in out else out.past_key_values).layers
            held = sum(tensor.untyped_storage().nbytes() for layer in layers for tensor in (layer.keys, layer.values))
            return {"kv_bytes": held, "kv_bytes_peak": held, "statistics_bytes_peak": 0}
        with attach(model, way) as memory:
            run(ids)
        usage = memory.usage()
        return {name: getattr(usage, name) for name in ("kv_bytes", "kv_bytes_peak", "statistics_bytes_peak")}

    measured(ids[:, :600])  # whatever is done once is done
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    before = status("VmRSS")
    record = measured(ids)
    return {"kind": "memory", "way": way, "tokens": tokens, **record, "resident_before": before, "resident_peak": status("VmHWM"), **about()}


def times_of(folder, ways, tokens):
    """Processor seconds of the prompt, and of a token behind it (median), of every way."""
    import torch
    from transformers import DynamicCache

    model, tokenizer = load(folder)
    ids = prompt_of(tokenizer, tokens)
    attachments = {way: attach(model, way) for way in ways if not way.startswith("stock")}
    name = next(iter(attachments.values())).shape.cache_argument
    caches = {way: attachments[way].new_cache() if way in attachments else DynamicCache(config=model.config) for way in ways}
    seconds = {way: [] for way in ways}

    def read(way, ids):
        with attachments.get(way, contextlib.nullcontext()), torch.no_grad():
            start = time.process_time()
            piece = PIECE if "pieces" in way else ids.shape[1]
            for first in range(0, ids.shape[1], piece):
                model(input_ids=ids[:, first : first + piece], logits_to_keep=1, **{name: caches[way]})
            seconds[way].append(time.process_time() - start)

    for way in ways:
        read(way, ids)
    for number in range(NEW - 1):
        for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
            read(way, ids[:, number : number + 1])
    for way in ways:
        prompt, *each = seconds[way]
        yield {"kind": "time", "way": way, "tokens": tokens, "prompt_seconds": prompt, "token_seconds": statistics.median(each), **about()}


def float_weights(gguf):
    folder = gguf.with_suffix(".float32")
    if not (folder / "model.safetensors").exists():
        import torch
        import transformers

        common = dict(pretrained_model_name_or_path=str(gguf.parent), gguf_file=gguf.name)
        transformers.AutoTokenizer.from_pretrained(**common).save_pretrained(folder)
        read = transformers.AutoModelForCausalLM.from_pretrained(**common, dtype=torch.float32)
        vars(read.config).pop("quantization_config", None)  # floats by now, but Transformers would not write them
        plain = transformers.AutoModelForCausalLM.from_config(read.config, dtype=torch.float32)
        plain.load_state_dict(read.state_dict())
        plain.save_pretrained(folder)
    return folder


def table(path):
    records = [json.loads(line) for line in open(path)]
    mib = lambda number: f"{number / 2**20:.1f} MiB"
    for tokens in sorted({record["tokens"] for record in records}):
        of = {way: [record for record in records if record["way"] == way and record["tokens"] == tokens] for way in WAYS}
        print(f"\n| {tokens:,} tokens | prompt | a token | keys and values, peak | statistics, peak | resident, peak above the model |")
        print("|---|---|---|---|---|---|")
        stock = {record["round"]: record for record in of["stock"] if record["kind"] == "time"}
        for way in WAYS:
            times = [record for record in of[way] if record["kind"] == "time"]
            memory = [record for record in of[way] if record["kind"] == "memory"]
            if not times and not memory:
                continue
            cells = []
            for clock, unit, scale in (("prompt_seconds", "s", 1), ("token_seconds", "ms", 1000)):
                ratios = [record[clock] / stock[record["round"]][clock] for record in times]
                if way == "stock" and times:
                    cells.append(f"1 ({scale * statistics.median(record[clock] for record in times):.3g} {unit})")
                else:
                    cells.append(" / ".join(f"{ratio:.2f}" for ratio in ratios) or "–")
            grown = [record["resident_peak"] - record["resident_before"] for record in memory]
            cells += [mib(memory[0]["kv_bytes_peak"]), mib(memory[0]["statistics_bytes_peak"]), mib(statistics.median(grown))] if memory else ["–"] * 3
            print(f"| {way} | {' | '.join(cells)} |")


def in_a_process(folder, what, tokens):
    """Records of one call of this script."""
    command = [sys.executable, __file__, str(folder), "--one", what, tokens]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--lengths", default="2000,8000")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ways", default=";".join(WAYS), help="some of them, stock among them, separated by ';'")
    parser.add_argument("--measure", default="memory,time")
    parser.add_argument("--output", type=Path, default=Path("generate.jsonl"))
    parser.add_argument("--table", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("WAYS", "TOKENS"), help="in this process: the memory of a way, or the times of several")
    options = parser.parse_args()
    if options.table:
        return table(options.table)
    if options.one:
        ways, tokens = options.one[0].split(";"), int(options.one[1])
        for record in [memory_of(options.model, ways[0], tokens)] if len(ways) == 1 else times_of(options.model, ways, tokens):
            print(json.dumps(record), flush=True)
        return
    folder = float_weights(options.model)
    rounds = 1 + max((json.loads(line)["round"] for line in open(options.output)), default=0) if options.output.exists() else 1
    for number in range(rounds, rounds + options.rounds):
        for tokens in options.lengths.split(","):
            work = (options.ways.split(";") if "memory" in options.measure else []) + ([options.ways] if "time" in options.measure else [])
            for what in work:
                records = in_a_process(folder, what, tokens)
                with open(options.output, "a") as file:
                    file.writelines(json.dumps({"round": number, **record}) + "\n" for record in records)
                print(f"round {number}, {tokens} tokens: {what}", file=sys.stderr)
    table(options.output)


if __name__ == "__main__":
    main()
