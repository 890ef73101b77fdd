#!/usr/bin/env python3
"""Plans evolution on 1 to 1,024 ranks from measured unit times.

    plan.py MEASURED.jsonl [--population 32 --prompts 48 ...] [--json FILE]
    plan.py MEASURED.jsonl --check RANKS.jsonl     the same program on what a run on several ranks really did

MEASURED.jsonl is the timing.jsonl of a run with one worker: the time of every unit (one candidate on one prompt) and of a whole
generation. What a generation takes beyond its units (prompts, the strategy, files) is taken as serial. Units are drawn from the
measured ones, so many as the planned generation has, and handed out as the program does: the longest first, each to the rank that is
free first. A message to or from another rank keeps rank 0 busy for --handle-us and is on its way for --latency-us plus bytes over
--bandwidth.
"""
import argparse
import heapq
import json
import random
import sys

JOB, RESULT, POLICY_HEAD = 74, 30, 26  # bytes of letters, evolve/ranks/letters.cpp; a policy is a head and 4 bytes per parameter


def load(path):
    """Unit times in seconds of all generations but the start, and the serial seconds of a generation."""
    units, serial = [], []
    with open(path, encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            if record["generation"] == 0:
                continue
            if record["workers"] != 1:
                sys.exit(f"{path}: must be of a run with one worker, is of {record['workers']}; measure with --workers 1")
            times = [ms / 1000 for ms in record["unit_milliseconds"]]
            units += times
            serial.append(record["seconds"] - sum(times))
    if not units:
        sys.exit(f"{path}: must hold at least one generation, holds none; give a run's timing.jsonl")
    return units, max(0.0, sum(serial) / len(serial))


def simulate(units, ranks, parameters, serial, costs):
    """One generation. units: [(seconds, policy, prompt)], the longest first. Returns wall seconds, idle share, bytes sent by rank 0."""
    free = [(0.0, rank) for rank in range(ranks)]  # when a rank can be given its next unit
    heapq.heapify(free)
    has = [set() for _ in range(ranks)]
    handler = 0.0  # until when rank 0's dispatcher is busy
    busy = end = 0.0
    sent = 0
    for seconds, policy, prompt in units:
        at, rank = heapq.heappop(free)
        if rank == 0:  # its own thread takes the next unit itself
            done = at + seconds
        else:
            size = JOB
            for thing, bytes_of in ((("policy", policy), POLICY_HEAD + 4 * parameters), (("prompt", prompt), costs.prompt_bytes)):
                if thing[1] >= 0 and thing not in has[rank]:  # -1 is the full cache: no policy
                    has[rank].add(thing)
                    size += bytes_of
            sent += size
            handler = max(handler, at) + costs.handle_us * 1e-6 + size / costs.bandwidth
            begin = handler + costs.latency_us * 1e-6
            done = begin + seconds + costs.latency_us * 1e-6
        busy += seconds
        end = max(end, done)
        heapq.heappush(free, (done, rank))
    wall = end + serial
    return wall, 1 - busy / (wall * ranks), sent


def check(path, serial, costs):
    """Generation by generation: what the units that were measured on these ranks should have taken together, and what they took."""
    rows = []
    print("| generation | ranks | units | planned s | measured s | planned / measured | idle | bytes sent |")
    print("|---|---|---|---|---|---|---|---|")
    with open(path, encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            if record["generation"] == 0:
                continue
            times = [ms / 1000 for ms in record["unit_milliseconds"]]
            ranks = record["ranks"]
            wall, _, _ = simulate([(t, -1, -1) for t in times], ranks, 0, serial, costs)
            idle = 1 - sum(times) / (ranks * record["seconds"])
            rows.append({"generation": record["generation"], "ranks": ranks, "units": len(times), "planned_seconds": round(wall, 2),
                         "measured_seconds": round(record["seconds"], 2), "idle_share": round(idle, 3),
                         "bytes_sent": record["bytes_sent"]})
            print(f"| {record['generation']} | {ranks} | {len(times)} | {wall:.2f} | {record['seconds']:.2f} | "
                  f"{wall / record['seconds']:.3f} | {idle:.3f} | {record['bytes_sent']:,} |")
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("measured", help="timing.jsonl of a run with one worker")
    parser.add_argument("--population", type=int, default=32)
    parser.add_argument("--prompts", type=int, default=48, help="per generation, all tasks together")
    parser.add_argument("--parameters", type=int, default=35, help="of the policy")
    parser.add_argument("--prompt-bytes", type=int, default=4000)
    parser.add_argument("--handle-us", type=float, default=20, help="rank 0, per unit")
    parser.add_argument("--latency-us", type=float, default=250, help="one way; looking into the mail box every 200 us included")
    parser.add_argument("--bandwidth", type=float, default=1.25e8, help="bytes per second (1.25e8 = 1 Gbit/s)")
    parser.add_argument("--most-ranks", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", help="writes the plan there")
    parser.add_argument("--check", help="timing.jsonl of the same run on several ranks of one worker")
    options = parser.parse_args()

    times, serial = load(options.measured)
    if options.check:
        rows = check(options.check, serial, options)
        if options.json:
            with open(options.json, "w", encoding="utf-8") as file:
                json.dump({"measured": options.measured, "check": options.check, "generations": rows}, file, indent=1)
                file.write("\n")
        return
    rng = random.Random(options.seed)
    count = options.population * options.prompts
    drawn = sorted((rng.choice(times) for _ in range(count)), reverse=True)
    # the candidates on one prompt follow each other; and the full cache, once per prompt
    units = [(t, i % options.population, i // options.population) for i, t in enumerate(drawn)]
    units += [(rng.choice(times), -1, p) for p in range(options.prompts)]
    units.sort(reverse=True)
    rows, ranks, alone = [], 1, None
    while ranks <= options.most_ranks:
        wall, idle, sent = simulate(units, ranks, options.parameters, serial, options)
        alone = alone or wall
        rows.append({"ranks": ranks, "seconds": round(wall, 3), "speed_up": round(alone / wall, 2),
                     "efficiency": round(alone / wall / ranks, 3), "idle_share": round(idle, 3), "bytes_sent": sent})
        ranks *= 2
    good = max(row["ranks"] for row in rows if row["efficiency"] >= 0.5)
    print(f"{len(units)} units of {sum(u[0] for u in units) / len(units):.3f} s (longest {units[0][0]:.3f} s), "
          f"{serial:.3f} s per generation beside them\n")
    print("| ranks | seconds per generation | speed-up | efficiency | idle | MB sent per generation |\n|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['ranks']:,} | {row['seconds']:.2f} | {row['speed_up']:.1f} | {row['efficiency']:.2f} | "
              f"{row['idle_share']:.2f} | {row['bytes_sent'] / 1e6:.2f} |")
    print(f"\nat least half of every rank is used up to {good:,} ranks")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"measured": options.measured, "units": len(units), "serial_seconds": round(serial, 4),
                       "options": {k: v for k, v in vars(options).items() if k not in ("measured", "json", "check")},
                       "plan": rows, "half_used_up_to_ranks": good}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
