#!/usr/bin/env python3
"""Kills (SIGKILL) what runs for long at random instants, goes on as a user would, and compares with a run that was never killed.

    evolve, calibrate, trace, eval   the command, then the one that goes on; one in four of those is killed, too
    attach                           a llama-server that saves and restores slots; started again, the same requests
    ranks                            one rank of an evolution under mpirun, rank 0 as often as the others

Every instant of a run is as likely as any other. Files must be the same, byte for byte; of results, without the fields that name
times, rates and memory; of a server, the answers and the saved slots, and a slot that was being saved is the one before or the one
after. Nothing half-written may be left beside them. Exit code 1 if one is not. Standard library only.
"""
import argparse, collections, json, os, pathlib, random, shutil, signal, socket, subprocess, sys, tempfile, threading, time
import urllib.error, urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
# of results and summaries: what differs between any two runs
MEASURED = {"seconds", "peak_rss_bytes", "prefill_tokens_per_second", "decode_tokens_per_second"}


class Wrong(Exception):
    """Something that must not happen."""


def comparable(path):
    """The bytes of a file, of results and summaries without what is measured."""
    content = path.read_bytes()
    if path.name not in ("results.jsonl", "calibration.json"):
        return content
    lines = content.decode().splitlines() if path.suffix == ".jsonl" else [content.decode()]
    return [{name: value for name, value in json.loads(line).items() if name not in MEASURED} for line in lines]


def start(words, log, **more):
    return subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **more)


class Command:
    """A command whose files are compared."""

    files, apart = (), ()  # what must be the same; what depends on the machine

    def __init__(self, arguments):
        self.arguments = arguments
        self.namm = [arguments.namm, self.name]
        self.model = ["--model", arguments.model, "--workers", "1"]

    def finish(self, words, folder):
        """Runs to the end."""
        with open(folder / "log", "ab") as log:
            code = start(words, log).wait()
        if code != 0:
            raise Wrong(f"{' '.join(map(str, words))}: must end with code 0, ended with {code}: {(folder / 'log').read_text()[-600:]}")

    def reference(self, folder):
        began = time.monotonic()
        self.finish(self.begin(folder), folder)
        self.seconds = time.monotonic() - began
        self.wanted = self.contents(folder)

    def contents(self, folder):
        for path in folder.rglob("*"):
            if ".tmp." in path.name:
                raise Wrong(f"{path.name}: was left behind")
        return {name: comparable(folder / name) for name in self.files}

    def too_late(self):
        """It was done before: the machine was busier when the time was taken."""
        self.seconds *= 0.9
        return False

    def kill(self, words, folder, seconds):
        """False if it was done before."""
        with open(folder / "log", "ab") as log:
            process = start(words, log)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                return process.wait() == -signal.SIGKILL
        return self.too_late()

    def phase(self, folder):
        """What there is when it is killed, to see that instants differ."""
        def told(path):
            if path.suffix == ".jsonl":
                return f"{path.name} of {path.read_bytes().count(10)} lines"
            return f"{path.name} of {path.stat().st_size >> 10} KiB" if path.suffix in (".trace", ".state") else path.name

        there = [p for p in folder.rglob("*") if p.is_file() and "log" not in (p.name, p.name[-3:]) and not p.name.startswith("timing")]
        return ", ".join(sorted(told(p) for p in there if ".tmp." not in p.name and not p.name.startswith("policy-"))) or "nothing"

    def once(self, folder, share, draw):
        """One run that is killed after this share of its time. The number of kills, and the phases."""
        phases = []
        if not self.kill(self.begin(folder), folder, share * self.seconds):
            return phases
        phases.append(self.phase(folder))
        if draw.random() < 0.25 and self.kill(self.go_on(folder), folder, draw.random() * self.seconds):
            phases.append(self.phase(folder))
        self.finish(self.go_on(folder), folder)
        found = self.contents(folder)
        for name, content in self.wanted.items():
            if found[name] != content:
                raise Wrong(f"{name}: must be that of the run that was never killed, is another (killed with: {phases})")
        return phases


class Evolve(Command):
    name, files = "evolve", ("run/policy.json", "run/checkpoint.json", "run/log.jsonl", "run/run.json")
    prefix = ()

    def begin(self, folder):
        return [*self.prefix, *self.namm, *self.model, "--tasks", "passkey", "--length", "64", "--generations", "6", "--population", "4", "--prompts", "1",
                "--validation", "1", "--validate-every", "2", "--budget", "50%,25%", "--interval", "32", "--quiet", "--output", folder / "run"]

    def go_on(self, folder):
        if not (folder / "run/checkpoint.json").exists():  # nothing is there to go on with, and a new run is not refused
            return self.begin(folder)
        return [*self.prefix, *self.namm, "--quiet", "--resume", folder / "run"]

    def contents(self, folder):
        out = super().contents(folder)  # its name is in it
        out["run/run.json"] = out["run/run.json"].replace(str(folder).encode(), b"FOLDER")
        return out


