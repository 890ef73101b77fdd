"""The texts of a calibration, and the tokeniser that they are read with."""

from __future__ import annotations

from typing import Any, Sequence

from ._core import Calibration

_LENGTHS = (512, 512, 1024, 2048)
_SHORTEST = 32  # tokens
_TURN = "\x02"  # stands for the user's words where the chat template is asked


def lengths_of(lengths: "Sequence[int] | None") -> list[int]:
    """Tokens of the texts, taken in turns. Raises ValueError."""
    out = list(_LENGTHS if lengths is None else lengths)
    if not out or not all(isinstance(length, int) and length >= _SHORTEST for length in out):
        raise ValueError(f"lengths: must be {_SHORTEST} tokens or more each, are {out}; leave them out for {list(_LENGTHS)}")
    return out


def own_texts(texts: Any) -> "int | list[str]":
    """A number of made-up texts, or a list. Raises ValueError."""
    if isinstance(texts, int):
        if isinstance(texts, bool) or texts < 1:
            raise ValueError(f"texts: must be 1 made-up text or more, is {texts}; leave it out for 60")
        return texts
    if isinstance(texts, str):
        raise ValueError("texts: must be a number of made-up texts or a list of your own, is one text; give [text]")
    out = list(texts)
    if not out:
        raise ValueError("texts: must hold a text or more, is empty; leave it out for made-up ones")
    for number, text in enumerate(out):
        if not isinstance(text, str):
            raise ValueError(f"texts: must be strings, number {number} is a {type(text).__name__}")
    return out


class Tokeniser:
    """A tokeniser of Transformers, or what is called like one. Raises ValueError for anything else."""

    def __init__(self, tokenizer: Any) -> None:
        if not callable(tokenizer) or not hasattr(tokenizer, "decode"):
            raise ValueError(f"tokenizer: must be one of Transformers, is a {type(tokenizer).__name__}; give AutoTokenizer.from_pretrained(...)")
        self._of = tokenizer

    def tokenize(self, text: str, add_special: bool, of_template: bool) -> list[int]:
        ids = list(self._of(text, add_special_tokens=add_special, verbose=False)["input_ids"])
        ends = ids and ids[-1] == self._of.eos_token_id != self._of.bos_token_id
        return ids[:-1] if add_special and ends else ids  # the text is to go on

    def detokenize(self, ids: list[int]) -> str:
        return str(self._of.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def turn(self, wanted: bool) -> tuple[str, str]:
        """What stands before and behind the user's words; nothing if there is no chat template."""
        if not wanted or not getattr(self._of, "chat_template", None):
            return "", ""
        try:
            whole = self._of.apply_chat_template([{"role": "user", "content": _TURN}], tokenize=False, add_generation_prompt=True)
            before, behind = whole.split(_TURN)
        except Exception as error:  # of Jinja, of the template itself, of one that says it twice
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(f"chat template: must take one turn of the user, does not ({reason}); give chat_template=False") from error
        return before, behind


def add_texts(calibration: Calibration, texts: "int | list[str]", tokeniser: Tokeniser) -> None:
    if isinstance(texts, int):
        return calibration.add_made_up(texts)
    for number, text in enumerate(texts):
        count = len(tokeniser.tokenize(text, False, False))
        if count < _SHORTEST:
            raise ValueError(f"texts: must have {_SHORTEST} tokens or more each, number {number} has {count}; join short ones")
        calibration.add_text(text)
