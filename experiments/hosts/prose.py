"""The toolkit's filler prose: its grammar, read from `tasks/prose_*.cpp`, expanded here at training speed.

The C++ source is the authority; nothing of the grammar is repeated. Sentences have the same distribution as those of
`namm::tasks::Prose`, not the same order (the random generators differ).
"""

import re
from pathlib import Path

_TASKS = Path(__file__).resolve().parents[2] / "tasks"
_BOUND = ("hero", "he", "his", "him", "other", "surname", "town", "thing", "trade")
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SMALL = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
          "eighteen nineteen").split()


def _rules():
    """{name: [alternative]}; an alternative is a list of texts and slots, a slot being a 1-tuple of its name."""
    rules = {}
    for file in ("prose_words.cpp", "prose_grammar.cpp"):
        source = re.sub(r"^\s*//.*$", "", (_TASKS / file).read_text(), flags=re.M)
        table = source.split("[] = {", 1)[1].split("\n};", 1)[0]
        for entry in re.findall(r'\{\s*"[^"]*"\s*,(?:\s*"(?:[^"\\]|\\.)*")+\s*\}', table):
            name, *parts = [s.replace('\\"', '"') for s in re.findall(r'"((?:[^"\\]|\\.)*)"', entry)]
            rules[name] = [_parse(a) for a in "".join(parts).split("|")]
    return rules


def _parse(text):
    pieces = re.split(r"\{([^}]*)\}", text)
    return [(p,) if i % 2 else p for i, p in enumerate(pieces) if i % 2 or p]


_RULES = _rules()


class Prose:
    """A stream of (sentence, starts a paragraph). rng: random.Random."""

    def __init__(self, rng):
        self.rng, self.left, self.bound = rng, 0, {}

    def _start(self):
        pick = lambda rule: self.rng.choice(_RULES[rule])[0]
        woman = self.rng.random() < 0.5
        self.bound = {"hero": pick("woman" if woman else "man"), "he": "she" if woman else "he",
                      "his": "her" if woman else "his", "him": "her" if woman else "him"}
        while self.bound.get("other", self.bound["hero"]) == self.bound["hero"]:
            self.bound["other"] = pick("woman" if self.rng.random() < 0.5 else "man")
        for name in _BOUND[5:]:
            self.bound[name] = pick(name)
        self.left = self.rng.randint(4, 9)

    def _expand(self, rule, out):
        for piece in self.rng.choice(_RULES[rule]):
            if isinstance(piece, str):
                out.append(piece)
                continue
            name = piece[0]
            if name in _BOUND[:5]:
                out.append(self.bound[name])
            elif name == "a":
                out.append("\x01")
            elif name == "numword":
                n = self.rng.randint(2, 99)
                out.append(_SMALL[n] if n < 20 else _TENS[n // 10 - 2] + ("-" + _SMALL[n % 10] if n % 10 else ""))
            elif name == "digits:year":
                out.append(str(self.rng.randint(1702, 1989)))
            elif name.startswith("digits:"):
                d = int(name[-1])
                out.append(str(self.rng.randint(10 ** (d - 1), 10 ** d - 1)))
            elif name in _BOUND and self.rng.randrange(3) == 0:
                out.append(self.bound[name])
            else:
                self._expand(name, out)

    def next(self):
        starts = self.left == 0
        if starts:
            self._start()
        self.left -= 1
        out = []
        self._expand("sentence", out)
        text = re.sub("\x01( (?!use|usu|uni|one|eu)[aeiouAEIOU])", r"an\1", "".join(out)).replace("\x01", "a")
        at = 1 if text.startswith('"') else 0
        return text[:at] + text[at].upper() + text[at + 1:], starts