class Calibrate(Command):
    name, files = "calibrate", ("probe/policy.json", "probe/calibration.json", "probe/run.json")

    def begin(self, folder):
        return [*self.namm, *self.model, "--texts", "6", "--length", "128,256", "--save-every", "0", "--quiet", "--output", folder / "probe"]

    def go_on(self, folder):
        probe = folder / "probe"
        if (probe / "calibration.state").exists():
            return [*self.namm, "--quiet", "--resume", probe]
        return ["true"] if (probe / "calibration.json").exists() else self.begin(folder)  # the state goes when all else is there


class Trace(Command):
    name, files = "trace", ("a.trace",)

    def words(self, option, folder):
        return [*self.namm, *self.model, "--tasks", "passkey", "--length", "128", "--prompts", "4", "--validation", "2", "--quiet", option, folder / "a.trace"]

    def begin(self, folder):
        return self.words("--output", folder)

    def go_on(self, folder):
        return self.words("--resume" if (folder / "a.trace").exists() else "--output", folder)


class Eval(Command):
    name, files = "eval", ("results.jsonl", "details.jsonl")

    def begin(self, folder):
        return [*self.namm, *self.model, "--policy", "h2o,streaming,knorm", "--tasks", "passkey,niah-single", "--length", "128", "--interval", "32",
                "--samples", "2", "--quiet", "--json", folder / "results.jsonl", "--details", folder / "details.jsonl"]

    def go_on(self, folder):
        return [*self.begin(folder), "--resume"]


class Ranks(Evolve):
    """The others must end within seconds, with another code than 0 and no more than one line."""

    patience = 20

    def __init__(self, arguments):
        super().__init__(arguments)
        self.prefix = [arguments.mpirun, "-n", "3"]
        os.environ.update({"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
                           "OMPI_MCA_hwloc_base_binding_policy": "none", "OMPI_MCA_odls_base_sigkill_timeout": "0"})
        self.draw = random.Random(arguments.seed)

    def ranks_of(self, parent):
        try:
            children = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
            return [int(child) for child in children if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "namm"]
        except OSError:  # one has just ended
            return []

    def kill(self, words, folder, seconds):
        log = folder / "killed-log"
        with open(log, "wb") as to:
            process = start(words, to, start_new_session=True)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
            ranks = []
            while not ranks and process.poll() is None:  # mpirun may not have started them yet
                ranks = self.ranks_of(process.pid)
            if not ranks:
                return self.too_late()
            os.kill(self.draw.choice(ranks), signal.SIGKILL)
            try:
                code = process.wait(self.patience)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise Wrong(f"a rank was killed, and the others did not end within {self.patience} s")
        said = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("namm: ")]
        if code == 0 or len(said) > 1:
            raise Wrong(f"a rank was killed: code {code}, lines {said}")
        return True


