"""What a cache holds, and what it would hold without a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._cache import PolicyCache
    from ._model import ModelShape


@dataclass(frozen=True)
class Usage:
    """Of all rows of a batch together. Bytes are those of the tensors' memory, whatever they show of it."""

    tokens_seen: int  # without padding
    entries: int  # (row, layer, KV head, token) held now
    entries_peak: int
    entries_full: int  # what the stock cache would hold now: window layers their window, padding not counted
    kv_bytes: int  # keys and values, now
    kv_bytes_peak: int
    kv_bytes_full: int
    statistics_bytes: int  # what the policy remembers of the tokens, now
    statistics_bytes_peak: int
    updates: int
    nan_scores: int

    @property
    def logical_saving(self) -> float:
        return 1 - self.entries / self.entries_full if self.entries_full else 0.0

    @property
    def physical_saving(self) -> float:
        return 1 - (self.kv_bytes + self.statistics_bytes) / self.kv_bytes_full if self.kv_bytes_full else 0.0

    def __str__(self) -> str:
        kib = 1024
        return (
            f"{self.tokens_seen} tokens seen; {self.entries} of {self.entries_full} entries held ({100 * self.logical_saving:.1f} % dropped, "
            f"peak {self.entries_peak}); {self.kv_bytes / kib:.0f} of {self.kv_bytes_full / kib:.0f} KiB of keys and values "
            f"(peak {self.kv_bytes_peak / kib:.0f}), {self.statistics_bytes / kib:.0f} KiB of statistics; {self.updates} updates"
        )


def usage_of(cache: "PolicyCache | None", shape: "ModelShape") -> Usage:
    if cache is None:
        return Usage(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    now = cache.measure()
    rows = [sequence.usage() for sequence in cache.sequences]
    full = 0
    for row in rows:
        for window in shape.attention_layers.values():
            full += shape.kv_heads * (min(row["tokens_seen"], window - 1) if window else row["tokens_seen"])
    return Usage(
        tokens_seen=sum(row["tokens_seen"] for row in rows),
        entries=now["entries"],
        entries_peak=cache.peak_entries,
        entries_full=full,
        kv_bytes=now["kv_bytes"],
        kv_bytes_peak=cache.peak_bytes,
        kv_bytes_full=int(full * (shape.key_size + shape.value_size) * shape.bytes_per_number),
        statistics_bytes=now["statistics_bytes"],
        statistics_bytes_peak=cache.peak_statistics_bytes,
        updates=sum(row["updates"] for row in rows),
        nan_scores=sum(row["nan_scores"] for row in rows),
    )
