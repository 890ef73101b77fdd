"""Policies, what they know of a sequence, and the fit of calibrated ones, as they are in C++.

Arrays come from NumPy or from torch (on the CPU, detached). float32 and int32 in C order are read where they are, others are
converted.
Wrong arguments raise ValueError, damaged or missing files RuntimeError: subject, rule, value seen, remedy.
"""

from typing import Any, Callable, Sequence as _Sequence, overload

import numpy as np
from numpy.typing import NDArray

__version__: str

_Floats = Any  # a float32 array of any framework
_Ints = Any  # an int32 array

def policy_names() -> list[str]:
    """Names that Policy() knows, "default" first."""

class Policy:
    """A policy with all that decides what it does to a cache. A value: the with_...() give changed copies."""

    @overload
    def __init__(self, name_or_path: str) -> None: ...
    @overload
    def __init__(self, policy: Policy) -> None: ...
    def with_budget(self, budget: str) -> Policy:
        """ "25%", "0.25", "256" (tokens per layer and KV head), "64MiB", "12.5%bytes", "none"."""
    def with_mode(self, mode: str) -> Policy:
        """ "uniform", "pooled", "threshold", "reference"."""
    def with_interval(self, tokens: int) -> Policy:
        """Tokens between two updates, at least 1."""
    def with_protection(self, sinks: int, recent: int) -> Policy:
        """Tokens that are never dropped: the first `sinks` and the newest `recent`."""
    def save(self, path: str, provenance: str = "{}") -> None:
        """Writes a policy file, as `namm evolve` does: never half of one. provenance: a JSON object, where the policy comes from."""
    def score(
        self,
        positions: _Ints,
        *,
        layer: int = 0,
        kv_head: int = 0,
        spectrogram: _Floats | None = None,
        accumulated: _Floats | None = None,
        queries_seen: _Floats | None = None,
        last_row: _Floats | None = None,
        window_mean: _Floats | None = None,
        key_norm: _Floats | None = None,
        value_norm: _Floats | None = None,
        content: _Floats | None = None,
    ) -> NDArray[np.float32]:
        """Scores of one head's tokens from their statistics (spectrogram [tokens, 17], the others [tokens]), higher = keep."""
    @property
    def name(self) -> str: ...
    @property
    def parameters(self) -> NDArray[np.float32]: ...
    @property
    def json(self) -> str:
        """The policy's own part of its file."""
    @property
    def budget(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def interval(self) -> int: ...
    @property
    def sinks(self) -> int: ...
    @property
    def recent(self) -> int: ...
    @property
    def drops(self) -> bool: ...
    @property
    def reads_attention(self) -> bool: ...
    @property
    def reads_plain_keys(self) -> bool:
        """Whether keys must be those before rotary embedding."""
    @property
    def reads_keys(self) -> bool: ...
    @property
    def reads_values(self) -> bool: ...

class Sequence:
    """What a policy knows of one sequence in a cache that somebody else holds.

    Layer by layer append() and observe(); when due, update(), and the cache is gathered by kept().
    """

    def __init__(
        self, policy: Policy, layers: _Sequence[tuple[int, int, int, int, int]], bytes_per_number: float = 2.0
    ) -> None:
        """layers: (index, KV heads, key size, value size, window or 0), ascending."""
    def append(self, layer: int, positions: _Ints, keys: _Floats | None = None, values: _Floats | None = None) -> None:
        """positions [n], ascending; keys and values [n, KV heads * size], where the policy reads them."""
    def observe(self, layer: int, kv_head: int, attention: _Floats, first_position: int) -> None:
        """attention [queries, entries]: probabilities, averaged over the query heads of the KV head."""
    def update(self) -> None: ...
    def clear(self) -> None: ...
    def kept(self, layer: int, kv_head: int) -> NDArray[np.int32]:
        """Of the newest update: indices into what the head held before."""
    def positions(self, layer: int, kv_head: int) -> NDArray[np.int32]:
        """Of what the head holds now."""
    def usage(self) -> dict[str, int]: ...
    def save(self) -> bytes: ...
    def restore(self, saved: bytes) -> None: ...
    @property
    def due(self) -> bool: ...
    @property
    def tokens_seen(self) -> int: ...

class Calibration:
    """The texts, recordings and sums of one calibration; what namm.calibrate() drives.

    Texts are added; each is begun, its layers are appended and observed while the model reads it, and it is added to the sums.
    """

    near: int
    """A query's attention counts for tokens that are more than so many positions before it."""

    def __init__(
        self,
        layers: _Sequence[tuple[int, int, int, int, int]],
        train_context: int,
        target: str,
        input: str,
        read_out: str,
        value_weight: float,
        lengths: _Sequence[int],
        seed: int,
        turn: tuple[str, str],
        tokenize: Callable[[str, bool, bool], list[int]],
        detokenize: Callable[[list[int]], str],
    ) -> None:
        """layers: as of Sequence. train_context: tokens, 0 = unknown. lengths: tokens of the texts, taken in turns. turn: what
        stands before and behind the user's words. tokenize(text, with special tokens, is of the template)."""
    def add_made_up(self, count: int) -> None:
        """Those of `namm calibrate` for the same seed."""
    def add_text(self, text: str) -> None:
        """A long one in pieces, 60 at most."""
    def plan(self, within_training: bool) -> dict[str, Any]:
        """What there is to do: texts, tokens, longest, lengths, bytes; numbers and most_numbers of the policy. within_training
        shortens the lengths until the longest text, with what follows it, is within train_context."""
    def begin(self, index: int) -> tuple[NDArray[np.int32], int, list[tuple[int, int]]]:
        """Tokens to read, how many of them are the context, and the ranges of positions whose attention counts."""
    def append(self, layer: int, positions: _Ints, keys: _Floats, values: _Floats) -> None:
        """Of the context: keys before rotary embedding and values, [n, KV heads * size]."""
    def observe(self, layer: int, largest: _Floats) -> None:
        """[KV heads, context]: the largest attention, mean over a group's query heads, that a query that counts paid."""
    def add(self) -> None:
        """Ends the text that has begun."""
    def fit(self, recency: float) -> tuple[Policy, float, float, list[float]]:
        """The policy (pooled, no budget), the penalty, the share of the variance explained, the same by layer."""

def commit() -> str:
    """What the package was built from; "unknown" outside of a repository."""

def today() -> str:
    """2026-05-31, UTC."""

def write_file(path: str, content: str) -> None:
    """Replaces the file as a whole: never half of one."""
