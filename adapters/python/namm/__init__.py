"""Policies that decide which tokens stay in a language model's KV cache.

    import namm

    with namm.attach(model, "default", budget=0.25) as memory:      # any causal model of Transformers
        out = model.generate(**inputs, max_new_tokens=200)
    print(memory.usage())                                           # entries and bytes held, peak, full

    policy = namm.calibrate(model, tokenizer, output="probe")       # a policy fitted to this model, without labels
    policy = namm.evolve(model, tokenizer, output="run")            # a policy evolved on this model

`Policy`, `Sequence` and `Strategy` are the same in any framework and need NumPy alone; docs/python.md.
"""

from typing import TYPE_CHECKING, Any

from ._core import Policy, Sequence, Strategy, __version__, policy_names, strategy_names

if TYPE_CHECKING:
    from ._attach import Memory, attach
    from ._calibrate import CalibratedPolicy, calibrate
    from ._checkpoint import export_checkpoint, import_checkpoint
    from ._episode import Episode
    from ._evolve import EvolvedPolicy, evolve

__all__ = [
    "CalibratedPolicy",
    "Episode",
    "EvolvedPolicy",
    "Memory",
    "Policy",
    "Sequence",
    "Strategy",
    "__version__",
    "attach",
    "calibrate",
    "evolve",
    "export_checkpoint",
    "import_checkpoint",
    "policy_names",
    "strategy_names",
]

# torch and transformers are loaded when they are needed: policies, sequences and strategies do without.
_LAZY = {
    "attach": "_attach",
    "Memory": "_attach",
    "Episode": "_episode",
    "calibrate": "_calibrate",
    "CalibratedPolicy": "_calibrate",
    "evolve": "_evolve",
    "EvolvedPolicy": "_evolve",
    "import_checkpoint": "_checkpoint",
    "export_checkpoint": "_checkpoint",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'namm' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
