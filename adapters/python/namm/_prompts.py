"""The prompts that an evolution measures on: generated tasks, or prompts and texts of one's own."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Iterable, Iterator, Sequence

from ._core import EvolutionSettings, fingerprint
from ._options import whole

_LENGTH = 512  # tokens of a context where nothing is said
_PROMPTS, _VALIDATION = 4, 8  # per task, as far as there are so many
_LONGEST = 2**24  # tokens
_ENDLESS = 2**31 - 1  # different prompts


def set_prompts(
    settings: EvolutionSettings,
    tasks: "str | Sequence[str]",
    data: Any,
    lengths: "int | Sequence[int] | None",
    prompts: int | None,
    training_pool: int,
    validation: int | None,
) -> dict[str, str]:
    """Gives what tells these prompts from others of their name. Raises ValueError."""
    there = dict.fromkeys(("prompts", "validation", "training_pool"), _ENDLESS)
    plain = False
    if data is None:
        names = [tasks] if isinstance(tasks, str) else list(tasks)
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError(f"tasks: must be at least one name, are {names!r}; leave them out for basic")
        settings.set_tasks(names)
        sources = {"haystack": "own"}
    else:
        if tasks != "basic":
            raise ValueError("data: must be given without tasks, are both given; choose one")
        with _file_of(data) as (name, file):
            plain, training, validating, documents = settings.set_data(name, str(file))
            sources = {"data": fingerprint(file.read_bytes()) + ", split by context"}
        if not training or not validating:
            raise ValueError(
                f"data: must hold prompts on at least 4 contexts (of every five, three train and the fourth validates), holds {documents}; add some"
            )
        there = {"prompts": training, "validation": validating, "training_pool": training}
    settings.lengths = _lengths(lengths, whole_contexts=data is not None and not plain)
    settings.prompts = _count("prompts", prompts, _PROMPTS, 1, there)
    settings.validation = _count("validation", validation, _VALIDATION, 1, there)
    settings.training_pool = _count("training_pool", training_pool, 0, 0, there)
    if 0 < settings.training_pool < settings.prompts:
        raise ValueError(
            f"training_pool: must be 0 (new prompts in every generation) or at least the {settings.prompts} prompts, is {training_pool}"
        )
    return sources


def _lengths(lengths: "int | Sequence[int] | None", whole_contexts: bool) -> list[int]:
    """Tokens of the contexts; 0: all of it."""
    if lengths is None:
        return [0] if whole_contexts else [_LENGTH]
    given = [lengths] if isinstance(lengths, int) else list(lengths)
    if not given:
        raise ValueError(f"lengths: must be at least one, are none; leave them out for {_LENGTH} tokens")
    return [whole("lengths", length, 32, _LONGEST) for length in given]


def _count(name: str, given: int | None, usual: int, least: int, there: dict[str, int]) -> int:
    if given is None:
        return min(usual, there[name])
    whole(name, given, least)
    if given > there[name]:
        raise ValueError(f"{name}: must be at most the {there[name]} different ones of the data, is {given}; lower it or provide more")
    return given


@contextlib.contextmanager
def _file_of(data: Any) -> Iterator[tuple[str, Path]]:
    """A prompt file, as `namm evolve --data` reads it (docs/tasks.md). Texts and prompts in memory become one, so that they are
    checked where files are."""
    if isinstance(data, (str, os.PathLike)):
        path = Path(data)
        yield path.stem, path
        return
    if isinstance(data, dict) or not isinstance(data, Iterable):
        raise ValueError(f"data: must be a file or a list of texts or dicts, is a {type(data).__name__}; give [...]")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.jsonl"
        path.write_text("".join(_line(number, one) + "\n" for number, one in enumerate(data)), encoding="utf-8")
        try:
            yield path.stem, path
        except RuntimeError as error:
            raise ValueError(str(error).replace(folder + os.sep, "")) from None


def _line(number: int, prompt: Any) -> str:
    if isinstance(prompt, str):
        prompt = {"context": prompt}
    if not isinstance(prompt, dict):
        raise ValueError(f"data: must be texts or dicts with context, question and answers, number {number} is a {type(prompt).__name__}")
    try:
        return json.dumps(prompt)
    except TypeError as error:
        raise ValueError(f"data: must be texts and numbers that JSON knows, number {number} is not: {error}") from None
