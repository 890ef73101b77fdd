#!/usr/bin/env python3
"""Time and memory of generate() in Transformers on the CPU, stock and with policies, every cell in a process of its own.

  python experiments/python/generate.py MODEL.gguf [--lengths 2000,8000] [--rounds 3] [--output FILE.jsonl]
  python experiments/python/generate.py --table FILE.jsonl          # the table of records that are there

A round runs all ways one after the other; times are compared within a round, since other work on the machine changes between
rounds. Needs namm, torch, transformers, gguf, accelerate. The weights are turned to float32 once, beside the GGUF.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

WAYS = ["stock", "stock, pieces of 512", "full", "streaming", "h2o-mean", "default"]
NEW = 33  # tokens; the first comes of the prompt


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


def cell(folder, way, tokens):
    import torch
    import transformers

    import namm

    torch.set_num_threads(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids, stamps = prompt_of(tokenizer, tokens), []

    def stamp(input_ids, scores):
        stamps.append((time.perf_counter(), time.process_time()))
        return scores

    options = dict(max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, return_dict_in_generate=True)
    options["logits_processor"] = transformers.LogitsProcessorList([stamp])

    def run(ids, **more):
        return model.generate(ids, attention_mask=torch.ones_like(ids), **options, **more)

    def measured(ids):
        if way.startswith("stock"):
            out = run(ids, **({"prefill_chunk_size": 512} if "512" in way else {}))
            layers = (out.cache if "cache" in out else out.past_key_values).layers
            held = sum(tensor.untyped_storage().nbytes() for layer in layers for tensor in (layer.keys, layer.values))
            return {"kv_bytes": held, "kv_bytes_peak": held, "statistics_bytes_peak": 0}
        with namm.attach(model, way, **({} if way == "full" else {"budget": 0.25})) as memory:
            run(ids)
        usage = memory.usage()
        return {name: getattr(usage, name) for name in ("kv_bytes", "kv_bytes_peak", "statistics_bytes_peak")}

    measured(ids[:, :600])  # whatever is done once is done
    stamps.clear()
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    before = status("VmRSS")
    start = (time.perf_counter(), time.process_time())
    record = measured(ids)
    record["resident_before"], record["resident_peak"] = before, status("VmHWM")
    for number, clock in enumerate(("wall", "cpu")):
        record[f"prefill_{clock}"] = stamps[0][number] - start[number]
        record[f"token_{clock}"] = (stamps[-1][number] - stamps[0][number]) / (len(stamps) - 1)
    versions = {"transformers": transformers.__version__, "torch": torch.__version__, "namm": namm.__version__}
    return {"way": way, "tokens": tokens, **record, "load": Path("/proc/loadavg").read_text().split()[0], **versions}


def float_weights(gguf):
    folder = gguf.with_suffix(".float32")
    if not (folder / "model.safetensors").exists():
        import torch
        import transformers

        common = dict(pretrained_model_name_or_path=str(gguf.parent), gguf_file=gguf.name)
        transformers.AutoTokenizer.from_pretrained(**common).save_pretrained(folder)
        read = transformers.AutoModelForCausalLM.from_pretrained(**common, dtype=torch.float32)
        del read.config.quantization_config  # floats by now, but Transformers would not write them
        plain = transformers.AutoModelForCausalLM.from_config(read.config, dtype=torch.float32)
        plain.load_state_dict(read.state_dict())
        plain.save_pretrained(folder)
    return folder


def table(path):
    records = [json.loads(line) for line in open(path)]
    print("| tokens | way | prompt, time of stock | a token, time of stock | keys and values, peak | statistics, peak | resident, peak above the model |")
    print("|---|---|---|---|---|---|---|")
    for tokens in sorted({record["tokens"] for record in records}):
        stock = {record["round"]: record for record in records if record["way"] == "stock" and record["tokens"] == tokens}

        def ratio(of, clock):
            ratios = [record[clock] / stock[record["round"]][clock] for record in of]
            return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"

        for way in WAYS:
            of = [record for record in records if record["way"] == way and record["tokens"] == tokens]
            if not of:
                continue
            mib = lambda number: f"{number / 2**20:.1f} MiB"
            grown = statistics.median(record["resident_peak"] - record["resident_before"] for record in of)
            if way == "stock":
                seconds = [statistics.median(record[clock] for record in of) for clock in ("prefill_cpu", "token_cpu")]
                times = [f"1 ({seconds[0]:.1f} s)", f"1 ({1000 * seconds[1]:.0f} ms)"]
            else:
                times = [ratio(of, "prefill_cpu"), ratio(of, "token_cpu")]
            print(f"| {tokens:,} | {way} | {' | '.join(times)} | {mib(of[0]['kv_bytes_peak'])} | {mib(of[0]['statistics_bytes_peak'])} | {mib(grown)} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--lengths", default="2000,8000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", default=";".join(WAYS), help="some of them, separated by ';'")
    parser.add_argument("--output", type=Path, default=Path("generate.jsonl"))
    parser.add_argument("--table", type=Path)
    parser.add_argument("--cell", nargs=2, metavar=("WAY", "TOKENS"), help="one cell in this process")
    options = parser.parse_args()
    if options.table:
        return table(options.table)
    if options.cell:
        print(json.dumps(cell(options.model, options.cell[0], int(options.cell[1]))))
        return
    folder = float_weights(options.model)
    rounds = 1 + max((json.loads(line)["round"] for line in open(options.output)), default=0) if options.output.exists() else 1
    for number in range(rounds, rounds + options.rounds):
        for tokens in options.lengths.split(","):
            for way in options.ways.split(";"):
                command = [sys.executable, __file__, str(folder), "--cell", way, tokens]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                record = {"round": number, **json.loads(done.stdout.splitlines()[-1])}
                with open(options.output, "a") as file:
                    file.write(json.dumps(record) + "\n")
                print(f"round {number}, {tokens} tokens, {way}: {record['prefill_cpu']:.1f} s, {1000 * record['token_cpu']:.0f} ms", file=sys.stderr)
    table(options.output)


if __name__ == "__main__":
    main()
