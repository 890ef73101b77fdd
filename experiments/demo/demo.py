#!/usr/bin/env python3
"""The same long chat on three llama-servers, turn by turn: alone, attached with everything kept, attached with a policy.

Writes record.json (what was measured) and demo.html (the page) into --output; prints a table. Standard library only. Called by experiments/demo.sh.
"""
import argparse, json, os, pathlib, subprocess, sys, time

from chat import turns
from page import rate, write_page
from servers import Server, request_records

MIB = 2**20


def commands_of(arguments):
    """name -> command line, without the port."""
    base = [arguments.server, "-m", arguments.model, "-c", str(arguments.context), "-np", "1", "-t", str(arguments.threads), "--cache-ram", "0"]

    def attached(name, policy, *more):
        stats = str(arguments.output / f"{name}.stats.jsonl")
        return [arguments.namm, "attach", "--policy", policy, *more, "--stats", stats, "--"] + base

    return {"alone": base, "full": attached("full", "full"),
            "policy": attached("policy", arguments.policy, "--budget", arguments.budget, "--interval", str(arguments.interval))}


def thinned(samples, ends):
    """Samples without those that say what the one before did, to a quarter of a MiB; the first, the last and those at the end of a turn stay."""
    out, near = samples[:1], iter(ends)
    end = next(near, None)
    for sample, following in zip(samples[1:], samples[2:] + [None]):
        last_of_turn = end is not None and (following is None or following[0] > end)
        if last_of_turn:
            end = next(near, None)
        if last_of_turn or abs(sample[1] - out[-1][1]) >= 0.25:
            out.append(sample)
    return [[round(at, 2), round(mib, 2)] for at, mib in out]


def nameless(text, arguments):
    """A command or name without the folders of this machine."""
    return text.replace(str(arguments.output), "DIR").replace(arguments.policy, "DIR/policy/" + os.path.basename(arguments.policy)
                                                             if os.path.sep in arguments.policy else arguments.policy)


def summarise(server, answers, records, arguments):
    """What the page and the table show of a server."""
    read, written = sum(a["read"] for a in answers), sum(a["written"] for a in answers)
    asked = [a for a in answers if a["late"]]
    out = {"command": nameless(" ".join(server.command), arguments), "peak_mib": max(m for _, m in server.samples), "samples": thinned(server.samples, [a["at"] for a in answers]), "turns": answers,
           "tokens": answers[-1]["tokens"], "prefill_tokens_per_second": read / sum(a["read_seconds"] for a in answers),
           "decode_tokens_per_second": written / sum(a["write_seconds"] for a in answers),
           "right": sum(a["right"] for a in asked), "asked": len(asked)}
    if records:
        out["requests"] = [{**r, "policy": os.path.basename(r["policy"])} for r in records]
        out["held_mib"] = [(r["kv_bytes_final"] + r["statistics_bytes"]) / MIB for r in records]
    return out


def run_chat(servers, arguments):
    """Every turn on every server, one at a time; the histories are the servers' own."""
    histories, answers = {name: [] for name in servers}, {name: [] for name in servers}
    for number, (text, begin, wanted, late) in enumerate(turns(), 1):
        for name, server in servers.items():
            histories[name].append({"role": "user", "content": text})
            answer = server.chat(histories[name], begin, arguments.answer_tokens)
            content, timings = answer["choices"][0]["message"]["content"], answer["timings"]
            content = content if content.startswith(begin) else begin + content
            histories[name].append({"role": "assistant", "content": content})
            answers[name].append({"text": text, "answer": content, "wanted": wanted, "late": late, "right": wanted in content,
                                  "tokens": answer["usage"]["total_tokens"], "read": timings["prompt_n"], "read_seconds": timings["prompt_ms"] / 1000,
                                  "written": timings["predicted_n"], "write_seconds": timings["predicted_ms"] / 1000, "mib": server.memory(),
                                  "at": server.clock})
        print(f"turn {number:>2}: {answers['alone'][-1]['tokens']:>5} tokens   " +
              "   ".join(f"{name} {a[-1]['mib']:.0f} MiB" for name, a in answers.items()), flush=True)
    return answers


def print_table(record):
    print(f"\n{'llama-server':<24}{'memory, peak':>13}{'cache held':>12}{'reads':>10}{'writes':>10}{'remembers':>11}")
    for name, title in record["titles"].items():
        s = record["servers"][name]
        held = f"{s['held_mib'][-1]:.1f} MiB" if "held_mib" in s else f"{record['allocated_mib']:.1f} MiB"
        print(f"{title:<24}{s['peak_mib']:>9.0f} MiB{held:>12}{rate(s['prefill_tokens_per_second']):>6} t/s{rate(s['decode_tokens_per_second']):>6} t/s"
              f"{s['right']:>7} of {s['asked']}")
    parts = record["servers"]
    unused, policy = parts["alone"]["peak_mib"] - parts["full"]["peak_mib"], parts["full"]["peak_mib"] - parts["policy"]["peak_mib"]
    print(f"\nOf {unused + policy:.0f} MiB less, {unused:.0f} are cells of -c {record['context']} that were never used (nothing dropped), "
          f"{policy:.0f} are the policy's.")


def processor():
    with open("/proc/cpuinfo") as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("namm", "server", "model", "policy"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--budget", default="25%")
    parser.add_argument("--interval", type=int, default=256)
    parser.add_argument("--context", type=int, default=8192)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--answer-tokens", type=int, default=12)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--port", type=int, default=8741)
    arguments = parser.parse_args()
    load, began, servers = os.getloadavg()[0], time.time(), {}
    try:
        for i, (name, command) in enumerate(commands_of(arguments).items()):
            servers[name] = Server(name, command + ["--port", str(arguments.port + i)], arguments.port + i, str(arguments.output / f"{name}.log"))
        for server in servers.values():
            server.wait()
        answers = run_chat(servers, arguments)
    finally:
        for server in servers.values():
            server.stop()
    records = {name: request_records(arguments.output / f"{name}.stats.jsonl") for name in servers}
    full = records["full"][-1]
    record = {"model": os.path.basename(arguments.model), "context": arguments.context, "threads": arguments.threads, "budget": arguments.budget,
              "interval_tokens": arguments.interval, "policy": os.path.basename(arguments.policy),
              "allocated_mib": full["kv_bytes_full"] / full["tokens_seen"] * arguments.context / MIB,
              "processor": processor(), "load_before": load, "seconds": time.time() - began, "date": time.strftime("%Y-%m-%d"),
              "version": subprocess.run([arguments.namm, "--version"], capture_output=True, text=True).stdout.strip(),
              "titles": {"alone": "alone", "full": "attached, nothing dropped", "policy": f"attached, {arguments.budget} kept"},
              "servers": {name: summarise(server, answers[name], records[name], arguments) for name, server in servers.items()}}
    (arguments.output / "record.json").write_text(json.dumps(record) + "\n")
    write_page(record, arguments.output / "demo.html")
    print_table(record)


if __name__ == "__main__":
    sys.exit(main())
