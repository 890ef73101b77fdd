#!/usr/bin/env python3
"""What the demonstration says without its set-up, its page, and the README's pictures, from the records in experiments/demo and bits."""
import html.parser
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "experiments/demo"
sys.path.insert(0, str(DEMO))
failed = 0


def check(good, what):
    global failed
    print(("ok      " if good else "FAILED  ") + what)
    failed += not good


class Balance(html.parser.HTMLParser):
    """Whether every element that is opened is closed, in order."""
    ALONE = {"meta", "link", "br", "img", "hr"}

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.words = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in self.ALONE:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.words.append(data)


def without_set_up():
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "experiments/demo", f"{folder}/experiments/demo")
        shutil.copy(ROOT / "experiments/demo.sh", f"{folder}/experiments")
        run = subprocess.run(["bash", f"{folder}/experiments/demo.sh"], capture_output=True, text=True)
        check(run.returncode == 1 and run.stdout == "", "without the set-up nothing is begun")
        for remedy in ("bash cmake/setup.sh --with-server", "cmake --build --preset release", "bash experiments/models/fetch_smollm2.sh"):
            check(remedy in run.stderr, f"and it says: {remedy}")
        check(not pathlib.Path(f"{folder}/build").exists(), "no folder is left behind")
        run = subprocess.run(["bash", f"{folder}/experiments/demo.sh", "--nonsense"], capture_output=True, text=True)
        check(run.returncode == 2 and "--nonsense" in run.stderr, "an unknown option is wrong usage")


def page_of(record):
    from page import parts_of, write_page
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "demo.html"
        record["servers"]["alone"]["turns"][0]["answer"] = "<script>alert(1)</script>"
        write_page(record, path)
        text = path.read_text()
    reader = Balance()
    reader.feed(text)
    words = "".join(reader.words)
    check(not reader.open and not reader.wrong, f"the page is whole {reader.open} {reader.wrong}")
    check(text.count("<svg class=chart ") == 2 and text.count("<div class=number>") == 3, "two charts, three large numbers")
    check("<script>alert" not in text and "<script>alert(1)</script>" in words, "answers are text")
    check("http://" not in text.replace("http://127.0.0.1", "").replace("http://www.apache.org", ""), "it needs no network")
    whole, unused, policy = parts_of(record)
    check(abs(whole - unused - policy) < 1e-9 and unused > policy > 0, "memory gained: unused cells and the policy's part")
    check(f"−{unused:.0f} because cells of -c {record['context']} that are never used" in words and f"−{policy:.0f} by the policy" in words,
          "which the first number says")


def picture_of(record):
    from picture import THEMES, picture
    readme = (ROOT / "README.md").read_text()
    for name, theme in THEMES.items():
        stored = ROOT / f"docs/pictures/chat-memory-{name}.svg"
        check(stored.read_text() == picture(record, theme), f"{stored.name} is what the record says (python3 experiments/demo/picture.py)")
        check(f"docs/pictures/{stored.name}" in readme, "and in the README")
    for server in record["servers"].values():
        check(f"{server['peak_mib']:.0f} MiB" in readme or f"{server['peak_mib']:.0f}" in readme, f"the README has its {server['peak_mib']:.0f} MiB")


def frontier():
    sys.path.insert(0, str(ROOT / "experiments/bits"))
    import frontier as drawn
    records = drawn.read(drawn.HERE)
    for task, _ in drawn.TASKS:
        for store, policy, _, _ in drawn.LINES:
            check(len(drawn.points(records, task, store, policy)) == 3, f"{task} has three budgets of {policy} held as {store}")
    for name, theme in drawn.THEMES.items():
        stored = ROOT / f"docs/pictures/frontier-{name}.svg"
        check(stored.read_text() == drawn.picture(records, theme), f"{stored.name} is what the records say (python3 experiments/bits/frontier.py)")
        check(f"docs/pictures/{stored.name}" in (ROOT / "README.md").read_text(), "and in the README")


def main():
    without_set_up()
    frontier()
    text = (DEMO / "record.json").read_text()
    picture_of(json.loads(text))
    page_of(json.loads(text))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
