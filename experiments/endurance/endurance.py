#!/usr/bin/env python3
"""Mixed load on the real llama-server for a while, alone and with `namm attach` side by side: does anything grow, leak or stop?

Kinds of request: chats that go on, streamed answers that are hung up on, malformed bodies, several answers to one prompt (n: 2), answers
under a grammar, embeddings (a server without --embeddings refuses them), slots saved and restored. Fails (exit code 1) if

- the server dies, does not end with code 0, or keeps a slot busy;
- a well-formed request gets no answer, a malformed one does (several answers with -np N may be refused, and are counted);
- resident memory grows by more than --growth (1 %) from the second quarter of the time to the last; in a short run, in which the
  unattached server has not come to rest itself, by more than it and that;
- open files (descriptors) at the end are more than at the quarter.

Latencies (median and 99th percentile, of each kind) are printed beside the unattached server's, which runs at the same time under the
same kind of load, so that whatever else the machine does meets both. Two minutes by default, an hour with `--seconds 3600`. Standard
library only.
"""
import argparse, collections, json, os, pathlib, random, statistics, sys, tempfile, threading, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "server_load"))
from load import WORDS, Server  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
GRAMMAR = 'root ::= "yes" | "no"'
MALFORMED = ['{"prompt": ', '{"prompt": {"no": 1}}', '{"n_predict": "many"}', "\x00", "[1, 2, 3]"]
# share of the requests, in this order
KINDS = {"chat": 40, "completion": 20, "cancelled": 10, "malformed": 8, "several": 6, "grammar": 8, "embedding": 3, "slot": 5}


class Client(threading.Thread):
    """Sends one request after the other; its chat goes on until it fills most of a slot."""

    def __init__(self, run, number):
        super().__init__(daemon=True)
        self.load, self.draw, self.history = run, random.Random(run.arguments.seed * 1000 + number), []

    def run(self):
        while time.time() < self.load.until:
            kind = self.draw.choices(list(KINDS), list(KINDS.values()))[0]
            began = time.time()
            try:
                problem = getattr(self, kind)()
            except Exception as error:  # of the connection, or of the answer's form
                problem = f"{error!r}"
            self.load.note(kind, time.time() - began, problem)

    def text(self, low, high):
        return " ".join(self.draw.choice(WORDS) for _ in range(self.draw.randint(low, high)))

    def post(self, path, body, allowed=(200,)):
        """Why the answer is not what it has to be, and the answer."""
        status, content = self.load.server.call("POST", path, body)
        return (None if status in allowed else f"status {status}: {content[:160]!r}"), content

    def chat(self):
        if sum(len(message["content"]) for message in self.history) > 2 * self.load.arguments.slot_tokens:
            self.history.clear()
        self.history.append({"role": "user", "content": self.text(5, 60)})
        problem, content = self.post("/v1/chat/completions", {"messages": self.history, "max_tokens": self.draw.randint(4, 24)})
        if problem:
            self.history.clear()
        else:
            self.history.append({"role": "assistant", "content": json.loads(content)["choices"][0]["message"]["content"] or "."})
        return problem

    def completion(self):
        return self.post("/completion", {"prompt": self.text(5, 200), "n_predict": self.draw.randint(1, 24)})[0]

    def cancelled(self):
        self.load.server.cancel({"prompt": self.text(5, 200), "n_predict": 64, "stream": True})

    def malformed(self):
        return self.post("/completion", self.draw.choice(MALFORMED), range(400, 600))[0]

    def several(self):
        problem, content = self.post("/v1/completions", {"prompt": self.text(5, 60), "max_tokens": 8, "n": 2})
        if problem and self.load.several_may_fail and b"slot" not in content:
            self.load.refused += 1
            return None
        if not problem and len(json.loads(content)["choices"]) != 2:
            return "two answers were asked for"
        return problem

    def grammar(self):
        problem, content = self.post("/completion", {"prompt": self.text(5, 60), "n_predict": 8, "grammar": GRAMMAR})
        if not problem and json.loads(content)["content"] not in ("yes", "no"):
            return f"the grammar allows yes and no, got {json.loads(content)['content']!r}"
        return problem

    def embedding(self):
        return self.post("/v1/embeddings", {"input": self.text(3, 20)}, (200, 400, 501))[0]

    def slot(self):
        """Saves a slot, reads something else into it, restores it. Another client may take it in between."""
        number = self.draw.randrange(self.load.arguments.slots)
        name = {"filename": f"slot-{number}"}
        problem, _ = self.post(f"/slots/{number}?action=save", name)
        return problem or self.post(f"/slots/{number}?action=restore", name, (200, 400))[0]