class Attach(Command):
    """A server with saved slots. What it is asked is the same every time."""

    name = "attach"
    slots = ("first", "second", "again")

    def __init__(self, arguments):
        super().__init__(arguments)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def words(self, folder):
        return [self.arguments.namm, "attach", "--policy", "h2o-mean", "--budget", "25%", "--interval", "64", "--stats", folder / "stats.jsonl", "--",
                self.arguments.server, "-m", self.arguments.model, "--port", self.port, "-c", "2048", "-np", "1", "-t", "1", "-tb", "1", "--cache-ram", "0",
                "--no-warmup", "--slot-save-path", folder / "slots"]

    def ask(self, path, body):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def ready(self, process):
        for _ in range(6000):
            if process.poll() is not None:
                raise Wrong(f"the server ended with code {process.returncode}")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5).read()
                return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.01)
        raise Wrong("the server is not ready after a minute")

    def complete(self, prompt):
        return self.ask("/completion", {"prompt": prompt, "n_predict": 8, "temperature": 0, "seed": 1, "cache_prompt": True})["content"]

    def work(self):
        """Answers by name. `first` is saved twice, with other contents; `second` is restored and gone on with."""
        text, other = "the key is 4182 and the door is green. " * 12, "records of rain and of wind in the hills. " * 9
        out = {}
        for name, prompt in {"first": text, "second": other, "again": text + other}.items():
            self.ask("/slots/0?action=erase", {})
            out[name] = self.complete(prompt)
            self.ask("/slots/0?action=save", {"filename": name})
            self.ask("/slots/0?action=save", {"filename": "latest"})
        self.ask("/slots/0?action=restore", {"filename": "second"})
        out["restored"] = self.complete(other + out["second"] + " more")
        return out

    def serve(self, folder, until=None):
        """One server and its work, killed after so many seconds of it. None if it was."""
        (folder / "slots").mkdir(exist_ok=True)
        with open(folder / "log", "ab") as log:
            process = start(self.words(folder), log)
            answers = {}
            try:
                if until is None:
                    self.ready(process)
                    answers = self.work()
                    process.terminate()
                    if process.wait(60) != 0:
                        raise Wrong(f"the server must end with code 0, ended with {process.returncode}")
                    return answers

                def client():
                    try:
                        self.ready(process)
                        answers.update(self.work())
                    except (Wrong, OSError, ValueError):
                        pass  # it was killed

                thread = threading.Thread(target=client, daemon=True)
                thread.start()
                thread.join(until)
                done = not thread.is_alive()
                process.kill()
                process.wait()
                thread.join()
                return answers if done and answers else None
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()

    def saved(self, folder):
        return {path.name: path.read_bytes() for path in (folder / "slots").iterdir()}

    def reference(self, folder):
        began = time.monotonic()
        self.wanted = self.serve(folder)
        self.seconds = time.monotonic() - began
        self.files = self.saved(folder)

    def once(self, folder, share, draw):
        if self.serve(folder, share * self.seconds) is not None:
            self.too_late()
            return []
        left = self.saved(folder)
        for name, content in left.items():
            whole = [self.files[slot] for slot in self.slots] if name == "latest" else [self.files.get(name)]
            if ".tmp." not in name and content not in whole:
                raise Wrong(f"slot {name}: must be whole or absent, is neither ({len(content)} bytes)")
        phase = "+".join(sorted(name for name in left if ".tmp." not in name)) or "nothing"
        for line in (folder / "stats.jsonl").read_text().splitlines() if (folder / "stats.jsonl").exists() else ():
            json.loads(line)
        answers = self.serve(folder)
        if answers != self.wanted:
            raise Wrong(f"answers must be those of a server that was never killed ({self.wanted}), are {answers}")
        if self.saved(folder) != self.files:
            raise Wrong("saved slots must be those of a server that was never killed, and nothing beside them")
        return [phase]


CASES = {"evolve": Evolve, "calibrate": Calibrate, "trace": Trace, "eval": Eval, "attach": Attach, "ranks": Ranks}


def check(case, arguments, out):
    draw = random.Random(f"{arguments.seed} {case.__class__.__name__}")
    phases, kills, runs = collections.Counter(), 0, 0
    with tempfile.TemporaryDirectory(prefix="namm-kill-") as place:
        os.environ["XDG_DATA_HOME"] = place  # what calibrate keeps is nobody's
        folder = pathlib.Path(place) / "whole"
        folder.mkdir()
        case.reference(folder)
        while kills < arguments.kills and runs < 3 * arguments.kills + 20:
            # the time is cut into as many parts as there are kills, each with one instant
            share, runs = (kills + draw.random()) / arguments.kills, runs + 1
            folder = pathlib.Path(place) / f"run-{runs}"
            folder.mkdir()
            found = case.once(folder, share, draw)
            kills += len(found)
            phases.update(found)
            shutil.rmtree(folder)
    out.update(kills=kills, seconds_undisturbed=round(case.seconds, 2), phases=dict(phases))
    if kills < arguments.kills:
        raise Wrong(f"only {kills} of {arguments.kills} kills met a run that was not done yet")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="of each")
    parser.add_argument("--only", help="some of them, with commas: " + ",".join(CASES))
    parser.add_argument("--namm", default=str(ROOT / "build/release/namm"))
    parser.add_argument("--server", default=str(ROOT / "build/llama/bin/llama-server"))
    parser.add_argument("--mpirun", default="mpirun")
    parser.add_argument("--model", default=str(ROOT / "experiments/hosts/jamba-recall.gguf"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", help="writes what was done there")
    arguments = parser.parse_args()
    out, failed = {}, False
    for name in arguments.only.split(",") if arguments.only else CASES:
        needed = {"attach": arguments.server, "ranks": arguments.mpirun}.get(name)
        if needed and not shutil.which(needed):
            print(f"{name}: left out, {needed} is not there")
            continue
        out[name] = {}
        began = time.monotonic()
        try:
            check(CASES[name](arguments), arguments, out[name])
        except Wrong as wrong:
            failed, out[name]["wrong"] = True, str(wrong)
        print(f"{name}: {out[name].get('wrong', 'the same')}; {out[name].get('kills', '?')} kills in {time.monotonic() - began:.0f} s, "
              f"in {len(out[name].get('phases', {}))} phases", flush=True)
        for phase, count in sorted(out[name].get("phases", {}).items()):
            print(f"  {count:>4} x with {phase}")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(out, indent=1) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
