#!/usr/bin/env python3
"""What users of llama-server rely on, alone and attached with `full` and with a policy; for -np 1, -np 4 and no -np.

For each: answers, a chat of --turns turns that goes on from its cache, requests that are hung up on in the middle of a stream, the fields of
/slots and /metrics, a slot saved, erased and restored, another conversation in the same slot (the server's prompt cache) and the memory
that an erased slot gives back. Prints one JSON object per server; exit code 1 if a check fails. Standard library only.
"""
import argparse, json, os, random, sys, tempfile, time

from load import Server, WORDS, compare


def words(draw, count):
    return " ".join(draw.choice(WORDS) for _ in range(count))


def resident_anonymous(pid):
    """Anonymous resident memory in MiB, from the kernel's own account."""
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Anonymous")) / 1024


class Checked:
    def __init__(self, server, problems):
        self.server, self.problems, self.predicted = server, problems, 0

    def complete(self, prompt, tokens, slot=0, **more):
        status, content = self.server.call("POST", "/completion", dict({"prompt": prompt, "n_predict": tokens, "temperature": 0, "seed": 1,
                                                                        "n_probs": 2, "id_slot": slot, "ignore_eos": True}, **more))
        if status != 200:
            self.problems.append(f"status {status}: {content[:200]!r}")
            return {}
        answer = json.loads(content)
        self.predicted += answer["tokens_predicted"]
        return answer

    def slots(self):
        return json.loads(self.server.call("GET", "/slots")[1])

    def idle(self):
        for _ in range(150):
            if not any(slot["is_processing"] for slot in self.slots()):
                return True
            time.sleep(0.1)
        return False


def tokens_of(answer):
    return [(p["token"], p["top_logprobs"]) for p in answer.get("completion_probabilities", [])]


def check(arguments, flags, attached):
    problems, answers, facts = [], {}, {"flags": " ".join(flags) or "none", "attached": " ".join(attached) if attached else attached}
    folder = tempfile.mkdtemp(prefix="server_check.")
    stats = os.path.join(folder, "stats.jsonl")
    words_of_server = [arguments.server, "-m", arguments.model, "--port", str(arguments.port), "-c", str(arguments.context), "-t", "1", "-tb", "1",
                       "--metrics", "--slots", "--slot-save-path", folder] + flags
    if attached:
        command = [arguments.namm, "attach", "--policy", attached[0], "--stats", stats, "--interval", str(arguments.interval)]
        command += (["--budget", attached[1]] if attached[1:] else []) + ["--"] + words_of_server
    else:
        command = words_of_server + ["-fa", "on" if attached is None else "off", "-ctxcp", "0"]
    server = Server(command, arguments.port, os.path.join(folder, "log"))
    c, draw = Checked(server, problems), random.Random(arguments.seed)

    prompts = [words(draw, n) + "\nThe" for n in (5, 60, 150)]
    for i, prompt in enumerate(prompts):
        answers[i] = tokens_of(c.complete(prompt, 8))

    # a chat: every turn begins with all that was said before
    said, reused = words(draw, 40), []
    for turn in range(arguments.turns):
        said += "\n" + words(draw, 12)
        answer = c.complete(said, 10, cache_prompt=True)
        if answer:
            said += answer["content"]
            timings = answer["timings"]
            reused.append(timings["cache_n"])
            answers[100 + turn] = tokens_of(answer)
            if turn and timings["prompt_n"] > 60:
                problems.append(f"turn {turn} must go on from the cache, read {timings['prompt_n']} tokens")
    facts["chat_tokens"] = c.slots()[0].get("n_prompt_tokens", 0) or reused[-1]
    if any(b <= a for a, b in zip(reused[1:], reused[2:])):
        problems.append(f"what a chat reuses must grow, was {reused}")

    # cancelled while they stream: the slot is free afterwards, and the chat can be taken up again
    for i in range(6):
        server.cancel({"prompt": words(draw, 30), "n_predict": 400, "stream": True, "temperature": 0, "ignore_eos": True, "id_slot": 0})
    if not c.idle():
        problems.append("a slot is still busy after its client hung up")
    answers[50] = tokens_of(c.complete(prompts[1], 8))
    said += "\nIn the end"
    answer = c.complete(said, 8, cache_prompt=True)
    answers[200] = tokens_of(answer)
    said += answer["content"]

    # save, erase, restore: goes on with the same tokens, from the cache
    saved = json.loads(server.call("POST", "/slots/0?action=save", {"filename": "slot.bin"})[1])
    facts["slot_file_bytes"] = saved.get("n_written", 0)
    with_slot = resident_anonymous(server.process.pid)
    straight = c.complete(said + " of it all the", 8, cache_prompt=True)
    server.call("POST", "/slots/0?action=erase", {})
    facts["mib_given_back_by_erase"] = round(with_slot - resident_anonymous(server.process.pid), 1)
    c.complete(words(draw, 20), 4)
    status, content = server.call("POST", "/slots/0?action=restore", {"filename": "slot.bin"})
    if status != 200 or json.loads(content).get("n_restored") != saved.get("n_saved"):
        problems.append(f"a slot must be restored with the {saved.get('n_saved')} tokens it was saved with: {content[:200]!r}")
    again = c.complete(said + " of it all the", 8, cache_prompt=True)
    if straight and again:
        facts["restored_tokens_reused"] = again["timings"]["cache_n"]
        if again["timings"]["prompt_n"] != straight["timings"]["prompt_n"]:
            problems.append(f"behind a restored slot {straight['timings']['prompt_n']} tokens must be read, were {again['timings']['prompt_n']}")
        if [t for t, _ in tokens_of(again)] != [t for t, _ in tokens_of(straight)]:
            problems.append("a restored slot must go on as it would have, goes on otherwise")
    with open(os.path.join(folder, "damaged.bin"), "wb") as out, open(os.path.join(folder, "slot.bin"), "rb") as whole:
        out.write(whole.read()[:5000])
    status, _ = server.call("POST", "/slots/0?action=restore", {"filename": "damaged.bin"})
    if status == 200:
        problems.append("a damaged slot file must be refused, was restored")

    # the server's prompt cache: a second conversation takes the slot, then the first one is taken up again
    first = words(draw, 80)
    first += c.complete(first, 6, slot=-1)["content"]
    for _ in range(4):
        c.complete(words(draw, 80), 6, slot=-1)
    facts["taken_up_again_reused"] = c.complete(first + " and so on", 6, slot=-1)["timings"]["cache_n"]

    slots = c.slots()
    metrics = server.call("GET", "/metrics")[1].decode()
    counted = [float(line.split()[1]) for line in metrics.splitlines() if line.startswith("llamacpp:tokens_predicted_total")]
    if not counted or counted[0] < c.predicted:
        problems.append(f"/metrics must count at least {c.predicted} predicted tokens, says {counted}")
    facts["fields"] = {"slot": sorted(slots[0]), "metrics": [line.split()[2] for line in metrics.splitlines() if line.startswith("# TYPE")]}
    wanted = {"-np 1": 1, "-np 4": 4, "none": 4}[facts["flags"]]
    if len(slots) != wanted:
        problems.append(f"{wanted} slots must be there, are {len(slots)}")
    facts["resident_mib"] = round(server.resident(), 1)
    if server.stop() != 0:
        problems.append("the server must end with code 0")
    if attached:
        lines = [json.loads(line) for line in open(stats)]
        facts["requests_logged"], last = len(lines), max(lines, key=lambda line: line["tokens_seen"])
        facts["longest"] = {name: last[name] for name in ("tokens_seen", "entries", "entries_full", "logical_saving", "physical_saving")}
        known = sum(line["slot"] is not None for line in lines)
        if known < 0.9 * len(lines) or any(line["slot"] not in (None, *range(wanted)) for line in lines):
            problems.append(f"the slot of requests must be told, is for {known} of {len(lines)}")
    facts["problems"] = problems
    return facts, answers


