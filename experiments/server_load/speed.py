#!/usr/bin/env python3
"""Speed of llama-server alone and attached, at given lengths of context: reading a prompt and generating behind it.

All servers run at once and only one works at a time; requests alternate between them (A B C A B C ...). Prints one JSON object per length with the
fastest and the median of the repetitions, tokens per second, and the ratios to the server alone. Standard library only.
"""
import argparse, json, os, random, statistics, sys, tempfile

from load import Server


def measure(server, tokens, predict):
    status, content = server.call("POST", "/completion", {"prompt": tokens, "n_predict": predict, "temperature": 0, "cache_prompt": False,
                                                          "ignore_eos": True, "id_slot": 0})
    if status != 200:
        sys.exit(f"speed: the server must answer with status 200, answered {status}: {content[:300]!r}")
    timings = json.loads(content)["timings"]
    if timings["cache_n"]:
        sys.exit("speed: the prompt must be read anew, was partly in the cache")
    return timings["prompt_n"] / timings["prompt_ms"] * 1000, timings["predicted_n"] / timings["predicted_ms"] * 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namm", default="build/release/namm")
    parser.add_argument("--server", default="llama-server")
    parser.add_argument("--model", required=True)
    parser.add_argument("--lengths", type=lambda t: [int(x) for x in t.split(",")], default=[500, 4000])
    parser.add_argument("--predict", type=int, default=32)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--policy", action="append", metavar="NAME[:BUDGET]", help="attached with it; repeatable (default: full and h2o-mean:25%%)")
    parser.add_argument("--vocabulary", type=int, default=200, help="token ids are drawn from 3 to this, as is a prompt of bytes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--server-flags", default="", help="more flags for the servers, for example to lengthen a model's context")
    parser.add_argument("--port", type=int, default=8420)
    arguments = parser.parse_args()
    policies = arguments.policy or ["full", "h2o-mean:25%"]
    longest = max(arguments.lengths) + arguments.predict + 8
    words = [arguments.server, "-m", arguments.model, "-c", str((longest + 255) // 256 * 256), "-np", "1", "-t", str(arguments.threads), "-tb",
             str(arguments.threads), "--cache-ram", "0"] + arguments.server_flags.split()
    folder, servers = tempfile.mkdtemp(prefix="server_speed."), {}
    for i, name in enumerate(["alone"] + policies):
        command = words + ["--port", str(arguments.port + i)]
        if i == 0:
            command += ["-fa", "on", "-ctxcp", "0"]
        else:
            policy, _, budget = name.partition(":")
            command = [arguments.namm, "attach", "--policy", policy] + (["--budget", budget] if budget else []) + ["--"] + command
        servers[name] = Server(command, arguments.port + i, os.path.join(folder, f"log-{i}"))
    draw = random.Random(1)
    for length in arguments.lengths:
        tokens = [draw.randrange(3, arguments.vocabulary) for _ in range(length)]
        figures = {name: ([], []) for name in servers}
        for _ in range(arguments.repetitions):
            for name, server in servers.items():
                for values, value in zip(figures[name], measure(server, tokens, arguments.predict)):
                    values.append(value)
        out = {"model": os.path.basename(arguments.model), "tokens": length, "threads": arguments.threads, "repetitions": arguments.repetitions}
        for name, (prefill, decode) in figures.items():
            out[os.path.basename(name)] = {
                "prefill_tokens_per_second": round(max(prefill), 1), "prefill_median": round(statistics.median(prefill), 1),
                "decode_tokens_per_second": round(max(decode), 1), "decode_median": round(statistics.median(decode), 1),
                "prefill_ratio": round(max(prefill) / max(figures["alone"][0]), 3), "decode_ratio": round(max(decode) / max(figures["alone"][1]), 3),
                "resident_mib": round(servers[name].resident(), 1)}
        print(json.dumps(out), flush=True)
    for server in servers.values():
        server.stop()


if __name__ == "__main__":
    main()
