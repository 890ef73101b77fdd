"""namm.calibrate(): a policy fitted in closed form to one model of Transformers, without labels (docs/calibrate.md)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import sys
import time
import warnings
from typing import Any, Iterator, Sequence

import torch
import transformers
from torch import nn

from ._core import Calibration, __version__, commit, today, write_file
from ._fitted import FittedPolicy
from ._model import evaluating, model_name
from ._options import whole
from ._progress import Progress, clock
from ._recording import Recording
from ._texts import Tokeniser, add_texts, lengths_of, own_texts


class CalibratedPolicy(FittedPolicy):
    """The policy that calibrate() fitted, and how well it did."""

    explained: float  # share of the variance of held-out targets, over all heads; NaN of one text, of which none can be held out
    explained_by_layer: list[float]
    evenness: list[float]  # of every KV head, layer by layer: how evenly it attends, 0 to 1 (docs/calibrate.md, "Why age counts")
    penalty: float  # of the ridge regression, per row of standardised inputs
    seconds: float


def calibrate(
    model: nn.Module,
    tokenizer: Any,
    output: "str | os.PathLike[str] | None" = None,
    *,
    texts: "int | Sequence[str]" = 60,
    seed: int = 1,
    lengths: "Sequence[int] | None" = None,
    target: str = "reconstruction",
    input: str = "layer",
    read_out: str = "quadratic",
    value_weight: float = 1.0,
    recency: float = 2.0,
    chat_template: bool = True,
    format: str = "json",
    progress: bool = True,
) -> CalibratedPolicy:
    """Fits what a token will add to the output of a head of `model`, from its key and value: the policy `key-probe`.

    output: a folder for policy.json and calibration.json, as `namm calibrate` writes them; None writes nothing.
    texts: how many made-up ones (those of `namm calibrate` for the same seed), or texts of your own; long ones are cut into pieces.
    lengths: tokens of the texts, taken in turns; by default 512, 512, 1024 and 2048, less where the model was trained for less.
    target: "reconstruction" (the model repeats each text), "later" or "planted". input: "layer" or "key". read_out: "quadratic" or
    "linear". value_weight, recency: 0 to 4. chat_template: texts as the user's turn. progress: lines on stderr.
    format: "json" or "safetensors" (policy.safetensors, for millions of numbers; docs/policies.md).

    The same arguments give the same policy on the same machine. Ctrl-C leaves no file behind. Raises ValueError for what can be
    changed in the call, NotImplementedError with the reason if no calibrated policy attaches to the model.
    """
    recording = Recording(model)
    tokeniser, texts = Tokeniser(tokenizer), own_texts(texts)
    _check(target, recency, seed, format)
    trained = int(getattr(recording.shape.config, "max_position_embeddings", 0) or 0)
    calibration = Calibration(
        recording.layers, trained, target, input, read_out, float(value_weight), lengths_of(lengths), seed, tokeniser.turn(chat_template),
        tokeniser.tokenize, tokeniser.detokenize,
    )  # fmt: skip
    add_texts(calibration, texts, tokeniser)
    plan = calibration.plan(lengths is None)
    _check_plan(plan, trained, output is None or format == "safetensors")
    settings = {
        "model": model_name(model),
        "runtime": f"transformers {transformers.__version__}, torch {torch.__version__}",
        "dtype": str(model.dtype).removeprefix("torch."),
        "target": target,
        "input": input,
        "read_out": read_out,
        "value_weight": float(value_weight),
        "texts": plan["texts"],
        "lengths_tokens": plan["lengths"],
        "chat_template": bool(chat_template),
        "seed": seed,
    }
    if not isinstance(texts, int):
        settings["texts_sha256"] = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    with _folder(output):
        start = time.monotonic()
        bar = Progress(progress)
        bar.say(f"{plan['texts']} texts, {plan['tokens']} tokens, {plan['bytes'] / 2**20:.0f} MiB beside the model and its cache")
        with evaluating(model), torch.no_grad(), recording, bar:
            for index in range(plan["texts"]):
                recording.record(calibration, index)
                calibration.add()
                bar.show("recording", index + 1, plan["texts"])
            bar.show("fitting", plan["texts"], plan["texts"])
            fitted, penalty, explained, by_layer, evenness = calibration.fit(recency)
        if not any(evenness):
            fewest = Calibration.sinks + Calibration.fewest
            warnings.warn(f"lengths: texts must have {fewest} tokens or more for the age of tokens to count, have fewer; give longer ones", stacklevel=2)
        policy = CalibratedPolicy(fitted.with_budget("25%"))
        policy.penalty, policy.explained, policy.explained_by_layer, policy.evenness = penalty, explained, by_layer, evenness
        policy.seconds = time.monotonic() - start
        origin = {"version": __version__, "commit": commit(), "recency": float(recency)}
        architecture = recording.shape.model_type
        policy.provenance = {**settings, **origin, "architecture": architecture, "recorded": plan["texts"], "date": today()}
        if output is not None:
            _write(os.fspath(output), format, policy, {**origin, "settings": settings, "texts": plan["texts"]})
        bar.say(f"calibrated on {plan['texts']} texts in {clock(policy.seconds)}: {_explained(explained)}")
    return policy


def _check(target: str, recency: float, seed: int, format: str) -> None:
    if format not in ("json", "safetensors"):
        raise ValueError(f"format: must be json or safetensors, is {format!r}")
    if target not in ("reconstruction", "later", "planted"):
        raise ValueError(f"target: must be reconstruction, later or planted, is {target!r}; answers are for `namm calibrate`")
    if not 0 <= recency <= 4:
        raise ValueError(f"recency: must be from 0 to 4, is {recency}")
    whole("seed", seed, 0, 2**63 - 1)


def _check_plan(plan: dict[str, Any], trained: int, binary: bool) -> None:
    if trained and plan["longest"] > trained:
        raise ValueError(
            f"lengths: a text and what follows it must be within the {trained} tokens that the model was made for, take {plan['longest']}; "
            "give shorter ones"
        )
    most = plan["most_binary_numbers" if binary else "most_numbers"]
    if plan["numbers"] > most:
        smaller = 'input="key", or read_out="linear" if that halves it enough'
        remedy = 'format="safetensors"' if plan["numbers"] <= plan["most_binary_numbers"] else smaller
        raise ValueError(
            f"calibrate: the probes of a model must have at most {most} numbers to fit into a policy file, have {plan['numbers']}; give {remedy}"
        )


@contextlib.contextmanager
def _folder(output: "str | os.PathLike[str] | None") -> Iterator[None]:
    """The folder is there before the work, and not left behind empty."""
    if output is None:
        yield
        return
    if any(os.path.exists(os.path.join(output, f"policy.{ending}")) for ending in ("json", "safetensors")):
        raise ValueError(f"output {os.fspath(output)}: holds a policy already; choose another folder")
    new = not os.path.exists(output)
    os.makedirs(output, exist_ok=True)
    try:
        yield
    finally:
        if new and not os.listdir(output):
            os.rmdir(output)


def _write(folder: str, format: str, policy: CalibratedPolicy, summary: dict[str, Any]) -> None:
    def known(number: float) -> float | None:
        return number if math.isfinite(number) else None

    summary["penalty"] = policy.penalty
    summary["explained"] = known(policy.explained)
    summary["explained_by_layer"] = [known(share) for share in policy.explained_by_layer]
    summary["evenness"] = policy.evenness
    summary["seconds"] = policy.seconds
    if sys.platform == "linux":
        import resource

        summary["peak_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    policy.save(os.path.join(folder, f"policy.{format}"))
    write_file(os.path.join(folder, "calibration.json"), json.dumps(summary, indent=1, sort_keys=True) + "\n")


def _explained(share: float) -> str:
    if math.isfinite(share):
        return f"{100 * share:.0f} % of the variance explained on held-out texts"
    return "too few texts to hold one out, so that nothing is known of how good it is; give more"
