#!/usr/bin/env python3
"""Load on the real llama-server, alone and with `namm attach`: mixed prompts from several clients, some cancelled, some malformed.

Checks: the server lives, every well-formed request is answered, malformed ones are refused, resident memory grows no
more than alone from the second quarter of the requests to the last, and with
`full` attached the answers are those of the server alone, up to near ties: the server alone is run twice, with its own flash attention on and
off, and the largest lead of a token's log-probability over the next one at which these two go different ways is what counts as one.
Exit code 1 if a check fails. Standard library only.
"""
import argparse, http.client, json, os, random, signal, socket, statistics, subprocess, sys, threading, time

WORDS = ("the river runs past old mills and quiet farms where people keep their books in wooden boxes and write letters about rain "
         "and trade and the price of salt in winter").split()


def requests_of(arguments):
    """The same list for the same seed: (kind, body)."""
    draw, out = random.Random(arguments.seed), []
    for i in range(arguments.requests):
        length = draw.choice(arguments.words)
        words = [draw.choice(WORDS) for _ in range(length)]
        key = str(draw.randrange(10000, 99999))
        words.insert(draw.randrange(len(words) + 1), f"The pass key is {key}. Remember it.")
        prompt = " ".join(words) + "\nThe pass key is"
        body = {"prompt": prompt, "n_predict": draw.choice(arguments.predict), "temperature": 0, "seed": 1, "n_probs": 2}
        kind = "good"
        roll = draw.random()
        if roll < 0.06:
            kind, body = "cancelled", dict(body, stream=True, n_predict=64)
        elif roll < 0.12:
            kind = "malformed"
            body = draw.choice(["{\"prompt\": ", json.dumps({"prompt": {"no": 1}}), json.dumps({"prompt": "x " * 30000}),
                                json.dumps({"n_predict": "many"}), "\x00\xff", json.dumps([1, 2, 3])])
        out.append((kind, body))
    return out


