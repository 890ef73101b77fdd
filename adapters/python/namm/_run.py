"""The folder of a run of evolution, and what it says about itself beside what the core writes."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator

import torch
import transformers

from ._core import EvolutionSettings, Policy, __version__, commit, isa_name

if TYPE_CHECKING:
    from ._host import TransformersHost


def origin_of(settings: EvolutionSettings, host: "TransformersHost") -> dict[str, Any]:
    """What ends up in the policy file about its making."""
    return {
        "model": host.name,
        "architecture": host.architecture,
        "runtime": f"transformers {transformers.__version__}, torch {torch.__version__}",
        "device": str(host.model.device),
        "dtype": str(host.model.dtype).removeprefix("torch."),
        "tasks": settings.tasks,
        "lengths_tokens": settings.lengths,
        "fitness": settings.fitness,
        "strategy": settings.strategy,
        "seed": settings.seed,
        "version": __version__,
        "commit": commit(),
    }


def in_force_of(settings: EvolutionSettings, under: list[Policy], chat_template: bool, question_after: bool) -> dict[str, Any]:
    """The other settings, defaults included: run.json. under: where it begins, under each budget."""
    start = under[0]
    return {
        "policy": start.name,
        "features": json.loads(start.json).get("features"),
        "budget": [policy.budget for policy in under],
        "mode": start.mode,
        "interval": start.interval,
        "sinks": start.sinks,
        "recent": start.recent,
        "chat_template": bool(chat_template),
        "question_after": bool(question_after),
        "population": settings.population,
        "step_size": settings.step_size,
        "generations": settings.generations,
        "prompts": settings.prompts,
        "training_pool": settings.training_pool,
        "validation": settings.validation,
        "validate_every": settings.validate_every,
        "isa": isa_name(),
    }


@contextlib.contextmanager
def run_folder(output: "str | os.PathLike[str] | None", resume: bool) -> Iterator[Path]:
    """None: one for the time of the run. A new one that stays empty is not left behind. Raises ValueError for a folder of another
    run or, to go on, of none, RuntimeError for one that was begun with another instruction set."""
    if output is None:
        if resume:
            raise ValueError("resume: must be given with output, the folder of the run, which is missing")
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)
        return
    folder = Path(output)
    if resume:
        _check_resumable(folder)
    else:
        for file in ("checkpoint.json", "log.jsonl", "policy.json"):
            if (folder / file).exists():
                raise ValueError(f"output {folder}: must not hold another run, has a {file}; resume=True goes on with it, or choose another folder")
    new = not folder.exists()
    try:
        yield folder
    finally:
        if new and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _check_resumable(folder: Path) -> None:
    if not (folder / "checkpoint.json").exists():
        raise ValueError(f"output {folder}: must hold a checkpoint.json to go on from, holds none; begin the run without resume")
    try:
        begun_with = json.loads((folder / "run.json").read_text(encoding="utf-8")).get("isa")
    except (OSError, ValueError, AttributeError, RecursionError):  # the checkpoint has what counts
        return
    if begun_with and begun_with != isa_name():
        raise RuntimeError(
            f"output {folder}: must go on with the instruction set it was begun with ({begun_with}), this process uses {isa_name()}; "
            f"set NAMM_ISA={begun_with}, or go on on a machine that has it"
        )
