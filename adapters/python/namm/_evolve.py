"""namm.evolve(): a memory policy evolved on one model of Transformers (docs/evolve.md)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Callable, Sequence

import torch
from torch import nn

from . import _core
from ._core import EvolutionSettings, Policy
from ._fitted import FittedPolicy
from ._host import TransformersHost
from ._model import evaluating, weights_fingerprint
from ._options import finite, settle_store, whole, with_options
from ._progress import EvolutionProgress
from ._prompts import set_prompts
from ._run import in_force_of, origin_of, run_folder

_NEW = ("linear", "namm", "namm-mlp")


class EvolvedPolicy(FittedPolicy):
    """The policy that evolve() kept, and how the run went. Values are relative to the full cache on the same prompts."""

    validation: float  # of this policy
    start_validation: float  # of the policy that the run began with
    generations: int  # completed
    best_generation: int  # where this policy comes from; 0: the start
    end: str  # "generations", "target", "stagnation" or "minutes"
    history: list[dict[str, Any]]  # the lines of log.jsonl


def evolve(
    model: nn.Module,
    tokenizer: Any,
    output: "str | os.PathLike[str] | None" = None,
    *,
    policy: "str | Policy" = "linear",
    features: str | None = None,
    budget: "float | int | str | Sequence[float | int | str]" = 0.25,
    mode: str | None = None,
    interval: int | None = None,
    sinks: int | None = None,
    recent: int | None = None,
    store: str | None = None,
    tasks: "str | Sequence[str]" = "basic",
    data: "str | os.PathLike[str] | Sequence[str | dict[str, Any]] | None" = None,
    lengths: "int | Sequence[int] | None" = None,
    chat_template: bool = True,
    question_after: bool = True,
    fitness: str = "answer-likelihood",
    strategy: str = "auto",
    population: int | None = None,
    step_size: float | None = None,
    generations: int = 30,
    prompts: int | None = None,
    training_pool: int = 0,
    validation: int | None = None,
    validate_every: int = 5,
    stop_at: float | None = None,
    stop_stagnant: int = 0,
    stop_after_minutes: float = 0,
    seed: int = 1,
    resume: bool = False,
    progress: bool = True,
    on_generation: "Callable[[dict[str, Any]], None] | None" = None,
) -> EvolvedPolicy:
    """Evolves the parameters of a policy on `model`: candidates are compared by how likely the right answers are with what they keep.

    output: a folder for the run's files, as `namm evolve` writes them (policy.json, checkpoint.json, log.jsonl, run.json); None
    keeps nothing on disk, and what is stopped is lost. resume: goes on with the run in `output`; the other arguments must be those
    it was begun with, but for a later end.

    policy: a new one, "linear", "namm" or "namm-mlp", on `features` ("light", "extended", "paper"), or what to begin with: a
    namm.Policy with parameters (of calibrate(), for example, whose offsets evolve), a file, a run's folder or "default".
    budget: as of attach(); of several, the policy is evolved under all, in turn. mode, interval, sinks, recent, store: as of attach();
    what is written says nothing of a store.

    tasks: names or families of generated prompts ("basic", "passkey", ["vt", "ruler"]). data: a prompt file, or texts of your own,
    which are continued, or dicts with context, question and answers. lengths: tokens of the contexts, taken in turns; by default 512,
    of data with questions all of it. chat_template: prompts as the user's turn. question_after: the cache is brought to its budget
    before the question is read. fitness: "answer-likelihood" (nat per token), "task-score" or "fidelity".

    strategy: strategy_names(), or "auto". population, step_size: None for what suits the number of parameters. prompts, validation:
    per task, 4 and 8; the latter decide, every `validate_every` generations, which policy is kept. training_pool: different
    training prompts per task, 0 for new ones in every generation. stop_at: a validation that is good enough. stop_stagnant: generations
    without a better one. stop_after_minutes: of this call. seed: of everything. progress: lines on stderr. on_generation: called
    with each line of the log, the start's first.

    The same arguments give the same bytes on the same machine, stopped and resumed or not. Ctrl-C writes what there is and raises
    KeyboardInterrupt. Raises ValueError for what can be changed in the call, NotImplementedError with the reason if no policy attaches to
    the model, RuntimeError for files that are damaged or of another run, and what the model raises.
    """
    start, is_new = _start(policy, features)
    settle_store(start, store)
    budgets = [budget] if isinstance(budget, (str, float, int)) else list(budget)
    if not budgets:
        raise ValueError("budget: must be at least one, is none; write for example 0.25")
    under = [with_options(start, one, mode, interval, sinks, recent) for one in budgets]
    host = TransformersHost(model, tokenizer, under[0], chat_template)
    for one in under:
        _core.Sequence(one, host.layers, host.bytes_per_number)  # what it refuses, it refuses now
    settings = EvolutionSettings()
    settings.set_start(under[0], is_new)
    settings.set_budgets([one.budget for one in under])
    settings.set_protocol(bool(chat_template), bool(question_after))
    sources = set_prompts(settings, tasks, data, lengths, prompts, training_pool, validation)
    _check_lengths(settings.lengths, host.train_context)
    settings.fitness = _fitness(fitness)
    settings.strategy = _strategy(strategy)
    settings.population = 0 if population is None else whole("population", population, 2, 2**16)
    settings.step_size = 0.0 if step_size is None else finite("step_size", step_size, 1e-12)
    settings.seed = whole("seed", seed, 0, 2**63 - 1)
    settings.generations = whole("generations", generations, 0)
    settings.validate_every = whole("validate_every", validate_every, 1)
    stop: dict[str, Any] = {
        "stop_at": None if stop_at is None else finite("stop_at", stop_at),
        "stop_stagnant": whole("stop_stagnant", stop_stagnant, 0),
        "stop_after_minutes": finite("stop_after_minutes", stop_after_minutes, 0),
    }
    settings.set_stop(**stop)
    settings.complete()
    origin = origin_of(settings, host)
    settings.set_sources(json.dumps({**sources, "weights": weights_fingerprint(model), "dtype": origin["dtype"]}))
    settings.set_provenance(json.dumps({**origin, "date": _core.today()}))
    in_force = json.dumps({**origin, **in_force_of(settings, under, chat_template, question_after), **stop}, indent=1, sort_keys=True)
    with run_folder(output, resume) as folder, EvolutionProgress(progress, generations) as bar:
        settings.output, settings.resume = folder, resume

        def generation(line: str) -> None:
            record = json.loads(line)
            bar.generation(record)
            if on_generation is not None:
                on_generation(record)

        try:
            with evaluating(model), torch.no_grad(), host:
                result = _core.evolve(
                    settings, host, bar.stage, generation, lambda: _core.write_file(str(folder / "run.json"), in_force + "\n")
                )
        except KeyboardInterrupt:
            bar.stopped(output is not None and (folder / "checkpoint.json").exists())
            raise
        bar.done(result)
        return _evolved(folder, result)


def _start(policy: "str | Policy", features: str | None) -> tuple[Policy, bool]:
    """Where it begins, and whether that is a new policy, whose normalisation is still to be gathered. Raises ValueError."""
    if isinstance(policy, str) and policy in _NEW:
        return _core.new_policy(policy, "light" if features is None else features), True
    start = policy if isinstance(policy, Policy) else Policy(policy)
    if features is not None:
        raise ValueError(f"features: must be left out with a policy that has its own, is {features!r}; begin with a new one ({', '.join(_NEW)})")
    return start, False


def _fitness(name: str) -> str:
    if name not in _core.fitness_names():
        raise ValueError(f"fitness: must be {', '.join(_core.fitness_names()[:-1])} or {_core.fitness_names()[-1]}, is {name!r}")
    return name


def _strategy(name: str) -> str:
    if name != "auto" and name not in _core.strategy_names():
        raise ValueError(f"strategy: must be auto or one of {', '.join(_core.strategy_names())}, is {name!r}")
    return name


def _check_lengths(lengths: list[int], trained: int) -> None:
    if trained and max(lengths) >= trained:
        raise ValueError(
            f"lengths: a context with its question and answer must be within the {trained} tokens that the model was made for, "
            f"is {max(lengths)} alone; give shorter ones"
        )


def _evolved(folder: Path, result: dict[str, Any]) -> EvolvedPolicy:
    policy = EvolvedPolicy(Policy(str(folder)))
    policy.provenance = json.loads((folder / "policy.json").read_text(encoding="utf-8"))["provenance"]
    policy.history = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    for name, value in result.items():
        setattr(policy, name, value)
    return policy
