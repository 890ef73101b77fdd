"""What a calibration records of a model while it reads one text."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._attach import Memory
from ._cache import Batch, PolicyCache, PolicyLayer, token_rows
from ._core import Calibration, Policy

_PIECE = 512  # tokens of one forward pass


class Recording(Memory):
    """Attached within its with block like a policy that drops nothing. Layers with a window are not recorded: no policy decides
    about them."""

    def __init__(self, model: Any) -> None:
        super().__init__(model, Policy("full"))
        self.require_text()
        self.layers = [layer for layer in self.shape.layer_tuples() if layer[4] == 0]
        self._options = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}

    def record(self, calibration: Calibration, index: int) -> None:
        """Text number `index` is read, and what came of it handed over."""
        tokens, context, queries = calibration.begin(index)
        cache = RecordingCache(self.shape, calibration, context, queries)
        ids = torch.from_numpy(tokens).long().unsqueeze(0).to(self.model.get_input_embeddings().weight.device)
        # recurrent layers of Transformers read a piece with what came before only token by token
        piece = len(tokens) if self.shape.has_recurrent_layers else _PIECE
        for first in range(0, len(tokens), piece):
            self.model(input_ids=ids[:, first : first + piece], **{self.shape.cache_argument: cache}, **self._options)
        self.cache = None
        cache.hand_over()

    def _reads_plain_keys(self) -> bool:
        return True


class RecordingCache(PolicyCache):
    """Holds everything. Keys before rotary embedding and values of the first `context` tokens go to the calibration as they come,
    the largest attention that queries at the given positions pay these tokens, and how evenly they pay it, at the end."""

    def __init__(self, shape: Any, calibration: Calibration, context: int, queries: list[tuple[int, int]]) -> None:
        super().__init__(Policy("full"), shape)
        self.calibration = calibration
        self.context = context
        self.queries = queries
        self.largest: dict[int, Tensor] = {}  # layer -> [KV heads, context]
        self.evenness: dict[int, Tensor] = {}  # layer -> [KV heads, 2]: sums as Calibration.observe has them
        self.counted: dict[int, int] = {}  # layer -> queries

    def note_tokens(self, layer: PolicyLayer, keys: Tensor, values: Tensor, batch: Batch) -> None:
        super().note_tokens(layer, keys, values, batch)
        before = batch.before[0]
        count = min(batch.new, self.context - before)
        if layer.window or count <= 0:
            return
        plain = token_rows(self.shape.plain_keys(keys, self.rotations.get(layer.index))[0, :, :count])
        read = token_rows(values[0, :, :count])
        if not (np.isfinite(plain).all() and np.isfinite(read).all()):
            raise RuntimeError(f"layer {layer.index}: keys and values must be finite, are not; load the model in another dtype")
        self.calibration.append(layer.index, np.arange(before, before + count, dtype=np.int32), plain, read)

    def reads_rows(self, layer: PolicyLayer, batch: Batch) -> bool:
        first = batch.before[0]
        return not layer.window and any(begin < first + batch.new and end > first for begin, end in self.queries)

    def row_sink(self, layer: PolicyLayer, batch: Batch, rows: Any, head: int | None) -> Any:
        def take(first: int, mean: Tensor) -> None:  # [1, KV heads, queries, entries]
            count, tokens = mean.shape[2], min(mean.shape[3], self.context)
            begin = batch.before[0] + first
            own = torch.arange(begin, begin + count, device=mean.device).unsqueeze(1)
            counts = torch.arange(tokens, device=mean.device).unsqueeze(0) < own - Calibration.near
            counts &= torch.stack([(own >= a) & (own < b) for a, b in self.queries]).any(dim=0)
            paid = mean[0, :, :, :tokens].masked_fill(~counts, 0).amax(dim=1)
            if layer.index not in self.largest:
                self.largest[layer.index] = mean.new_zeros((mean.shape[1], self.context))
                self.evenness[layer.index] = torch.zeros((mean.shape[1], 2), device=mean.device)
                self.counted[layer.index] = 0
            held = self.largest[layer.index][:, :tokens]
            held.copy_(torch.maximum(held, paid))
            for query in self._even_queries(layer.index, begin, count, tokens):
                far = min(tokens, begin + query - Calibration.near)
                self.evenness[layer.index] += _evenness(mean[0, :, query, Calibration.sinks : far])

        return take

    def _even_queries(self, layer: int, begin: int, count: int, tokens: int) -> list[int]:
        """Numbers of those among `count` queries, the first at position `begin`, on which evenness is measured."""
        fewest = Calibration.sinks + Calibration.fewest
        asks = [
            query
            for query in range(count)
            if min(tokens, begin + query - Calibration.near) >= fewest and any(a <= begin + query < b for a, b in self.queries)
        ]
        first = -self.counted[layer] % Calibration.every
        self.counted[layer] += len(asks)
        return asks[first :: Calibration.every]

    def hand_over(self) -> None:
        for layer, largest in self.largest.items():
            on_cpu = largest.to("cpu", torch.float32).contiguous().numpy()
            if not np.isfinite(on_cpu).all():
                raise RuntimeError(f"layer {layer}: attention must be finite, is not; load the model in another dtype")
            self.calibration.observe(layer, on_cpu, self.evenness[layer].to("cpu").double().contiguous().numpy())


def _evenness(paid: Tensor) -> Tensor:
    """Of one query, [KV heads, tokens]: what calibrate/evenness.hpp sums up, [KV heads, 2]."""
    paid = paid.float()
    total = paid.sum(dim=-1)
    entropy = total.log() - torch.xlogy(paid, paid).sum(dim=-1) / total
    even = (total * (entropy.exp() / paid.shape[-1]).clamp(max=1)).where(total > 0, torch.zeros_like(total))
    return torch.stack([total, even], dim=-1)
