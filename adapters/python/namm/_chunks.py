"""A forward pass in pieces that end where the policy has its updates, so that a long prompt never lies in the cache as a whole."""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import TYPE_CHECKING, Any, Iterator

import torch
from torch import Tensor

from ._cache import PolicyCache
from ._generate import require_cache

if TYPE_CHECKING:
    from ._attach import Memory

# arguments that are cut along the tokens (their last axis, or for embeddings the one before)
_CUT = {"input_ids", "position_ids", "cache_position", "token_type_ids", "inputs_embeds"}
# arguments that say nothing about single tokens
_WHOLE = {"use_cache", "return_dict", "output_attentions", "output_hidden_states", "output_router_logits"}


def forward_in_chunks(memory: "Memory", forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    kwargs = _named(forward, args, kwargs)
    name = memory.shape.cache_argument
    for other in ("cache", "past_key_values"):  # the name of another version
        if other != name and kwargs.get(other) is not None:
            kwargs[name] = kwargs.pop(other)
    cache = kwargs.get(name)
    use_cache = kwargs.get("use_cache")
    if use_cache is None:
        use_cache = getattr(memory.shape.config, "use_cache", True)
    if cache is None and not use_cache:
        return forward(**kwargs)  # nothing is cached, nothing to decide
    require_cache(memory, cache)
    if kwargs.get("output_attentions"):
        raise NotImplementedError("output_attentions: must be off while a policy is attached, is on; probabilities are not kept")
    cache = memory.new_cache() if cache is None else cache
    memory.cache = cache
    kwargs[name] = cache
    kwargs["use_cache"] = True
    as_tuple = kwargs.pop("return_dict", None) is False
    labels = kwargs.pop("labels", None)

    tokens = kwargs["input_ids"] if kwargs.get("input_ids") is not None else kwargs.get("inputs_embeds")
    if tokens is None:
        raise ValueError("input: input_ids or inputs_embeds must be given, are missing")
    new, seen = tokens.shape[1], cache.get_seq_length()
    mask = _two_dimensional(kwargs.get("attention_mask"), seen + new)
    ends = _ends(memory, kwargs, seen, new)
    cuttable = _cuttable(memory, kwargs)
    # A model that shows pictures to a language model puts them together as a whole; so does one that counts positions of pictures
    # (M-RoPE), which it can only do with the whole text before it.
    within = memory.shape.language_model is not None and len(ends) > 1 and (not cuttable or memory.shape.counts_pictures)
    if not cuttable:
        ends = ends if within else [new]
    whole = within or len(ends) == 1
    if labels is not None and whole:
        kwargs["labels"] = labels  # the model's own loss, with whatever it adds
    if within:
        with _pieces_within(memory, cache, mask, ends, seen):
            out = forward(**kwargs)
    else:
        out = _run_all(memory, forward, cache, kwargs, mask, ends, seen)
    if labels is not None and not whole:
        loss = memory.model.loss_function(logits=out.logits, labels=labels, vocab_size=memory.shape.config.vocab_size)
        out = type(out)(loss=loss, **{key: value for key, value in out.items() if key != "loss"})  # in its place, the first
    return out.to_tuple() if as_tuple else out


def _named(forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    bound = inspect.signature(forward).bind_partial(*args)
    return {**{key: value for key, value in bound.arguments.items() if value is not None}, **kwargs}


def _two_dimensional(mask: Any, total: int) -> Tensor | None:
    """Padding as [rows, tokens so far], None if there is none."""
    if mask is None:
        return None
    if not isinstance(mask, Tensor) or mask.ndim != 2:
        raise NotImplementedError("attention_mask: must be [rows, tokens] while a policy is attached, has another form; lists have no columns to mask")
    if mask.shape[1] != total:
        raise ValueError(f"attention_mask: must have a column for each of the {total} tokens so far, dropped ones included, has {mask.shape[1]}")
    return None if bool(mask.all()) else mask.bool()


def _ends(memory: "Memory", kwargs: dict[str, Any], seen: int, new: int) -> list[int]:
    """Where pieces are to end, counted in the new tokens."""
    interval = memory.policy.interval
    # losses of experts are of all tokens together
    as_a_whole = kwargs.get("output_router_logits") or getattr(memory.shape.config, "output_router_logits", False)
    # recurrent layers of Transformers read a piece with what came before only token by token
    if as_a_whole or not memory.policy.updates or memory.shape.has_recurrent_layers:
        return [new]
    return [*range(interval - seen % interval, new, interval), new]


def _cuttable(memory: "Memory", kwargs: dict[str, Any]) -> bool:
    """Whether each argument is cut along the tokens or says nothing about single ones: pictures are neither."""
    return all(
        key in _CUT | _WHOLE
        or key in ("attention_mask", "logits_to_keep", memory.shape.cache_argument)
        or value is None
        or isinstance(value, (bool, int, float, str))
        for key, value in kwargs.items()
    )


@contextlib.contextmanager
def _pieces_within(memory: "Memory", cache: PolicyCache, mask: Tensor | None, ends: list[int], seen: int) -> Iterator[None]:
    """Within it the language model of a larger model reads the embeddings it is given in pieces."""
    inner = memory.shape.language_model
    stock = inner.forward
    replaced = inner.__dict__.get("forward")

    @functools.wraps(stock)
    def forward(*args: Any, **kwargs: Any) -> Any:
        kwargs = _named(stock, args, kwargs)
        if isinstance(kwargs.get("attention_mask"), dict):
            raise NotImplementedError("attention_mask: must be [rows, tokens] while a policy is attached, is the model's own; no policy attaches to it")
        return _run_all(memory, stock, cache, kwargs, mask, ends if _cuttable(memory, kwargs) else ends[-1:], seen)

    inner.__dict__["forward"] = forward
    try:
        yield
    finally:
        if replaced is None:
            del inner.__dict__["forward"]
        else:
            inner.__dict__["forward"] = replaced


def _run_all(
    memory: "Memory", forward: Any, cache: PolicyCache, kwargs: dict[str, Any], mask: Tensor | None, ends: list[int], seen: int
) -> Any:
    keep = kwargs.get("logits_to_keep")
    last_piece = ends[-1] - (ends[-2] if len(ends) > 1 else 0)
    only_last = isinstance(keep, int) and 0 < keep <= last_piece
    hidden = kwargs.get("output_hidden_states") or getattr(memory.shape.config, "output_hidden_states", False)
    outputs, begin = [], 0
    for end in ends:
        piece = {key: _cut(key, value, begin, end) for key, value in kwargs.items()}
        if mask is None:
            piece.pop("attention_mask", None)
            real = None
        else:
            piece["attention_mask"] = mask[:, : seen + end].to(kwargs["attention_mask"].dtype)
            real = mask[:, seen + begin : seen + end]
            real = None if bool(real.all()) else real
        if len(ends) > 1 and "logits_to_keep" in kwargs:
            piece["logits_to_keep"] = (keep if end == ends[-1] else 1) if only_last else 0
        out = memory.run(forward, cache, real, piece)
        outputs.append(out)
        if only_last and not hidden:
            outputs = outputs[-1:]
        begin = end
    return outputs[0] if len(outputs) == 1 else _joined(outputs, keep, only_last)


def _cut(key: str, value: Any, begin: int, end: int) -> Any:
    if key not in _CUT or not isinstance(value, Tensor):
        return value
    return value[:, begin:end] if key == "inputs_embeds" else value[..., begin:end]


def _joined(outputs: list[Any], keep: Any, only_last: bool) -> Any:
    """One output of those of the pieces; `only_last`: the last piece has the logits that were asked for."""
    out = outputs[-1]
    for key in ("last_hidden_state",) if only_last else ("logits", "last_hidden_state"):
        if out.get(key) is not None:
            out[key] = torch.cat([one[key] for one in outputs], dim=1)
    if out.get("hidden_states") is not None:
        out["hidden_states"] = tuple(torch.cat(layers, dim=1) for layers in zip(*(one["hidden_states"] for one in outputs)))
    if not only_last and out.get("logits") is not None and keep is not None and not (isinstance(keep, int) and keep == 0):
        out["logits"] = out["logits"][:, -keep:] if isinstance(keep, int) else out["logits"][:, keep]
    return out
