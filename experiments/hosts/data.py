"""Training documents: recall questions over prose, in the exact words of the toolkit's `tasks/` room.

A document is a list of (text, kind) pieces: context, question or answer. It ends with the single question of the real
prompt or with several, which teaches more per token; the first of several looks exactly like the real one.
Everything is a function of a seed and an index, so a resumed run sees the data it would have seen.
"""

import functools
import json
import random
import re
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import prose

BOS, EOS = "<|bos|>", "<|endoftext|>"  # the second name is one that llama.cpp knows to end a text
CONTEXT, QUESTION, ANSWER = 0, 1, 2
CHARACTERS_PER_TOKEN = 2.75  # of the prose, in this tokenizer
# Digits of a context cannot be predicted and the rest of it is easy: what counts is the answers.
WEIGHTS = {CONTEXT: 0.15, QUESTION: 0.1, ANSWER: 1.0}
TASKS = ("kv-recall", "niah-single", "passkey")
_NEEDLES = Path(__file__).resolve().parents[2] / "tasks" / "needles.cpp"


def key_words():
    """The toolkit's own key words, read from its source: the one list there is."""
    table = _NEEDLES.read_text().split("kKeyWords[] = {", 1)[1].split("};", 1)[0]
    return re.findall(r'"([a-z]+)"', table)


_WORDS = key_words()
_POOL_SIZE = 60000


@functools.lru_cache(maxsize=None)
def _pool():
    """Sentences made once; documents take runs of them, which keeps the making of data below a tenth of a step."""
    source = prose.Prose(random.Random("pool"))
    return [source.next() for _ in range(_POOL_SIZE)]


def join(sentences):
    """sentences: (text, starts a paragraph). One space between, an empty line before a paragraph."""
    text = "".join(("\n\n" if starts else " ") + s for s, starts in sentences)
    return text.lstrip()


def passkey(rng):
    number = rng.randint(10000, 99999)
    return (f"The pass key is {number}. Remember it. {number} is the pass key.",
            "\n\nWhat is the pass key? The pass key is", f" {number}")


def niah(rng, word):
    number = rng.randint(1000000, 9999999)
    return (f"One of the special magic numbers for {word} is: {number}.",
            f"\n\nWhat is the special magic number for {word} mentioned in the text?"
            f" The special magic number for {word} mentioned in the text is:", f" {number}")


def pair(rng, key):
    number = rng.randint(1000, 9999)
    return (f"The code of {key} is {number}.", f"\n\nWhat is the code of {key}? The code of {key} is", f" {number}")


def needles_of(rng, task, count):
    """`count` different needles of a task, as (sentence, question, answer)."""
    if task == "passkey":
        return [passkey(rng)]
    if task == "niah-single":
        return [niah(rng, word) for word in rng.sample(_WORDS, count)]
    keys = {}  # a dict, not a set: the order of a set of strings differs from process to process
    while len(keys) < count:
        # Keys that share a word are the hard case: both halves must count.
        left, right = rng.sample(_WORDS, 2)
        if keys and rng.random() < 0.15:
            left = rng.choice(list(keys)).split("-")[0]
        if left != right:
            keys[f"{left}-{right}"] = True
    return [pair(rng, key) for key in keys]


def drill(rng, tokens):
    """Statements of which most come again later, with or without prose between: every repeated number is an answer.

    Twice as many answers per token as questions give, and what brings the attention layer to its first matches.
    """
    room, pool = tokens - 10, _pool()
    at = rng.randrange(len(pool) - 600)
    statements = max(2, int(room / 16 * rng.uniform(0.4, 1.0)))
    distinct = max(1, int(statements * rng.uniform(0.3, 0.7)))
    task = "kv-recall" if rng.random() < 0.85 else "niah-single"
    needles = needles_of(rng, task, min(distinct, 200))
    order = needles + [rng.choice(needles) for _ in range(statements - len(needles))]
    rng.shuffle(order)
    gaps = max(0, int((room - 16 * statements) / 24))  # a sentence of prose is about 24 tokens
    for i in range(gaps):
        order.insert(rng.randint(0, len(order)), pool[at + i][0])
    pieces, seen = [], set()
    for item in order:
        space = " " if pieces else ""
        if isinstance(item, str):
            pieces.append((space + item, CONTEXT))
            continue
        text, _, answer = item
        head = space + text[: -len(answer) - 1]
        pieces += [(head, CONTEXT), (answer, ANSWER if text in seen else CONTEXT), (".", CONTEXT)]
        seen.add(text)
    return pieces