class Server:
    def __init__(self, command, port, log):
        self.port, self.log = port, open(log, "w")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        for _ in range(600):
            if self.process.poll() is not None:
                sys.exit(f"server: must start, stopped with code {self.process.returncode}; see {log}")
            try:
                if self.call("GET", "/health")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.2)
        sys.exit(f"server: must answer within two minutes, does not; see {log}")

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            data = body if isinstance(body, (str, type(None))) else json.dumps(body)
            connection.request(method, path, data.encode("utf-8", "surrogateescape") if data else None, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def cancel(self, body):
        """Reads the first bytes of a streamed answer and hangs up."""
        data = json.dumps(body).encode()
        with socket.create_connection(("127.0.0.1", self.port), timeout=600) as connection:
            connection.sendall(b"POST /completion HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
                               + str(len(data)).encode() + b"\r\n\r\n" + data)
            connection.recv(200)

    def resident(self):
        """Resident memory, in MiB; of the server itself."""
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS"):
                    return int(line.split()[1]) / 1024
        return 0

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "killed"


def run(arguments, attached, log, flash_attention="on"):
    server_words = [arguments.server, "-m", arguments.model, "--port", str(arguments.port), "-c", str(arguments.context), "-t", "1", "-tb", "1",
                    "--metrics", "--slots", "--cache-ram", "0"] + arguments.server_flags.split()  # else memory holds old prompts and grows
    if attached:
        command = [arguments.namm, "attach", "--policy", attached[0], "--stats", log + ".jsonl"]
        command += (["--budget", attached[1], "--interval", str(arguments.interval)] if attached[1] else []) + ["--"] + server_words
    else:
        command = server_words + ["-fa", flash_attention, "-ctxcp", "0"]
    server = Server(command, arguments.port, log)
    todo, lock, answers, problems, memory = list(enumerate(requests_of(arguments))), threading.Lock(), {}, [], []
    done = 0

    def client():
        nonlocal done
        while True:
            with lock:
                if not todo:
                    return
                number, (kind, body) = todo.pop(0)
            try:
                if kind == "cancelled":
                    server.cancel(body)
                else:
                    status, content = server.call("POST", "/completion", body)
                    if kind == "good" and status == 200:
                        answer = json.loads(content)
                        answers[number] = [(p["token"], p["top_logprobs"]) for p in answer.get("completion_probabilities", [])]
                    elif kind == "good":
                        problems.append(f"request {number}: status {status}: {content[:200]!r}")
                    elif status < 400:
                        problems.append(f"malformed request {number}: status {status}")
            except (OSError, http.client.HTTPException, ValueError) as error:
                problems.append(f"request {number} ({kind}): {error!r}")
            with lock:
                done += 1
                memory.append(server.resident())

    began = time.time()
    clients = [threading.Thread(target=client) for _ in range(arguments.clients)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    seconds = time.time() - began
    if server.process.poll() is not None:
        problems.append(f"the server died with code {server.process.returncode}")
    else:
        metrics = server.call("GET", "/metrics")[1].decode()
        slots = json.loads(server.call("GET", "/slots")[1])
        if "llamacpp:tokens_predicted_total" not in metrics or not slots:
            problems.append("/metrics or /slots are not what they were")
        for _ in range(100):  # cancelled requests end at their next token
            if not any(slot["is_processing"] for slot in slots):
                break
            time.sleep(0.2)
            slots = json.loads(server.call("GET", "/slots")[1])
        else:
            problems.append("a slot is still processing")
    code = server.stop()
    if code != 0:
        problems.append(f"the server must end with code 0, ended with {code}")
    quarter = len(memory) // 4
    early, late = statistics.median(memory[quarter:2 * quarter]), statistics.median(memory[-quarter:])
    wanted = sum(kind == "good" for kind, _ in requests_of(arguments))
    if len(answers) != wanted:
        problems.append(f"{wanted} well-formed requests, {len(answers)} answered")
    return {"attached": " ".join(filter(None, attached)) if attached else None, "requests": arguments.requests, "clients": arguments.clients,
            "answered": len(answers), "seconds": round(seconds, 1), "resident_mib_second_quarter": round(early, 1),
            "resident_mib_last_quarter": round(late, 1), "resident_mib_peak": round(max(memory), 1), "problems": problems}, answers


def leads(one, other):
    """Where two answers to a question part: the lead, in log-probability, that `one` gave its token over the other's; infinite if the other's
    was not its second choice. By number of the question; those with the same answer are left out."""
    out = {}
    for number in sorted(set(one) & set(other)):
        for (a, top), (b, _) in zip(one[number], other[number]):
            if a != b:
                out[number] = top[0]["logprob"] - top[1]["logprob"] if b == top[1]["token"] else float("inf")
                break
    return out


def compare(one, other, control):
    """Answers that are the same, that part at a near tie, and others. `control`: what the runtime itself answers another way of computing."""
    tie = max([lead for lead in leads(one, control).values() if lead < 1] + [0.02])
    apart = leads(one, other)
    return {"answers": len(set(one) & set(other)), "identical": len(set(one) & set(other)) - len(apart),
            "near_ties": sum(lead <= tie for lead in apart.values()), "different": [n for n, lead in apart.items() if lead > tie],
            "near_tie": round(tie, 3), "control_identical": len(set(one) & set(control)) - len(leads(one, control))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namm", default="build/release/namm")
    parser.add_argument("--server", default="llama-server")
    parser.add_argument("--model", required=True)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--words", type=lambda t: [int(x) for x in t.split(",")], default=[10, 40, 120, 300], help="prompt lengths")
    parser.add_argument("--context", type=int, default=8192)
    parser.add_argument("--server-flags", default="", help="more flags for the server, for example '-np 4'")
    parser.add_argument("--policy", default="h2o-mean")
    parser.add_argument("--budget", default="25%")
    parser.add_argument("--interval", type=int, default=128)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--predict", type=lambda t: [int(x) for x in t.split(",")], default=[2, 4, 8, 12], help="tokens to generate")
    parser.add_argument("--growth", type=float, default=8, help="MiB that resident memory may grow beyond what it grows alone")
    parser.add_argument("--port", type=int, default=8397)
    parser.add_argument("--output", default="server_load", help="prefix of logs and of the result file")
    arguments = parser.parse_args()
    results, answers = [], []
    for name, attached, flash_attention in (("alone", None, "on"), ("control", None, "off"), ("full", ("full", None), "on"),
                                            ("policy", (arguments.policy, arguments.budget), "on")):
        if attached and os.path.exists(f"{arguments.output}-{name}.log.jsonl"):
            os.remove(f"{arguments.output}-{name}.log.jsonl")
        result, given = run(arguments, attached, f"{arguments.output}-{name}.log", flash_attention)
        results.append(result)
        answers.append(given)
        print(json.dumps(result), flush=True)
    alone_full = compare(answers[0], answers[2], answers[1])
    print(json.dumps({"full_compared_with_alone": alone_full}))
    with open(arguments.output + ".json", "w") as out:
        json.dump({"model": os.path.basename(arguments.model), "runs": results, "full_compared_with_alone": alone_full}, out, indent=1)
        out.write("\n")
    growth = [run["resident_mib_last_quarter"] - run["resident_mib_second_quarter"] for run in results]
    for result, grown in zip(results[2:], growth[2:]):
        if grown > growth[0] + arguments.growth:
            result["problems"].append(f"resident memory must grow by at most {arguments.growth} MiB more than alone ({growth[0]:.1f}), grew "
                                      f"by {grown:.1f}")
            print("load:", result["problems"][-1], file=sys.stderr)
    failed = any(result["problems"] for result in results) or alone_full["different"]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