class Load:
    """One server under load for `seconds`."""

    def __init__(self, arguments, attached, folder, port):
        self.arguments, self.several_may_fail, self.refused = arguments, bool(attached), 0
        self.latencies, self.problems, self.samples, self.lock = collections.defaultdict(list), [], [], threading.Lock()
        words = [arguments.server, "-m", arguments.model, "--port", str(port), "-c", str(2 * arguments.slots * arguments.slot_tokens),
                 "-t", "1", "-tb", "1", "-np", str(arguments.slots), "--slots", "--metrics", "--cache-ram", "0",
                 "--slot-save-path", str(folder)] + arguments.server_flags.split()
        if attached:
            command = [arguments.namm, "attach", "--policy", attached[0], "--stats", str(folder / "stats.jsonl")]
            command += ["--budget", attached[1], "--interval", str(arguments.interval)] if attached[1] else []
            words = command + ["--"] + words
        else:
            words += ["-fa", "on", "-ctxcp", "0"]
        self.server = Server(words, port, str(folder / "server.log"))

    def note(self, kind, seconds, problem):
        with self.lock:
            self.latencies[kind].append(seconds)
            if problem:
                self.problems.append(f"{kind}: {problem}")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.server.process.pid}/fd"))

    def run(self):
        began = time.time()
        self.until = began + self.arguments.seconds
        clients = [Client(self, number) for number in range(self.arguments.clients)]
        for client in clients:
            client.start()
        while time.time() < self.until and self.server.process.poll() is None:
            self.samples.append((time.time() - began, self.server.resident(), self.descriptors()))
            time.sleep(min(1, self.arguments.seconds / 40))
        for client in clients:
            client.join(600)
        if self.server.process.poll() is not None:
            self.problems.append(f"the server died with code {self.server.process.returncode}")
            return
        for _ in range(100):  # what was hung up on ends with its next token
            slots = json.loads(self.server.call("GET", "/slots")[1])
            if not any(slot["is_processing"] for slot in slots):
                break
            time.sleep(0.2)
        else:
            self.problems.append("a slot is still busy")
        time.sleep(1)
        idle = self.descriptors()
        code = self.server.stop()
        if code != 0:
            self.problems.append(f"the server must end with code 0, ended with {code}")
        quarter = self.arguments.seconds / 4
        parts = [[s for s in self.samples if low * quarter <= s[0] < (low + 1) * quarter] for low in range(4)]
        self.memory = [max(s[1] for s in part) for part in parts if part]
        self.files = [max(s[2] for s in part) for part in parts if part] + [idle]

    def growth(self):
        """Of the highest resident memory, from the second quarter to the last."""
        return self.memory[-1] / self.memory[1] - 1


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namm", default=str(ROOT / "build/release/namm"))
    parser.add_argument("--server", default=str(ROOT / "build/llama/bin/llama-server"))
    parser.add_argument("--model", default=str(ROOT / "experiments/hosts/jamba-recall.gguf"))
    parser.add_argument("--policy", default="h2o-mean")
    parser.add_argument("--budget", default="25%")
    parser.add_argument("--interval", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=120, help="of load")
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--slot-tokens", type=int, default=1024)
    parser.add_argument("--server-flags", default="--kv-unified")
    parser.add_argument("--growth", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=8997, help="of the server alone; the attached one has the next")
    parser.add_argument("--json", help="writes the figures there")
    arguments = parser.parse_args()
    if not os.path.exists(arguments.server):
        sys.exit(f"--server {arguments.server}: must be a llama-server, is not there; bash cmake/setup.sh --with-server builds one")

    loads, out, failed = {}, {}, False
    with tempfile.TemporaryDirectory(prefix="namm-endurance-") as folder:
        folder = pathlib.Path(folder)
        for name in ("alone", "attached"):
            (folder / name).mkdir()
        loads["alone"] = alone = Load(arguments, None, folder / "alone", arguments.port)
        try:
            loads[arguments.policy] = attached = Load(arguments, (arguments.policy, arguments.budget), folder / "attached", arguments.port + 1)
        except SystemExit:
            alone.server.process.kill()
            raise
        threads = [threading.Thread(target=load.run) for load in loads.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name, load in loads.items():
            if not hasattr(load, "memory"):
                sys.exit(f"{name}: {load.problems[-1] if load.problems else 'the load was broken off'}")
        attached.records = sum(1 for _ in open(folder / "attached" / "stats.jsonl"))
    for name, load in loads.items():
        if load is attached and load.growth() > arguments.growth + max(alone.growth(), 0):
            load.problems.append(f"resident memory grew by {100 * load.growth():.2f} % from the second quarter to the last")
        if load.files[-1] > load.files[0]:
            load.problems.append(f"open files: {load.files[0]} in the first quarter, {load.files[-1]} at the end")
        failed = failed or bool(load.problems) and load is not alone
        print(f"{name}: {sum(map(len, load.latencies.values()))} requests, resident MiB by quarter "
              + ", ".join(f"{m:.1f}" for m in load.memory) + f" ({100 * load.growth():+.2f} %), open files {load.files}, refused n: 2 {load.refused}")
        for problem, times in collections.Counter(load.problems).most_common(10):
            print(f"  {times} x {problem}")
        out[name] = {"requests": sum(map(len, load.latencies.values())), "resident_mib": load.memory, "growth": load.growth(),
                     "open_files": load.files, "problems": load.problems, "refused": load.refused,
                     "latency": {kind: {"median": statistics.median(v), "p99": percentile(v, 0.99), "count": len(v)} for kind, v in load.latencies.items()}}
    print(f"records of requests: {attached.records}")
    print(f"{'seconds':<12}" + "".join(f"{name + ' median':>20}{'p99':>8}" for name in loads))
    for kind in KINDS:
        print(f"{kind:<12}" + "".join(f"{statistics.median(l.latencies[kind]):>20.2f}{percentile(l.latencies[kind], 0.99):>8.2f}"
                                       if l.latencies[kind] else f"{'-':>20}{'-':>8}" for l in loads.values()))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(out, indent=1) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
