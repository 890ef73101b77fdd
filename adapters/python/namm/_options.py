"""Arguments that attach() and evolve() share, and checks of numbers."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ._core import Policy


def budget_text(budget: Any) -> str:
    """As the core reads it. A float is a share of the tokens seen, an int tokens per layer and KV head. Raises ValueError."""
    if isinstance(budget, bool) or not isinstance(budget, (int, float, str)):
        raise ValueError(f"budget: must be a share (float), tokens (int) or text, is {budget!r}; write for example 0.25")
    if isinstance(budget, float) and not 0 < budget <= 1:
        raise ValueError(f"budget: a share must be above 0 and at most 1, is {budget}; an int is a number of tokens")
    return f"{budget:.12f}" if isinstance(budget, float) else str(budget)


def with_options(policy: Policy, budget: Any, mode: str | None, interval: int | None, sinks: int | None, recent: int | None) -> Policy:
    """The policy with what is given in place of what it says. Raises ValueError."""
    if budget is not None:
        policy = policy.with_budget(budget_text(budget))
    if mode is not None:
        policy = policy.with_mode(mode)
    if interval is not None:
        policy = policy.with_interval(interval)
    if sinks is not None or recent is not None:
        policy = policy.with_protection(policy.sinks if sinks is None else sinks, policy.recent if recent is None else recent)
    return policy


def settle_store(policy: Policy, store: str | None) -> None:
    """Says that keys and values are not held as the policy's file has it (policy.store), unless store="model" asks for that.

    Warns with UserWarning, at the line that called the caller. Raises ValueError for any other store.
    """
    if store not in (None, "model"):
        raise ValueError(f'store: must be "model" (keys and values in the model\'s own type), is {store!r}; fewer bits are llama.cpp\'s')
    if store is None and policy.store != "f16":
        means = ", and what was evicted leaves no means behind, on which a policy tuned without recency counts"
        warnings.warn(
            f"policy {policy.name}: its file holds keys and values as {policy.store}, here they are held in the model's own type "
            f"and nothing else: the same budget takes other memory or holds other tokens{means if 'means' in policy.store else ''}; "
            'store="model" says that this is meant',
            stacklevel=3,
        )


def whole(name: str, value: Any, least: int, most: int = 2**31 - 1) -> int:
    """A whole number in a range. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name}: must be a whole number from {least} to {_power(most)}, is {value!r}")
    return value


def finite(name: str, value: Any, least: float | None = None) -> float:
    """A number that is not below `least`. Raises ValueError."""
    good = not isinstance(value, bool) and isinstance(value, (int, float)) and math.isfinite(value)
    if not good or (least is not None and value < least):
        rule = "a finite number" if least is None else f"a number from {least:g} on"
        raise ValueError(f"{name}: must be {rule}, is {value!r}")
    return float(value)


def _power(most: int) -> str:
    return f"2^{(most + 1).bit_length() - 1} - 1" if most > 2**30 else str(most)
