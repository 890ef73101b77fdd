"""namm.attach(): a policy on a model of Transformers, for the time of a with block."""

from __future__ import annotations

import contextvars
import functools
from typing import Any, Mapping

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from ._cache import PolicyCache, PolicyLayer
from ._chunks import forward_in_chunks
from ._core import Policy, Sequence
from ._episode import Episode
from ._generate import require_generation
from ._kinds import kept_shares
from ._model import ModelShape, cached_part
from ._options import settle_store, with_options
from ._usage import Usage, usage_of

_IMPLEMENTATION = "namm"
_ABSENT: Any = object()
_current: contextvars.ContextVar[PolicyCache | None] = contextvars.ContextVar("namm_cache", default=None)


def attach(
    model: nn.Module,
    policy: "str | Policy" = "default",
    *,
    budget: "float | int | str | None" = None,
    mode: str | None = None,
    interval: int | None = None,
    sinks: int | None = None,
    recent: int | None = None,
    store: str | None = None,
) -> "Memory":
    """A memory that decides what `model` keeps in its KV cache, within `with namm.attach(...) as memory:`.

    policy: "default", a name ("h2o-mean", "snapkv", ...; namm.policy_names()), a policy file or a run's folder, or a namm.Policy.
    budget: a float is a share of the tokens seen, an int a number of tokens per layer and KV head, a str as for `namm`
    ("25%", "64MiB", "12.5%bytes", "none"). mode: "uniform", "pooled", "threshold", "reference". interval: tokens between two updates.
    sinks, recent: first and newest tokens that always stay. What is not given is what the policy says. store: "model" for a policy
    file that holds keys and values otherwise (policy.store): they are held in the model's own type here, of which there is a
    UserWarning unless it is given.

    Raises ValueError for what can be changed in the call, NotImplementedError with the reason if no policy attaches to the model.
    """
    chosen = policy if isinstance(policy, Policy) else Policy(policy)
    chosen = with_options(chosen, budget, mode, interval, sinks, recent)
    if chosen.drops and chosen.budget == "none" and chosen.mode in ("uniform", "pooled"):
        raise ValueError(f"policy {chosen.name}: must have a budget, has none; give budget=0.25, for example")
    settle_store(chosen, store)
    return Memory(model, chosen)


