"""Checkpoints of the published reference implementation (arXiv 2410.13166), to policies and back.

A checkpoint is read with PyTorch's weights-only loader: nothing in it is ever executed. What is looked at:

    evolution_state
      mean, best_member                [4172]   parameters of the BAM network on the 25 published features
      stored_buffers_to_save.*mean*    [17]     of the normalisation of the spectrogram
      stored_buffers_to_save.*var*     [17]
"""

from __future__ import annotations

import json
import os
import pickle
import tempfile
from typing import Any, Literal

import numpy as np

from ._core import Policy

_PARAMETERS = 4172  # W_qkv, b_qkv, W_o, b_o, w, b; the order of policy files, too
_BINS = 17
_BUFFERS = "stored_buffers_to_save."


def import_checkpoint(path: "str | os.PathLike[str]", which: Literal["mean", "best_member"] = "mean") -> Policy:
    """The policy in a checkpoint (ckpt.pt, latest.pt) of the reference, with its selection: threshold, no budget, heads of a layer
    filled up to the same count. `which`: the mean of the distribution, which is what was published and evaluated, or its best
    member. Save it with Policy.save(). Raises RuntimeError if the file is something else."""
    import torch

    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise RuntimeError(
            f"{path}: must hold tensors and plain containers only, holds something that would have to be executed; it is not read"
        ) from error
    except OSError:
        raise
    except Exception as error:  # of torch.load: zip files, other formats
        raise RuntimeError(f"{path}: must be a PyTorch checkpoint, is not: {str(error).splitlines()[0]}") from error
    state = checkpoint.get("evolution_state") if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict):
        raise RuntimeError(f"{path}: must have an 'evolution_state', has none; checkpoints of the reference (ckpt.pt) can be imported")
    weights = _numbers(path, state, which, _PARAMETERS)
    settings = {
        "features": "paper",
        "normalisation": {
            "mean": _numbers(path, state, _buffer(path, state, "mean"), _BINS),
            "variance": _numbers(path, state, _buffer(path, state, "var"), _BINS),
        },
        "weights": weights,
    }
    return _policy_of(settings)


def export_checkpoint(policy: Policy, path: "str | os.PathLike[str]") -> None:
    """Writes the parameters and the normalisation of a `namm` policy on `paper` features as a checkpoint under the keys
    above, which import_checkpoint() reads; how the reference names its two buffers depends on its configuration. What evolution
    would go on with (covariance, paths) is not in it. Raises ValueError for other policies."""
    import torch

    settings = json.loads(policy.json)
    if policy.name != "namm" or settings.get("features") != "paper":
        raise ValueError(f"policy {policy.name}: must be 'namm' on 'paper' features to be a checkpoint of the reference, is not")
    weights = torch.from_numpy(np.array(policy.parameters, dtype=np.float32))
    normalisation = {key: torch.tensor(settings["normalisation"][key], dtype=torch.float32) for key in ("mean", "variance")}
    state = {"mean": weights, "best_member": weights.clone()}
    state[_BUFFERS + "mean"], state[_BUFFERS + "var"] = normalisation["mean"], normalisation["variance"]
    torch.save({"evolution_state": state, "iter_num": 0}, path)


def _numbers(path: Any, state: dict[str, Any], key: str, count: int) -> list[float]:
    """As many numbers as there have to be, float32."""
    import torch

    value = state.get(key)
    if not isinstance(value, torch.Tensor) or value.numel() != count or not bool(torch.isfinite(value.float()).all()):
        seen = f"a tensor of {list(value.shape)}" if isinstance(value, torch.Tensor) else "nothing"
        raise RuntimeError(f"{path}: '{key}' must be {count} finite numbers, is {seen}; only the BAM policy on 25 features can be imported")
    return [float(x) for x in value.flatten().float()]


def _buffer(path: Any, state: dict[str, Any], what: str) -> str:
    import torch

    found = [
        key
        for key, value in state.items()
        if key.startswith(_BUFFERS) and what in key[len(_BUFFERS) :].lower() and isinstance(value, torch.Tensor) and value.numel() == _BINS
    ]
    if len(found) != 1:
        raise RuntimeError(
            f"{path}: there must be one buffer '{_BUFFERS}...{what}...' of {_BINS} numbers, there are {len(found)}; "
            "the normalisation of the spectrogram cannot be told"
        )
    return found[0]


def _policy_of(settings: dict[str, Any]) -> Policy:
    """By way of a policy file: everything is checked where files are."""
    content = {
        "format": "namm-policy",
        "version": 1,
        "kind": "namm",
        "interval_tokens": 512,
        "policy": settings,
        "selection": {"mode": "reference", "budget": "none", "sinks": 0, "recent": 0},
        "spectrogram": {"fft_size": 32, "hop": 16, "decay": 0.99},
        "provenance": {"imported": "checkpoint of the reference implementation of arXiv 2410.13166"},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "policy.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(content, file)
        return Policy(path)
