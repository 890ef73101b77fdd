#!/usr/bin/env python3
"""What of the memory that an attached llama-server saves is the policy's, and what is that unused cells are not allocated?

The same chat of --turns turns on servers of each context size: alone, attached with `full` (everything kept), attached with a policy.
Prints the peak of the resident memory (VmHWM), and what of it is anonymous (the rest is the model's file). Standard library only.
"""
import argparse, json, os, pathlib, random, sys, tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "server_load"))
from load import WORDS, Server  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


def status(process, field):
    with open(f"/proc/{process}/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def measure(arguments, context, attached, folder):
    words = [arguments.server, "-m", arguments.model, "--port", str(arguments.port), "-c", str(context), "-t", "1", "-tb", "1", "-np", "1",
             "--cache-ram", "0"]
    if attached:
        command = [arguments.namm, "attach", "--policy", attached[0], "--stats", f"{folder}/stats.jsonl"]
        command += ["--budget", attached[1], "--interval", str(arguments.interval)] if attached[1] else []
        words = command + ["--"] + words
    else:
        words += ["-fa", "on", "-ctxcp", "0"]
    server = Server(words, arguments.port, f"{folder}/log")
    draw, messages, tokens = random.Random(1), [], 0
    for _ in range(arguments.turns):
        messages.append({"role": "user", "content": " ".join(draw.choice(WORDS) for _ in range(arguments.words))})
        code, content = server.call("POST", "/v1/chat/completions", {"messages": messages, "max_tokens": 32, "temperature": 0})
        if code != 200:
            sys.exit(f"a turn must be answered, got status {code}: {content[:200]!r}")
        answer = json.loads(content)
        tokens = answer["usage"]["total_tokens"]
        messages.append({"role": "assistant", "content": answer["choices"][0]["message"]["content"] or "."})
    out = {"context": context, "tokens": tokens, "peak_mib": status(server.process.pid, "VmHWM"), "now_mib": status(server.process.pid, "VmRSS"),
           "anonymous_mib": status(server.process.pid, "RssAnon")}
    server.stop()
    if attached:
        with open(f"{folder}/stats.jsonl") as lines:
            last = json.loads(lines.read().splitlines()[-1])
        out["kv_mib"] = (last["kv_bytes_final"] + last["statistics_bytes"]) / 2**20
        out["kv_full_mib"] = last["kv_bytes_full"] / 2**20
        os.remove(f"{folder}/stats.jsonl")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namm", default=str(ROOT / "build/release/namm"))
    parser.add_argument("--server", default=str(ROOT / "build/llama/bin/llama-server"))
    parser.add_argument("--model", default=str(ROOT / "build/models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--policy", default="h2o-mean")
    parser.add_argument("--budget", default="25%")
    parser.add_argument("--interval", type=int, default=128)
    parser.add_argument("--contexts", default="2048,8192")
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--words", type=int, default=110, help="of each question")
    parser.add_argument("--port", type=int, default=8998)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    records = []
    print(f"{'server':<22}{'-c':>6}{'tokens':>8}{'peak':>8}{'anonymous':>11}{'K and V':>9}{'in full':>9}   MiB")
    with tempfile.TemporaryDirectory() as folder:
        for context in map(int, arguments.contexts.split(",")):
            for name, attached in (("alone", None), ("full", ("full", "")), (f"{arguments.policy} {arguments.budget}", (arguments.policy, arguments.budget))):
                record = {"server": name, **measure(arguments, context, attached, folder)}
                records.append(record)
                print(f"{name:<22}{context:>6}{record['tokens']:>8}{record['peak_mib']:>8.0f}{record['anonymous_mib']:>11.0f}"
                      f"{record.get('kv_mib', float('nan')):>9.1f}{record.get('kv_full_mib', float('nan')):>9.1f}", flush=True)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