class Memory:
    """A policy attached to a model: what attach() gives. Attached within its with block; usage() can be asked behind it, too."""

    def __init__(self, model: Any, policy: Policy) -> None:
        self.whole_model: Any = model
        self.model: Any = cached_part(model)
        self.policy = policy
        self.shape = ModelShape(self.model)
        if self._reads_plain_keys():
            self.shape.require_plain_keys()
        Sequence(policy, self.shape.layer_tuples(), self.shape.bytes_per_number)  # what it refuses, it refuses now
        self.cache: PolicyCache | None = None  # of the newest text
        self._attached = False
        self._undo: list[Any] = []
        self._replaced: dict[str, Any] = {}  # attributes of the model object itself, as they were before

    def new_cache(self) -> PolicyCache:
        """An empty cache, for the model's argument `cache` (`past_key_values` in 4.x): one text over several calls."""
        return PolicyCache(self.policy, self.shape)

    def usage(self) -> Usage:
        """What the newest text's cache holds; of all rows of its batch together."""
        return usage_of(self.cache, self.shape)

    def positions(self, layer: int, kv_head: int, row: int = 0) -> list[int]:
        """Tokens held in a head, by their number in the row's text (padding not counted)."""
        if self.cache is None or row >= len(self.cache.sequences):
            raise ValueError(f"row: must be of a text that was read, is {row}; call the model first")
        held = self.cache.policy_layer(layer).store.head(row, kv_head)[0].shape[0]  # window layers drop between updates, too
        return self.cache.sequences[row].positions(layer, kv_head).tolist()[-held:]

    def kept_shares(self, kinds: Mapping[str, Any], row: int = 0) -> dict[str, float]:
        """Share of each kind of token that is still held, over all layers and KV heads that the policy decides about.

        kinds: name -> mask, bool [tokens], over the first tokens of the row's text (padding not counted): {"picture": ids[0] ==
        picture_token}. Tokens in no mask, and those behind a mask's end, do not count; a kind without tokens has NaN.
        """
        if self.cache is None or row >= len(self.cache.sequences):
            raise ValueError(f"row: must be of a text that was read, is {row}; call the model first")
        return kept_shares(self.cache, kinds, row)

    def require_text(self) -> None:
        """Raises NotImplementedError if the model reads something else, with which nothing is fitted or evolved here."""
        if self.model is not self.whole_model:
            raise NotImplementedError(
                f"model {self.shape.model_type}: must read text for a policy to be made on it, reads states and returns; policies that are "
                "there already attach to it (h2o-mean, default)"
            )

    def episode(self) -> Episode:
        """A new rollout of a decision transformer, read step by step."""
        if self.model is self.whole_model:
            raise NotImplementedError(f"model {self.shape.model_type}: must be a decision transformer to have episodes; generate() is for the others")
        return Episode(self)

    def update(self) -> None:
        """Brings the newest text's cache to its budget now, between two intervals."""
        if self.cache is not None:
            self.cache.measure()
            self.cache.decide()

    # -- attached ----------------------------------------------------------------------------------------------------------------

    def __enter__(self) -> "Memory":
        model = self.model
        if getattr(model, "_namm_memory", None) is not None:
            raise ValueError("model: must have one policy at a time, has one; leave its with block first")
        AttentionInterface.register(_IMPLEMENTATION, _attention)
        AttentionMaskInterface.register(_IMPLEMENTATION, _no_mask)
        self._configs = {id(module.config): module.config for module in self.shape.attention_modules.values()}
        self._configs.setdefault(id(self.shape.config), self.shape.config)
        stock_forward = model.forward

        @functools.wraps(stock_forward)
        def forward(*args: Any, **kwargs: Any) -> Any:
            return forward_in_chunks(self, stock_forward, args, kwargs)

        self._replace("forward", forward)
        if hasattr(model, "_prepare_cache_for_generation"):  # models without a head cannot generate
            self._replace("_prepare_cache_for_generation", self._preparing(model._prepare_cache_for_generation))
        self._replace("_namm_memory", self)
        if self._reads_plain_keys():
            for index, module in self.shape.attention_modules.items():
                hook = functools.partial(self._note_rotation, index)
                self._undo.append(module.register_forward_pre_hook(hook, with_kwargs=True).remove)
        self._attached = True
        return self

    def __exit__(self, *error: Any) -> None:
        for name, before in self._replaced.items():
            if before is _ABSENT:
                self.model.__dict__.pop(name, None)
            else:  # somebody else's own, as Accelerate's hooks are
                self.model.__dict__[name] = before
        self._replaced.clear()
        for undo in self._undo:
            undo()
        self._undo.clear()
        self._attached = False

    def _reads_plain_keys(self) -> bool:
        return self.policy.reads_plain_keys

    def _replace(self, name: str, value: Any) -> None:
        self._replaced[name] = self.model.__dict__.get(name, _ABSENT)
        self.model.__dict__[name] = value

    def _preparing(self, stock_prepare: Any) -> Any:
        @functools.wraps(stock_prepare)
        def prepare(generation_config: Any, model_kwargs: dict[str, Any], generation_mode: Any, *args: Any, **kwargs: Any) -> Any:
            require_generation(self, generation_config, model_kwargs, generation_mode)
            if generation_config.use_cache is not False and model_kwargs.get(self.shape.cache_argument) is None:
                model_kwargs[self.shape.cache_argument] = self.new_cache()
            return stock_prepare(generation_config, model_kwargs, generation_mode, *args, **kwargs)

        return prepare

    def run(self, forward: Any, cache: PolicyCache, real: Tensor | None, kwargs: dict[str, Any]) -> Any:
        """One forward pass with our attention."""
        before = [(config, config._attn_implementation) for config in self._configs.values()]
        cache.begin(real)
        token = _current.set(cache)
        try:
            for config, _ in before:
                config._attn_implementation = _IMPLEMENTATION
            out = forward(**kwargs)
        finally:
            for config, implementation in before:
                config._attn_implementation = implementation
            _current.reset(token)
        cache.end()
        return out

    def _note_rotation(self, index: int, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        cache = _current.get()
        rotation = kwargs.get("position_embeddings")
        if rotation is None and len(args) > 1 and isinstance(args[1], tuple):
            rotation = args[1]
        if cache is not None and rotation is not None:
            cache.rotations[index] = rotation


def _attention(
    module: nn.Module,
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
    """What AttentionInterface calls: [rows, new, query heads, size]."""
    cache = _current.get()
    layer = None if cache is None else cache.layers[module.layer_idx]  # type: ignore[index]
    if not isinstance(layer, PolicyLayer):
        raise RuntimeError("attention: must come from a layer whose cache a policy has, comes from another; no policy attaches to this model")
    if attention_mask is not None:
        raise NotImplementedError("attention: the mask must be causal, the model has one of its own; no policy attaches to it")
    scale = query.shape[-1] ** -0.5 if scaling is None else float(scaling)
    out = layer.attend(query, scale=scale, softcap=softcap, sinks=s_aux)
    return out.transpose(1, 2).contiguous(), None


def _no_mask(*args: Any, mask_function: Any = None, q_length: int = 0, use_vmap: bool = False, **kwargs: Any) -> None:
    """Which entries a query sees is known from the lists. Masks that are not causal are refused: images seen both ways."""
    ahead = False
    if q_length == 0 and isinstance(kwargs.get("cache_position"), Tensor):
        q_length = kwargs["cache_position"].shape[0]  # as 4.x tells it
    if mask_function is not None and not use_vmap and q_length > 1:
        own = torch.arange(q_length - 1)
        zero = torch.zeros((), dtype=torch.long)
        ahead = bool(torch.as_tensor(mask_function(zero, zero, own, own + 1)).any())
    if use_vmap or ahead:
        raise NotImplementedError(
            "attention: a token must see those before it, here some see later ones or a mask of their own (images); no policy attaches"
        )
