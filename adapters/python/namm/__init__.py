"""Policies that decide which tokens stay in a language model's KV cache.

    import namm

    with namm.attach(model, "default", budget=0.25) as memory:      # any causal model of Transformers
        out = model.generate(**inputs, max_new_tokens=200)
    print(memory.usage())                                           # entries and bytes held, peak, full

    policy = namm.calibrate(model, tokenizer, output="probe")       # a policy fitted to this model, without labels

`Policy` and `Sequence` are the same in any framework and need NumPy alone; docs/python.md.
"""

from typing import TYPE_CHECKING, Any

from ._core import Policy, Sequence, __version__, policy_names

if TYPE_CHECKING:
    from ._attach import Memory, attach
    from ._calibrate import CalibratedPolicy, calibrate
    from ._checkpoint import export_checkpoint, import_checkpoint
    from ._episode import Episode

__all__ = [
    "CalibratedPolicy",
    "Episode",
    "Memory",
    "Policy",
    "Sequence",
    "__version__",
    "attach",
    "calibrate",
    "export_checkpoint",
    "import_checkpoint",
    "policy_names",
]

# torch and transformers are loaded when they are needed: policies and sequences do without.
_LAZY = {
    "attach": "_attach",
    "Memory": "_attach",
    "Episode": "_episode",
    "calibrate": "_calibrate",
    "CalibratedPolicy": "_calibrate",
    "import_checkpoint": "_checkpoint",
    "export_checkpoint": "_checkpoint",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'namm' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
