"""Attention over lists of different lengths, with torch operations alone, and the rows of it that policies read."""

from __future__ import annotations

from typing import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

TILE = 128  # queries whose probabilities lie in memory at once

RowSink = Callable[[int, Tensor], None]


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    scale: float,
    window: int = 0,
    softcap: float | None = None,
    sinks: Tensor | None = None,
    rows: RowSink | None = None,
) -> Tensor:
    """Causal attention of the newest tokens over what is held, their own keys and values included.

    queries [rows, query heads, new, size]; keys, values [rows, KV heads, entries, size]: the last `new` entries are the queries'
    own, all before them are seen by every query, but for the window (in tokens, 0 = none), in which case entries are consecutive.
    sinks: a logit per query head that takes probability and gives no value. rows(first, mean) is given probabilities averaged
    over the query heads of each KV head, float32 [rows, KV heads, some queries, entries]. Returns [rows, query heads, new, size].
    """
    batch, query_heads, new, size = queries.shape
    kv_heads, entries = keys.shape[1], keys.shape[2]
    group = query_heads // kv_heads
    if rows is None and softcap is None and sinks is None:
        from_the_start = new == entries and not window  # then torch knows the mask, and skips what it hides
        mask = None if from_the_start or (new == 1 and not window) else visible(new, entries, 0, new, window, queries.device)
        return F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, is_causal=from_the_start, scale=scale, enable_gqa=group > 1
        )
    grouped = queries.reshape(batch, kv_heads, group, new, size)
    out = queries.new_empty((batch, kv_heads, group, new, values.shape[-1]))
    for first in range(0, new, TILE):
        last = min(first + TILE, new)
        seen = entries - new + last  # entries behind them nobody here sees
        logits = torch.matmul(grouped[:, :, :, first:last].flatten(2, 3), keys[:, :, :seen].transpose(2, 3)) * scale
        logits = logits.view(batch, kv_heads, group, last - first, seen)
        if softcap is not None:
            logits = softcap * torch.tanh(logits / softcap)
        if new > 1 or window:
            logits.masked_fill_(~visible(last, seen, first, last, window, queries.device), float("-inf"))
        if sinks is None:
            probabilities = torch.softmax(logits, dim=-1, dtype=torch.float32)
        else:
            extra = sinks.to(logits.dtype).view(1, kv_heads, group, 1, 1).expand(batch, -1, -1, last - first, 1)
            probabilities = torch.softmax(torch.cat([logits, extra], dim=-1), dim=-1, dtype=torch.float32)[..., :-1]
        if rows is not None:
            rows(first, F.pad(probabilities.mean(dim=2), (0, entries - seen)))
        weights = probabilities.to(values.dtype).flatten(2, 3)
        out[:, :, :, first:last] = torch.matmul(weights, values[:, :, :seen]).view(batch, kv_heads, group, last - first, -1)
    return out.view(batch, query_heads, new, -1)


def visible(new: int, entries: int, first: int, last: int, window: int, device: torch.device) -> Tensor:
    """[last - first, entries]: which entries the queries first .. last - 1 of `new` see."""
    own = torch.arange(entries - new + first, entries - new + last, device=device).unsqueeze(1)
    entry = torch.arange(entries, device=device).unsqueeze(0)
    seen = entry <= own
    return seen & (entry > own - window) if window else seen
