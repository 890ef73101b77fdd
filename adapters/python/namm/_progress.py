"""Where long work stands, on stderr: one line that is drawn anew on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from typing import Any


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
        now = time.monotonic()
        if not self._enabled or not self._redraws and now - self._last < 5:
            return
        self._last = now
        text = f"{label}  {done}/{all}  {clock((now - self._start) * (all - done) / done)} left"
        if self._redraws:
            print(f"\r\033[Knamm: {text}", end="", file=sys.stderr, flush=True)
        else:
            self.say(text)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: Any) -> None:
        if self._redraws:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
