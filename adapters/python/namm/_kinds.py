"""What a policy keeps of each kind of token: of pictures and text, or of returns, states and actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

import numpy as np

if TYPE_CHECKING:
    from ._cache import PolicyCache


def kept_shares(cache: "PolicyCache", kinds: Mapping[str, Any], row: int) -> dict[str, float]:
    """Memory.kept_shares() of one cache."""
    sequence = cache.sequences[row]
    masks = {name: _mask(name, mask, sequence.tokens_seen) for name, mask in kinds.items()}
    heads = [(layer.index, head) for layer in cache.policy_layers() if not layer.window for head in range(cache.shape.kv_heads)]
    held = np.zeros(sequence.tokens_seen, dtype=np.int64)  # by how many heads
    for layer, head in heads:
        held[sequence.positions(layer, head)] += 1
    return {
        name: float(held[: len(mask)][mask].sum() / (mask.sum() * len(heads))) if mask.any() else float("nan")
        for name, mask in masks.items()
    }


def _mask(name: str, mask: Any, tokens: int) -> np.ndarray:
    if hasattr(mask, "cpu"):
        mask = mask.cpu()  # of a tensor on another device
    mask = np.asarray(mask)
    if mask.dtype != np.bool_ or mask.ndim != 1:
        raise ValueError(f"kinds, {name}: must be a mask, bool [tokens], is {mask.dtype} with {mask.ndim} dimensions; write for example ids[0] == 7")
    if len(mask) > tokens:
        raise ValueError(f"kinds, {name}: must be of tokens that were read, {tokens} (padding not counted), is of {len(mask)}")
    return mask
