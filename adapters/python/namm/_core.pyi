"""Policies, what they know of a sequence, the fit of calibrated ones and evolution, as they are in C++.

Arrays come from NumPy or from torch (on the CPU, detached). float32 and int32 in C order are read where they are, others are
converted.
Wrong arguments raise ValueError, damaged or missing files RuntimeError: subject, rule, value seen, remedy.
"""

from pathlib import Path
from typing import Any, Callable, Protocol, Sequence as _Sequence, overload

import numpy as np
from numpy.typing import NDArray

__version__: str

_Floats = Any  # a float32 array of any framework
_Ints = Any  # an int32 array

def policy_names() -> list[str]:
    """Names that Policy() knows, "default" first."""

class Policy:
    """A policy with all that decides what it does to a cache. A value: the with_...() give changed copies."""

    @overload
    def __init__(self, name_or_path: str) -> None: ...
    @overload
    def __init__(self, policy: Policy) -> None: ...
    def with_budget(self, budget: str) -> Policy:
        """ "25%", "0.25", "256" (tokens per layer and KV head), "64MiB", "12.5%bytes", "none"."""
    def with_mode(self, mode: str) -> Policy:
        """ "uniform", "pooled", "threshold", "reference"."""
    def with_interval(self, tokens: int) -> Policy:
        """Tokens between two updates, at least 1."""
    def with_protection(self, sinks: int, recent: int) -> Policy:
        """Tokens that are never dropped: the first `sinks` and the newest `recent`."""
    def save(self, path: str, provenance: str = "{}") -> None:
        """Writes a policy file: JSON, or binary if the name ends in .safetensors; never half of one. provenance: a JSON object, where
        the policy comes from."""
    def score(
        self,
        positions: _Ints,
        *,
        layer: int = 0,
        kv_head: int = 0,
        spectrogram: _Floats | None = None,
        accumulated: _Floats | None = None,
        queries_seen: _Floats | None = None,
        last_row: _Floats | None = None,
        window_mean: _Floats | None = None,
        key_norm: _Floats | None = None,
        value_norm: _Floats | None = None,
        content: _Floats | None = None,
    ) -> NDArray[np.float32]:
        """Scores of one head's tokens from their statistics (spectrogram [tokens, 17], the others [tokens]), higher = keep."""
    @property
    def name(self) -> str: ...
    @property
    def parameters(self) -> NDArray[np.float32]: ...
    @property
    def json(self) -> str:
        """The policy's own part of its file."""
    @property
    def budget(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def interval(self) -> int: ...
    @property
    def store(self) -> str:
        """How the file says that llama.cpp is to hold keys and values: "f16" (or nothing is said), "q8_0,q4_0", "f16+4means"."""
    @property
    def sinks(self) -> int: ...
    @property
    def recent(self) -> int: ...
    @property
    def drops(self) -> bool: ...
    @property
    def updates(self) -> bool:
        """Whether an update is anybody's business: the policy drops, or is watched."""
    @property
    def reads_attention(self) -> bool: ...
    @property
    def reads_plain_keys(self) -> bool:
        """Whether keys must be those before rotary embedding."""
    @property
    def reads_keys(self) -> bool: ...
    @property
    def reads_values(self) -> bool: ...

class Sequence:
    """What a policy knows of one sequence in a cache that somebody else holds.

    Layer by layer append() and observe(); when due, update(), and the cache is gathered by kept().
    """

    def __init__(
        self, policy: Policy, layers: _Sequence[tuple[int, int, int, int, int]], bytes_per_number: float = 2.0
    ) -> None:
        """layers: (index, KV heads, key size, value size, window or 0), ascending."""
    def append(self, layer: int, positions: _Ints, keys: _Floats | None = None, values: _Floats | None = None) -> None:
        """positions [n], ascending; keys and values [n, KV heads * size], where the policy reads them."""
    def observe(self, layer: int, kv_head: int, attention: _Floats, first_position: int) -> None:
        """attention [queries, entries]: probabilities, averaged over the query heads of the KV head."""
    def update(self) -> None: ...
    def clear(self) -> None: ...
    def kept(self, layer: int, kv_head: int) -> NDArray[np.int32]:
        """Of the newest update: indices into what the head held before."""
    def scores(self, layer: int, kv_head: int) -> NDArray[np.float32]:
        """What the policy gives for each token that the head holds, as an update now would see it: higher = keep."""
    def positions(self, layer: int, kv_head: int) -> NDArray[np.int32]:
        """Of what the head holds now."""
    def usage(self) -> dict[str, int]: ...
    def save(self) -> bytes: ...
    def restore(self, saved: bytes) -> None: ...
    @property
    def due(self) -> bool: ...
    @property
    def tokens_seen(self) -> int: ...

class Calibration:
    """The texts, recordings and sums of one calibration; what namm.calibrate() drives.

    Texts are added; each is begun, its layers are appended and observed while the model reads it, and it is added to the sums.
    """

    near: int
    """A query's attention counts for tokens that are more than so many positions before it."""
    sinks: int
    """Evenness is asked of the tokens behind so many first ones."""
    every: int
    """Evenness is measured on each so many-th of the queries that count."""
    fewest: int
    """Queries with fewer tokens to attend to say nothing of evenness."""

    def __init__(
        self,
        layers: _Sequence[tuple[int, int, int, int, int]],
        train_context: int,
        target: str,
        input: str,
        read_out: str,
        value_weight: float,
        lengths: _Sequence[int],
        seed: int,
        turn: tuple[str, str],
        tokenize: Callable[[str, bool, bool], list[int]],
        detokenize: Callable[[list[int]], str],
    ) -> None:
        """layers: as of Sequence. train_context: tokens, 0 = unknown. lengths: tokens of the texts, taken in turns. turn: what
        stands before and behind the user's words. tokenize(text, with special tokens, is of the template)."""
    def add_made_up(self, count: int) -> None:
        """Those of `namm calibrate` for the same seed."""
    def add_text(self, text: str) -> None:
        """A long one in pieces, 60 at most."""
    def plan(self, within_training: bool) -> dict[str, Any]:
        """What there is to do: texts, tokens, longest, lengths, bytes; numbers of the policy, most_numbers and most_binary_numbers that
        it can have as JSON and as safetensors. within_training
        shortens the lengths until the longest text, with what follows it, is within train_context."""
    def begin(self, index: int) -> tuple[NDArray[np.int32], int, list[tuple[int, int]]]:
        """Tokens to read, how many of them are the context, and the ranges of positions whose attention counts."""
    def append(self, layer: int, positions: _Ints, keys: _Floats, values: _Floats) -> None:
        """Of the context: keys before rotary embedding and values, [n, KV heads * size]."""
    def observe(self, layer: int, largest: _Floats, evenness: NDArray[np.float64]) -> None:
        """[KV heads, context]: the largest attention, mean over a group's query heads, that a query that counts paid. [KV heads, 2]:
        sums over every `every`-th query of the attention that it paid to what lies behind the `sinks` first tokens and more than
        `near` before it, and of this attention times its evenness."""
    def add(self) -> None:
        """Ends the text that has begun."""
    def fit(self, recency: float) -> tuple[Policy, float, float, list[float], list[float]]:
        """The policy (pooled, no budget), the penalty, the share of the variance explained, the same by layer, the evenness of every
        KV head."""

def commit() -> str:
    """What the package was built from; "unknown" outside of a repository."""

def today() -> str:
    """2026-05-31, UTC."""

def write_file(path: str, content: str) -> None:
    """Replaces the file as a whole: never half of one."""

def fingerprint(content: bytes) -> str:
    """16 hexadecimal digits that tell contents apart, nothing more."""

def isa_name() -> str:
    """The instruction set that kernels use: the best of this machine, or what NAMM_ISA names."""

def strategy_names() -> list[str]:
    """Names that Strategy() knows (docs/strategies.md)."""

class Strategy:
    """An evolution strategy as ask and tell. Minimises, unless it is told to maximise; only the order of values counts.

        strategy = namm.Strategy("cma", np.zeros(9), step_size=0.3, seed=1)
        for generation in range(50):
            candidates = strategy.ask()                              # [population, parameters]
            strategy.tell(candidates, [f(x) for x in candidates])
        strategy.mean
    """

    def __init__(
        self,
        name: str,
        parameters: int | Any,
        *,
        step_size: float,
        population: int = 0,
        seed: int = 1,
        maximise: bool = False,
    ) -> None:
        """name: of strategy_names(). parameters: the numbers to begin with, or how many (zeros). step_size: the first standard deviation
        of a candidate's numbers. population: candidates per generation; 0: 4 + 3 ln(parameters)."""
    def ask(self) -> NDArray[np.float64]:
        """[population, parameters]; the same until they are told."""
    def tell(self, candidates: Any | None, values: Any) -> None:
        """One value per candidate, NaN counts as worst. candidates: those of ask(), or None for them; "cma" and "sep-cma" also learn
        from candidates that come from elsewhere, [population, parameters]."""
    def save(self) -> str:
        """JSON; a strategy that is restored from it goes on bit for bit. Whether it maximises is not in it."""
    def restore(self, saved: str) -> None:
        """Raises RuntimeError, and changes nothing, if it is damaged or of another strategy, number of parameters or population."""
    @property
    def name(self) -> str: ...
    @property
    def dimension(self) -> int: ...
    @property
    def population(self) -> int: ...
    @property
    def generation(self) -> int:
        """How often it was told."""
    @property
    def step_size(self) -> float: ...
    @property
    def mean(self) -> NDArray[np.float64]:
        """Of the distribution that candidates come from."""

def new_policy(name: str, features: str) -> Policy:
    """A policy with parameters ("linear", "namm", "namm-mlp"), all zero."""

def fitness_names() -> list[str]:
    """Those that a Host can be measured by."""

class EvolutionSettings:
    """A run of evolution; evolve/loop.hpp says what each is."""

    tasks: list[str]  # names; read only
    lengths: list[int]
    prompts: int
    training_pool: int
    validation: int
    validate_every: int
    fitness: str
    strategy: str
    population: int
    step_size: float
    seed: int
    generations: int
    output: Path
    resume: bool

    def __init__(self) -> None: ...
    def set_start(self, policy: Policy, is_new: bool) -> None:
        """Where it begins. is_new: its normalisation is still to be gathered."""
    def set_budgets(self, budgets: _Sequence[str]) -> None: ...
    def set_tasks(self, names: _Sequence[str]) -> None:
        """Names of tasks and families."""
    def set_data(self, name: str, file: str) -> tuple[bool, int, int, int]:
        """Prompts of a file. Whether they are plain texts, how many different ones train and validate, and how many documents there are."""
    def set_sources(self, json: str) -> None: ...
    def set_provenance(self, json: str) -> None: ...
    def set_protocol(self, chat_template: bool, question_after: bool) -> None: ...
    def set_stop(self, stop_after_minutes: float, stop_at: float | None, stop_stagnant: int) -> None: ...
    def complete(self) -> None:
        """Replaces the strategy "auto" and a step size of 0 by what suits the policy. Raises ValueError for what no run can have."""

class Host(Protocol):
    """A model that evolve() can ask; one sequence at a time."""

    name: str
    architecture: str
    all_layers: int
    query_heads: int
    train_context: int  # tokens; 0 = unknown
    bytes_per_number: float  # of keys and values
    layers: list[tuple[int, int, int, int, int]]  # as of Sequence
    turn: tuple[str, str]  # what stands before and behind the user's words
    ends: list[int]  # tokens that end an answer

    def tokenize(self, text: str, add_special: bool, of_template: bool) -> list[int]: ...
    def detokenize(self, ids: list[int]) -> str: ...
    def reset(self, policy: Policy) -> None: ...
    def evaluate(self, tokens: NDArray[np.int32], every: bool) -> NDArray[np.float32]:
        """Logits behind the last token or, with `every`, behind each: [1 or tokens, vocabulary]."""
    def update(self) -> None: ...

def evolve(
    settings: EvolutionSettings,
    model: Host,
    progress: Callable[[str, int, int, float], None],
    generation: Callable[[str], None],
    beginning: Callable[[], None],
) -> dict[str, Any]:
    """Runs it. progress(stage, done, all, share of the run), generation(line of the log), beginning(): before the first checkpoint is
    written. A KeyboardInterrupt of any of these and of the model comes out once everything is written."""