def same_questions(one, other):
    """Answers up to the first turn of the chat that went another way: what was asked afterwards is not the same."""
    asked = {}
    for number in sorted(one):
        asked[number] = one[number]
        if number >= 100 and [t for t, _ in one[number]] != [t for t, _ in other.get(number, [])]:
            break
    return asked


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namm", default="build/release/namm")
    parser.add_argument("--server", default="llama-server")
    parser.add_argument("--model", required=True)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--policy", default="h2o-mean")
    parser.add_argument("--budget", default="25%")
    parser.add_argument("--interval", type=int, default=128)
    parser.add_argument("--context", type=int, default=8192)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=8398)
    parser.add_argument("--slots", type=lambda text: text.split(","), default=["none", "1", "4"], help="values of -np")
    arguments = parser.parse_args()
    failed = False
    for np in arguments.slots:
        flags = [] if np == "none" else ["-np", np]
        alone, expected = check(arguments, flags, None)
        _, control = check(arguments, flags, False)
        full, given = check(arguments, flags, ["full"])
        policy, _ = check(arguments, flags, [arguments.policy, arguments.budget])
        full["compared_with_alone"] = compare(same_questions(expected, given), given, same_questions(control, expected))
        fields = alone.pop("fields")
        if alone["taken_up_again_reused"] != full["taken_up_again_reused"]:
            full["problems"].append(f"a conversation taken up again must reuse {alone['taken_up_again_reused']} tokens as alone, reuses "
                                    f"{full['taken_up_again_reused']}")
        for facts in (full, policy):
            if facts.pop("fields") != fields:
                facts["problems"].append("/slots and /metrics must have the fields they have alone, have others")
        for facts in (alone, full, policy):
            print(json.dumps(facts), flush=True)
            failed = failed or bool(facts["problems"])
        failed = failed or bool(full["compared_with_alone"]["different"])
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
