"""Our policies as presses of kvpress, so that its pipeline and its evaluation run them: from namm.kvpress import NAMMPress.

    press = NAMMPress("h2o-mean", compression_ratio=0.75)
    answer = pipeline("kv-press-text-generation", model=model, tokenizer=tokenizer)(context, question=question, press=press)["answer"]

Needs the package kvpress (0.5.5), which needs Transformers below 5.3.
"""

from __future__ import annotations

import contextlib
import contextvars
from dataclasses import dataclass
from typing import Any, Iterator

import kvpress
import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from ._attach import _no_mask
from ._attention import attend
from ._cache import Batch, PolicyCache
from ._core import Policy, Sequence
from ._model import ModelShape
from ._options import settle_store

_IMPLEMENTATION = "namm-press"
_current: contextvars.ContextVar["_Reading | None"] = contextvars.ContextVar("namm_reading", default=None)


@dataclass
class NAMMPress(kvpress.BasePress):
    """A policy that compresses a context once, behind it, as kvpress does; it decides about all layers together, like KVzipPress.

    policy: as for namm.attach. compression_ratio: the share of entries that is dropped, at least 0 and below 1. mode: "uniform" (every
    KV head keeps as many; the cache's tensors become smaller) or "pooled" (one budget for all heads; the tensors stay as they are, and
    what is dropped is hidden behind kvpress's fake keys); none given: the policy's. sinks, recent, store: as for namm.attach.

    Raises ValueError for what can be changed in the call, NotImplementedError with the reason if no policy attaches to the model.
    """

    policy: Any = "default"
    compression_ratio: float = 0.0
    mode: "str | None" = None
    sinks: "int | None" = None
    recent: "int | None" = None
    store: "str | None" = None

    def __post_init__(self) -> None:
        self._reading: _Reading | None = None  # of the newest context
        settle_store(self.chosen(), self.store)

    def chosen(self) -> Policy:
        """The policy with its budget."""
        if not 0 <= self.compression_ratio < 1:
            raise ValueError(f"compression_ratio: must be at least 0 and below 1, is {self.compression_ratio}; 0.75 keeps a quarter")
        policy = self.policy if isinstance(self.policy, Policy) else Policy(str(self.policy))
        policy = policy.with_budget(f"{1 - self.compression_ratio:.12f}")
        policy = policy if self.mode is None else policy.with_mode(self.mode)
        if policy.mode not in ("uniform", "pooled"):
            raise ValueError(f"mode: must be uniform or pooled, is {policy.mode}; thresholds have no compression ratio")
        return policy.with_protection(
            policy.sinks if self.sinks is None else self.sinks, policy.recent if self.recent is None else self.recent
        )

    @contextlib.contextmanager
    def __call__(self, model: Any) -> Iterator[None]:
        policy = self.chosen()
        self._reading = None
        if self.compression_ratio == 0 or not policy.drops:
            yield
            return
        reading = _Reading(policy, ModelShape(model))
        with reading.attached():
            yield
        reading.compress()
        self._reading = reading

    def positions(self, layer: int, kv_head: int, row: int = 0) -> list[int]:
        """Tokens of the newest context that a head keeps."""
        if self._reading is None:
            raise ValueError("press: must have compressed a context, has not yet; read one within `with press(model):`")
        return self._reading.observed.sequences[row].positions(layer, kv_head).tolist()


