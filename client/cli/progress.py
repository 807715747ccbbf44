"""What a run has done so far, in numbers."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from client.cli.estimate import Tokens, money

if TYPE_CHECKING:
    from client.endpoints.chat import Answer

SAMPLE_S, WINDOW_S, WINDOW_FILES = 1.0, 60.0, 10
"""The pace is that of the last minute, or of the last files where these take longer: what an earlier run had done
flies by and says nothing."""


@dataclass
class Progress:
    """Counts of a run."""

    files: int = 0
    done: int = 0
    reused: int = 0
    """Of `done`: those that an earlier run had finished."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Names of files and reasons."""
    files_in_flight: int = 0
    requests: int = 0
    """Answered or given up."""
    requests_failed: int = 0
    in_flight: int = 0
    translations: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    prices: tuple[float, float] | None = None
    """Of a million tokens, in and out."""
    began: float = field(default_factory=time.monotonic)
    _samples: deque[tuple[float, int, int]] = field(default_factory=deque)
    """Now and then: when, files that this run did, tokens that it got."""

    @property
    def cost(self) -> float | None:
        """Of this run so far, where prices are known."""
        return Tokens(self.prompt_tokens, self.generated_tokens).cost(*self.prices) if self.prices else None

    @property
    def projected_cost(self) -> float | None:
        """Of the whole run, if the other files cost what those of this run did; None before the first one."""
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

    def count(self, answer: Answer) -> None:
        """Add the tokens of an answer."""
        self.prompt_tokens += answer.prompt_tokens
        self.generated_tokens += answer.generated_tokens

    @property
    def finished(self) -> int:
        """Files done or failed."""
        return self.done + len(self.failures)

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self.began

    @property
    def fresh(self) -> int:
        """Files that this run has finished with, not an earlier one."""
        return self.finished - self.reused

    def pace(self) -> tuple[float, float]:
        """Files and tokens a second, of late."""
        now = time.monotonic()
        if not self._samples or now - self._samples[-1][0] >= SAMPLE_S:
            self._samples.append((now, self.fresh, self.generated_tokens))
        while len(self._samples) > 1 and self._is_enough(now, *self._samples[1]):
            self._samples.popleft()
        since, files, tokens = self._samples[0]
        if len(self._samples) == 1:
            since, files, tokens = self.began, 0, 0
        seconds = max(now - since, 1e-3)
        return (self.fresh - files) / seconds, (self.generated_tokens - tokens) / seconds

    def _is_enough(self, now: float, since: float, files: int, _: int) -> bool:
        return now - since >= WINDOW_S and self.fresh - files >= WINDOW_FILES

    def lines(self) -> list[str]:
        """How long it has taken and will take, what is done, how fast, and what it costs; short lines."""
        files_per_sec, tokens_per_sec = self.pace()
        left = f", {_duration((self.files - self.finished) / files_per_sec)} left" if files_per_sec else ""
        return [
            f"{_duration(self.seconds)}{left}",
            f"{self.done:,} of {self.files:,} files done, {len(self.failures):,} failed, "
            f"{self.files_in_flight:,} in flight",
            f"{self.requests - self.requests_failed:,} requests done, {self.requests_failed:,} failed, "
            f"{self.in_flight:,} in flight",
            f"{rate(files_per_sec)} files/s, {rate(tokens_per_sec)} tokens/s",
            self.spent(),
        ]


def rate(per_second: float) -> str:
    """So many a second, as text: also of what takes minutes."""
    if per_second >= 100:
        return f"{per_second:,.0f}"
    return f"{per_second:.1f}" if per_second >= 1 else f"{per_second:.2g}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
