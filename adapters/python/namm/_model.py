"""What a model's cache looks like, and whether a policy attaches to it."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import sys
from typing import Any, Iterator

import torch
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

# Rotary embedding that turns neighbouring numbers instead of halves, where the model's own rotate_half does not tell: keys before
# it cannot be had back by plain_keys().
_INTERLEAVED = {"gptj", "codegen", "cohere", "cohere2", "glm", "glm4", "ernie4_5", "helium", "deepseek_v2", "deepseek_v3", "llama4_text"}
# llama.cpp keeps keys of these in another order of their numbers, in which calibrated policies read them.
_PERMUTED_IN_GGUF = {"llama", "mistral", "mixtral"}


def cached_part(model: Any) -> Any:
    """What of a model has the KV cache: the model, but for a decision transformer the GPT-2 within, whose inputs it makes."""
    is_decision_transformer = getattr(getattr(model, "config", None), "model_type", "") == "decision_transformer"
    return model.encoder if is_decision_transformer and hasattr(model, "embed_timestep") else model


class ModelShape:
    """The layers with a KV cache of one model. Raises NotImplementedError with the reason if no policy attaches."""

    def __init__(self, model: Any) -> None:
        self.config = model.config.get_text_config(decoder=True)
        self.model_type = str(getattr(self.config, "model_type", "?"))
        _refuse_model(model, self.config)
        self.attention_modules = {
            module.layer_idx: module
            for name, module in model.named_modules()
            if isinstance(getattr(module, "layer_idx", None), int) and "attention" in type(module).__name__.lower()
        }
        self.attention_layers: dict[int, int] = {}  # index -> window, 0 = none
        self.has_recurrent_layers = False
        layers = self.other_layers()
        for index, layer in enumerate(layers):
            if type(layer) is DynamicSlidingWindowLayer:
                self.attention_layers[index] = int(layer.sliding_window)
            elif type(layer) is DynamicLayer:
                self.attention_layers[index] = 0
            elif type(layer).__name__ == "LinearAttentionLayer":
                self.has_recurrent_layers = True
            else:
                raise NotImplementedError(
                    f"model {self.model_type}: every layer must have a plain KV cache, layer {index} has a {type(layer).__name__}; "
                    "no policy attaches to this model"
                )
        if not self.attention_layers or not self.attention_modules:
            raise NotImplementedError(
                f"model {self.model_type}: must have a KV cache, has none: its state does not grow, there is nothing to free; "
                "a hybrid with attention layers would do"
            )
        if getattr(model, "_is_stateful", False) and not self.has_recurrent_layers:
            raise NotImplementedError(
                f"model {self.model_type}: its recurrent layers must be in the cache that Transformers makes, in this version they have "
                "a cache of their own; use Transformers 5.24 or newer"
            )
        if not getattr(model, "_supports_attention_backend", False) and not getattr(model, "_supports_sdpa", False):
            raise NotImplementedError(
                f"model {self.model_type}: must take its attention from AttentionInterface, has its own; no policy attaches to it"
            )
        if all(window > 0 for window in self.attention_layers.values()):
            raise NotImplementedError(
                f"model {self.model_type}: at least one layer must be without a sliding window, none is: such a cache does not grow, "
                "there is nothing to free"
            )
        heads = self.config.num_attention_heads
        self.kv_heads = int(getattr(self.config, "num_key_value_heads", None) or heads)
        self.key_size = int(getattr(self.config, "head_dim", None) or self.config.hidden_size // heads)
        self.value_size = self.key_size
        parts = (model, getattr(model, "model", None))
        self.language_model: Any = next((part.language_model for part in parts if isinstance(getattr(part, "language_model", None), nn.Module)), None)
        self.counts_pictures = any(hasattr(part, "rope_deltas") for part in parts)
        self.bytes_per_number = float(torch.finfo(model.dtype).bits // 8)
        self.cache_argument = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"

    def other_layers(self) -> list[Any]:
        """Layers as Transformers makes them for this model; the attention layers among them are to be replaced."""
        layers = list(DynamicCache(config=self.config).layers)
        if not layers:
            layers = [DynamicLayer() for _ in range(self.config.num_hidden_layers)]
        return layers

    def layer_tuples(self) -> list[tuple[int, int, int, int, int]]:
        return [
            (index, self.kv_heads, self.key_size, self.value_size, window) for index, window in sorted(self.attention_layers.items())
        ]

    def require_plain_keys(self) -> None:
        """Raises NotImplementedError if keys before rotary embedding cannot be had."""
        if self.model_type in _INTERLEAVED or self._turns_neighbours():
            raise NotImplementedError(
                f"model {self.model_type}: a calibrated policy needs keys before rotary embedding, which turns neighbouring numbers "
                "here; policies that read no keys attach (h2o-mean, default)"
            )
        if self._own_file_has("apply_multimodal_rotary_pos_emb"):  # puts three coordinates together behind what the hook sees
            raise NotImplementedError(
                f"model {self.model_type}: a calibrated policy needs keys before rotary embedding, which has three coordinates that this "
                "version of Transformers puts together within attention; use 5.24 or newer, or a policy that reads no keys (h2o-mean, default)"
            )

    def _turns_neighbours(self) -> bool:
        """Asks the function of the model's own file: halves give [-2, -3, 0, 1]."""
        turn = self._own_file_has("rotate_half")
        return turn is not None and bool((turn(torch.arange(4.0)) != torch.tensor([-2.0, -3.0, 0.0, 1.0])).any())

    def _own_file_has(self, function: str) -> Any:
        files = (sys.modules[type(module).__module__] for module in self.attention_modules.values())
        return next((getattr(file, function) for file in files if hasattr(file, function)), None)

    def plain_keys(self, keys: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
        """keys [rows, KV heads, new, size] turned back to what they were before rotary embedding, in llama.cpp's order."""
        if rotation is not None:
            cos, sin = (part.unsqueeze(1).to(torch.float32) for part in rotation)
            width = cos.shape[-1]
            turned, rest = keys[..., :width].to(torch.float32), keys[..., width:].to(torch.float32)
            half = torch.cat([-turned[..., width // 2 :], turned[..., : width // 2]], dim=-1)
            # the inverse of a rotation that also scales (YaRN): divided by the square of its length
            plain = (turned * cos - half * sin) / (cos * cos + sin * sin)
            keys = torch.cat([plain, rest], dim=-1)
        if self.model_type in _PERMUTED_IN_GGUF:
            keys = keys.unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2)
        return keys


def _refuse_model(model: Any, config: Any) -> None:
    kind = getattr(config, "model_type", "?")
    if hasattr(model, "_orig_mod") or getattr(model, "_compiled_call_impl", None) is not None:
        raise NotImplementedError("model: must not be compiled, is (torch.compile); lists of changing length would be compiled anew every time")
    if getattr(model.config, "is_encoder_decoder", False):
        raise NotImplementedError(f"model {kind}: must be a causal language model, is an encoder with a decoder; no policy attaches to it")
    if getattr(config, "add_cross_attention", False):
        raise NotImplementedError(f"model {kind}: must read its own text alone, also attends to another model (cross-attention); no policy attaches to it")
    if getattr(config, "attention_chunk_size", None):
        raise NotImplementedError(f"model {kind}: attention must be causal with or without a window, is chunked; no policy attaches to it")
    if getattr(config, "num_kv_shared_layers", 0):
        raise NotImplementedError(f"model {kind}: each layer must have keys and values of its own, {config.num_kv_shared_layers} share them; no policy attaches to it")
    if getattr(config, "alibi", False) or kind in {"bloom", "mpt"}:
        raise NotImplementedError(f"model {kind}: attention must not be biased by where a token lies in the cache, is (ALiBi); no policy attaches to it")


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Without dropout; afterwards every module is as it was."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def model_name(model: Any) -> str:
    """The model's name on the hub, or of its folder."""
    name = str(getattr(model, "name_or_path", "") or getattr(model.config, "_name_or_path", ""))
    return os.path.basename(os.path.normpath(name)) if os.path.exists(name) else name or type(model).__name__


def weights_fingerprint(model: nn.Module) -> str:
    """Tells models of one name apart: names, shapes and types of all parameters, and some hundred numbers of each."""
    state = hashlib.sha256()
    for name, parameter in model.named_parameters():
        state.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}\n".encode())
        if parameter.is_meta or parameter.numel() == 0:  # weights that are somewhere else
            continue
        numbers = parameter.detach().flatten()[:: max(1, parameter.numel() // 128)]
        state.update(numbers.to("cpu", torch.float32).numpy().tobytes())
    return state.hexdigest()[:16]