class _Reading:
    """One context on its way through the model: what the policy knows of it, and the cache of Transformers that holds it."""

    def __init__(self, policy: Policy, shape: ModelShape) -> None:
        if policy.reads_plain_keys:
            shape.require_plain_keys()
        Sequence(policy, shape.layer_tuples(), shape.bytes_per_number)  # what it refuses, it refuses before the context is read
        self.policy = policy
        self.shape = shape
        self.observed = PolicyCache(policy, shape)  # its layers hold nothing: keys and values are in `held`
        self.held: Any = None

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """Within it the model's attention is ours and is observed."""
        AttentionInterface.register(_IMPLEMENTATION, _observed_attention)
        AttentionMaskInterface.register(_IMPLEMENTATION, _unpadded)
        modules = self.shape.attention_modules
        configs = {id(module.config): module.config for module in modules.values()}
        configs.setdefault(id(self.shape.config), self.shape.config)
        before = [(config, config._attn_implementation) for config in configs.values()]
        hooks = [module.register_forward_pre_hook(self._note, with_kwargs=True) for module in modules.values()]
        token = _current.set(self)
        try:
            for config, _ in before:
                config._attn_implementation = _IMPLEMENTATION
            yield
        finally:
            _current.reset(token)
            for config, implementation in before:
                config._attn_implementation = implementation
            for hook in hooks:
                hook.remove()

    def attention(self, module: Any, query: Tensor, key: Tensor, value: Tensor, options: dict[str, Any]) -> Tensor:
        """[rows, query heads, tokens, size] of the whole context."""
        layer = self.observed.policy_layer(module.layer_idx)
        if key.shape[2] != query.shape[2]:
            raise ValueError(f"context: must be read in one piece within the press, has {key.shape[2] - query.shape[2]} tokens before it")
        module.masked_key_indices = None  # of a context before this one
        if not self.observed.sequences:
            self.observed.sequences = [Sequence(self.policy, self.shape.layer_tuples(), self.shape.bytes_per_number) for _ in range(key.shape[0])]
        self.observed.require_shape(layer.index, key, value)
        batch = Batch(key.shape[2], None, [0] * key.shape[0])
        self.observed.note_tokens(layer, key, value, batch)
        reads = self.observed.reads_rows(layer, batch)
        sink = self.observed.row_sink(layer, batch, range(key.shape[0]), None) if reads else None
        return attend(query, key, value, window=layer.window, rows=sink, **options)

    def compress(self) -> None:
        """The policy decides, and the cache follows."""
        sequences = self.observed.sequences
        if not sequences:
            return  # nothing was read
        if self.held is None:
            raise ValueError("context: must be read with a cache, was read without one; give past_key_values")
        for sequence in sequences:
            sequence.update()
        for index, window in self.shape.attention_layers.items():
            if window:
                continue
            kept = [[torch.from_numpy(one.kept(index, head)).long() for head in range(self.shape.kv_heads)] for one in sequences]
            if self.policy.mode == "uniform":
                _gather(self.held.layers[index], kept)
            else:
                self.shape.attention_modules[index].masked_key_indices = _dropped(kept, sequences[0].tokens_seen)

    def _note(self, module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        cache = kwargs.get("past_key_values")
        if cache is not None:
            self.held = cache
        if kwargs.get("position_embeddings") is not None:
            self.observed.rotations[module.layer_idx] = kwargs["position_embeddings"]


def _gather(layer: Any, kept: list[list[Tensor]]) -> None:
    """Keys and values of a layer become what is kept [row][KV head], equally many everywhere; the memory of the others is freed."""
    index = torch.stack([torch.stack(heads) for heads in kept]).to(layer.keys.device).unsqueeze(-1)
    layer.keys = layer.keys.gather(2, index.expand(-1, -1, -1, layer.keys.shape[3]))
    layer.values = layer.values.gather(2, index.expand(-1, -1, -1, layer.values.shape[3]))


def _dropped(kept: list[list[Tensor]], tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, KV heads and places that kvpress is to hide."""
    hidden = torch.ones((len(kept), len(kept[0]), tokens), dtype=torch.bool)
    for row, heads in enumerate(kept):
        for head, index in enumerate(heads):
            hidden[row, head, index] = False
    rows, heads_, places = hidden.nonzero(as_tuple=True)
    return rows, heads_, places


def _observed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    reading = _current.get()
    if reading is None or attention_mask is not None:
        raise NotImplementedError("attention: must be causal and within the press, is not; no policy attaches to this model")
    scale = query.shape[-1] ** -0.5 if scaling is None else float(scaling)
    out = reading.attention(module, query, key, value, dict(scale=scale, softcap=softcap, sinks=s_aux))
    return out.transpose(1, 2).contiguous(), None


def _unpadded(*args: Any, attention_mask: Tensor | None = None, **kwargs: Any) -> None:
    if attention_mask is not None and not bool(attention_mask.all()):
        raise NotImplementedError("attention_mask: must be without padding within a press, is not; compress one context at a time")
    return _no_mask(*args, attention_mask=attention_mask, **kwargs)
