"""How far a run has come: counts, pace, time left, cost."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from client.cli.estimate import Tokens, money
from client.counters import Counters

SAMPLE_S, WINDOW_S, WINDOW_FILES = 1.0, 60.0, 10
"""The pace is that of the last minute, or of the last files where these take longer: what an earlier run had done
flies by and says nothing."""


@dataclass
class Progress(Counters):
    """The counts of a run, its pace and its cost."""

    prices: tuple[float, float] | None = None
    """Prices of a million tokens, in and out."""
    began: float = field(default_factory=time.monotonic)
    _samples: deque[tuple[float, float, int]] = field(default_factory=deque)
    """(time, files that this run has worked off, tokens that it got), every second or so."""

    @property
    def cost(self) -> float | None:
        """What this run has cost so far; None without prices."""
        return Tokens(self.prompt_tokens, self.generated_tokens).cost(*self.prices) if self.prices else None

    @property
    def projected_cost(self) -> float | None:
        """What the whole run will cost, if its other files cost as much; None before the first one is done."""
        if self.cost is None or not self.fresh:
            return None
        return self.cost * (1 + (self.files - self.finished) / self.fresh)

    def spent(self) -> str:
        """Tokens and cost, as text."""
        text = f"{self.prompt_tokens:,} tokens in and {self.generated_tokens:,} out"
        if self.cost is None:
            return text
        projected = self.projected_cost if self.files > self.finished else None
        return f"{text}, cost {money(self.cost)}" + (f" of about {money(projected)}" if projected is not None else "")

    @property
    def finished(self) -> int:
        """Files done, failed, or without anything to be asked."""
        return self.done + len(self.failures) + self.unasked.total()

    @property
    def completed(self) -> float:
        """Files finished, and the parts of others whose requests are answered: what a bar shows."""
        return min(self.finished + self.partial, self.files)

    @property
    def percent(self) -> int:
        """How much of the run is completed; 100 when all files are finished, and not before."""
        if self.finished >= self.files:
            return 100 if self.files else 0
        return min(int(100 * self.completed / self.files), 99)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.began

    @property
    def fresh(self) -> int:
        """Files that this run has done or seen fail, not an earlier one."""
        return self.done + len(self.failures) - self.reused

    @property
    def _worked(self) -> float:
        """Files that this run has done, and parts of them."""
        return self.fresh + self.partial

    def pace(self) -> tuple[float, float]:
        """Files and tokens a second, of late; files in flight count by the part of their requests that is answered."""
        now = time.monotonic()
        if not self._samples or now - self._samples[-1][0] >= SAMPLE_S:
            self._samples.append((now, self._worked, self.generated_tokens))
        while len(self._samples) > 1 and self._is_enough(now, *self._samples[1]):
            self._samples.popleft()
        since, files, tokens = self._samples[0]
        if len(self._samples) == 1:
            since, files, tokens = self.began, 0.0, 0
        seconds = max(now - since, 1e-3)
        return (self._worked - files) / seconds, (self.generated_tokens - tokens) / seconds

    def _is_enough(self, now: float, since: float, files: float, _: int) -> bool:
        return now - since >= WINDOW_S and self._worked - files >= WINDOW_FILES

    def lines(self) -> list[str]:
        """Short lines for the screen: time taken and left, files, requests, pace, tokens and cost."""
        files_per_sec, tokens_per_sec = self.pace()
        unasked = self.unasked.total()
        left = f", {_duration((self.files - self.completed) / files_per_sec)} left" if files_per_sec else ""
        return [
            f"{_duration(self.seconds)}{left}",
            f"{self.done:,} of {self.files:,} files done, {len(self.failures):,} failed, "
            f"{f'{unasked:,} without a prompt, ' if unasked else ''}{self.files_in_flight:,} in flight",
            f"{self.requests - self.requests_failed:,} requests done, {self.requests_failed:,} failed, "
            f"{self.in_flight:,} in flight",
            f"{rate(files_per_sec)} files/s, {rate(tokens_per_sec)} tokens/s",
            self.spent(),
        ]


def rate(per_second: float) -> str:
    """A rate as text; small ones keep two digits, for files that take minutes each."""
    if per_second >= 100:
        return f"{per_second:,.0f}"
    return f"{per_second:.1f}" if per_second >= 1 else f"{per_second:.2g}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
