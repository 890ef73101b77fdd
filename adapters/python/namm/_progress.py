"""Where long work stands, on stderr: one line that is drawn anew on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from typing import Any, TypeVar

_Shown = TypeVar("_Shown", bound="Progress")


def clock(seconds: float) -> str:
    """ "3:05", "1:02:09"."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


class Progress:
    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._redraws = enabled and sys.stderr.isatty()
        self._start = self._last = time.monotonic()

    def say(self, text: str) -> None:
        if self._enabled:
            print(f"namm: {text}", file=sys.stderr, flush=True)

    def show(self, label: str, done: int, all: int) -> None:
        self._draw(f"{label}  {done}/{all}", done / all)

    def _draw(self, text: str, share: float) -> None:
        """share: of all the work, above 0 to 1."""
        now = time.monotonic()
        if not self._enabled or not self._redraws and now - self._last < 5:
            return
        self._last = now
        if share > 0:
            text += f"  {clock((now - self._start) * (1 - share) / share)} left"
        if self._redraws:
            print(f"\r\033[Knamm: {text}", end="", file=sys.stderr, flush=True)
        else:
            self.say(text)

    def __enter__(self: "_Shown") -> "_Shown":
        return self

    def __exit__(self, *error: Any) -> None:
        if self._redraws:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


class EvolutionProgress(Progress):
    """The stages and generations of a run of evolution."""

    def __init__(self, enabled: bool, generations: int) -> None:
        super().__init__(enabled)
        self._generations = generations
        self._next = 0
        self._hinted = False

    def stage(self, name: str, done: int, all: int, share: float) -> None:
        """share: of the whole run."""
        self._draw(f"generation {min(self._next, self._generations)}/{self._generations} {name}  {done}/{all}", share)

    def generation(self, record: dict[str, Any]) -> None:
        """A line of the log."""
        self._next = record["generation"] + 1
        kept = _number(record["best_validation"])
        if record["generation"] == 0:
            self.say(f"start  validation {kept}")
            return
        fitness = record["fitness"]
        ratio = fitness["signal_to_noise"]
        self.say(
            f"generation {record['generation']}  best {_number(fitness['best'])}  mean {_number(fitness['mean'])}  "
            f"signal/noise {'-' if ratio is None else f'{ratio:.1f}'}  step size {record['step_size']:.4f}  kept {kept}"
        )
        if ratio is not None and ratio < 1 and not self._hinted:
            self._hinted = True
            self.say("hint: the candidates differ less than prompts make them differ by chance; give more prompts")

    def done(self, result: dict[str, Any]) -> None:
        self.say(
            f"done after {result['generations']} generations ({result['end']}): validation {_number(result['validation'])} "
            f"(start {_number(result['start_validation'])}), kept from generation {result['best_generation']}"
        )

    def stopped(self, resumable: bool) -> None:
        self.say("stopped; the same call with resume=True goes on" if resumable else "stopped: nothing is written")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4f}"
