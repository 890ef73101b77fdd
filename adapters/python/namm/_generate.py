"""What generate() may be asked for while a policy is attached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers.generation import GenerationMode

from ._cache import PolicyCache

if TYPE_CHECKING:
    from ._attach import Memory

_WORKS = (GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE)


def require_generation(memory: "Memory", config: Any, model_kwargs: dict[str, Any], mode: Any) -> None:
    """Raises NotImplementedError (or ValueError for a foreign cache) with what would work."""
    if mode not in _WORKS:
        name = getattr(mode, "value", str(mode)).replace("_", " ")
        raise NotImplementedError(
            f"generation: must be greedy or sampled while a policy is attached, is {name}, which cuts or mixes caches; "
            "use num_beams=1 and no assistant, or leave the with block"
        )
    if config.cache_implementation not in (None, "dynamic"):
        raise NotImplementedError(
            f"cache_implementation: must not be given while a policy is attached, is '{config.cache_implementation}'; "
            "the cache is the policy's, and its length changes"
        )
    require_cache(memory, model_kwargs.get(memory.shape.cache_argument))


def require_cache(memory: "Memory", cache: Any) -> None:
    if cache is not None and not (isinstance(cache, PolicyCache) and cache.shape is memory.shape):
        raise ValueError(
            f"cache: must be the policy's own, is a {type(cache).__name__}; leave it out, or make one with memory.new_cache()"
        )