def document(rng, tokens, single=None, drills=0.0):
    """Pieces of one document of about `tokens` tokens. `single`: a task name, for the exact evaluation format."""
    if single is None and rng.random() < drills:
        return drill(rng, tokens)
    task = single or rng.choices(TASKS + ("mixed", "plain"), (0.5, 0.12, 0.08, 0.25, 0.05))[0]
    room = tokens - 30
    if single is None:
        questions = rng.choice((1, 2, 4, 8)) if tokens >= 200 else rng.choice((1, 2, 3))
        room -= 20 * (questions - 1)
    else:
        questions = 1
    room = max(room, 32)
    if task == "kv-recall":
        share = 0.35 if single else rng.uniform(0.2, 0.8)
        needles = needles_of(rng, task, max(1, int(room * share / 16)))
    elif task == "mixed":
        needles = needles_of(rng, "kv-recall", max(1, int(room * rng.uniform(0.1, 0.4) / 16)))
        needles += needles_of(rng, "niah-single", rng.randint(1, 1 + room // 100))
        needles += needles_of(rng, "passkey", 1)
    elif task == "niah-single":
        needles = needles_of(rng, task, 1 if single else rng.randint(1, 1 + room // 150))
    elif task == "passkey":
        needles = needles_of(rng, task, 1)
    else:
        needles = []
    pool = _pool()
    at = rng.randrange(len(pool) - 600)
    sentences, used = [], sum(len(n[0]) / 2.4 for n in needles)
    while used < room:
        sentences.append(pool[at + len(sentences)])
        used += len(sentences[-1][0]) / CHARACTERS_PER_TOKEN
    depths = sorted(((rng.randint(0, len(sentences)), n[0]) for n in needles), key=lambda d: -d[0])
    for depth, text in depths:
        sentences.insert(depth, (text, False))
    pieces = [(join(sentences), CONTEXT)]
    asked = rng.sample(needles, min(questions, len(needles)))
    for _, question, answer in asked:
        pieces += [(question, QUESTION), (answer, ANSWER)]
    return pieces + [("\n", ANSWER if asked else CONTEXT)]


def from_prompt(line):
    """Pieces of a prompt printed by `namm prompts` (one JSON object)."""
    p = json.loads(line)
    answer = p["answers"][0]
    answer = answer if answer.startswith(" ") else " " + answer
    return [(p["context"], CONTEXT), (p["question"] + p["answer_prefix"], QUESTION), (answer, ANSWER), ("\n", ANSWER)]


def train_tokenizer(texts, size):
    """Byte-level BPE whose pre-tokenizer is llama.cpp's `smollm`: every digit alone, then GPT-2's rule."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=[BOS, EOS], initial_alphabet=alphabet,
                                  show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encode(tokenizer, pieces):
    """(tokens, loss weights): int64 and float32, BOS first and EOS last; weight[i] is that of predicting token i."""
    text = "".join(p for p, _ in pieces)
    weights = np.concatenate([np.full(len(p), WEIGHTS[kind], np.float32) for p, kind in pieces])
    encoding = tokenizer.encode(text, add_special_tokens=False)
    starts = [start for start, _ in encoding.offsets]
    bos, eos = tokenizer.token_to_id(BOS), tokenizer.token_to_id(EOS)
    tokens = np.array([bos, *encoding.ids, eos], np.int64)
    return tokens, np.concatenate([[0.0], weights[starts], [WEIGHTS[CONTEXT]]]).astype(np.float32)


def batch(tokenizer, seed, index, length, tokens_per_batch, prompts=None, prompt_share=0.0,
          drills=0.0):
    """One training batch: inputs and targets int64 [rows, time], weights float32 [rows, time] summing to 1.

    prompts: lines of `namm prompts`, grouped as {length: [lines]}; drawn with probability `prompt_share`.
    drills: the share of drill documents among the others.
    """
    rng = random.Random(f"{seed}/{index}")
    rows = max(2, round(tokens_per_batch / length / 2) * 2)  # even: two threads share the rows
    near = min(prompts, key=lambda n: abs(n - length)) if prompts else None
    encoded = []
    for _ in range(rows):
        if prompts and rng.random() < prompt_share:
            encoded.append(encode(tokenizer, from_prompt(rng.choice(prompts[near]))))
        else:
            encoded.append(encode(tokenizer, document(rng, length, drills=drills)))
    time = max(len(t) for t, _ in encoded) - 1
    inputs, targets = np.zeros((rows, time), np.int64), np.zeros((rows, time), np.int64)
    weights = np.zeros((rows, time), np.float32)
    for r, (t, w) in enumerate(encoded):
        n = len(t) - 1
        inputs[r, :n], targets[r, :n], weights[r, :n] = t[:-1], t[1:], w[1:]
    return inputs, targets, weights / weights.sum()
