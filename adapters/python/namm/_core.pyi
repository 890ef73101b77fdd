"""Policies and what they know of a sequence, as they are in C++.

Arrays come from NumPy or from torch (on the CPU, detached). float32 and int32 in C order are read where they are, others are
converted.
Wrong arguments raise ValueError, damaged or missing files RuntimeError: subject, rule, value seen, remedy.
"""

from typing import Any, Sequence as _Sequence

import numpy as np
from numpy.typing import NDArray

__version__: str

_Floats = Any  # a float32 array of any framework
_Ints = Any  # an int32 array

def policy_names() -> list[str]:
    """Names that Policy() knows, "default" first."""

class Policy:
    """A policy with all that decides what it does to a cache. A value: the with_...() give changed copies."""

    def __init__(self, name_or_path: str) -> None: ...
    def with_budget(self, budget: str) -> Policy:
        """ "25%", "0.25", "256" (tokens per layer and KV head), "64MiB", "12.5%bytes", "none"."""
    def with_mode(self, mode: str) -> Policy:
        """ "uniform", "pooled", "threshold", "reference"."""
    def with_interval(self, tokens: int) -> Policy:
        """Tokens between two updates, at least 1."""
    def with_protection(self, sinks: int, recent: int) -> Policy:
        """Tokens that are never dropped: the first `sinks` and the newest `recent`."""
    def save(self, path: str) -> None:
        """Writes a policy file, as `namm evolve` does: never half of one."""
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
