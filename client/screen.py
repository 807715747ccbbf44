"""What the user sees of a run: a live line on a terminal, plain lines elsewhere; all on standard error."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from client.estimate import Tokens, money

if TYPE_CHECKING:
    from types import TracebackType

    from client.model import Answer

logger = logging.getLogger(__name__)

PLAIN_LINE_SEC = 10.0
_LISTED_FAILURES = 50


@dataclass
class Tally:
    """Counts of a run."""

    files: int = 0
    done: int = 0
    reused: int = 0
    """Of `done`: those that an earlier run had finished."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Names of files and reasons."""
    requests: int = 0
    in_flight: int = 0
    translations: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    prices: tuple[float, float] | None = None
    """Of a million tokens, in and out."""
    began: float = field(default_factory=time.monotonic)

    @property
    def cost(self) -> float | None:
        """Of this run so far, where prices are known."""
        return Tokens(self.prompt_tokens, self.generated_tokens).cost(*self.prices) if self.prices else None

    @property
    def projected_cost(self) -> float | None:
        """Of the whole run, if the other files cost what those of this run did; None before the first one."""
        fresh = self.finished - self.reused
        if self.cost is None or not fresh:
            return None
        return self.cost * (1 + (self.files - self.finished) / fresh)

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

    def line(self) -> str:
        """The numbers in one line."""
        worked = max(self.seconds, 1e-3)
        fresh = self.finished - self.reused
        return (
            f"{self.finished}/{self.files} files, {len(self.failures)} failed, {self.requests} requests, "
            f"{self.in_flight} in flight, {fresh / worked:.1f} files/s, "
            f"{self.generated_tokens / worked:.0f} tokens/s" + (f", {self.spent()}" if self.prices else "")
        )


class Screen:
    """Shows a `Tally`. `quiet` leaves only what needs attention."""

    def __init__(self, tally: Tally, *, quiet: bool = False, console: Console | None = None) -> None:
        """Nothing is shown before the screen is entered."""
        self._tally = tally
        self._quiet = quiet
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._said_at = time.monotonic()
        self._progress: Progress | None = None
        if self._console.is_terminal and not quiet:
            self._progress = Progress(
                SpinnerColumn(),
                BarColumn(bar_width=24),
                TextColumn("{task.description}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self._console,
                refresh_per_second=5,
            )
            self._bar = self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        """Begin the live line."""
        if self._progress:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the live line."""
        self.close()

    def close(self) -> None:
        """Give the terminal back."""
        if self._progress:
            self.update()
            self._progress.stop()

    def note(self, text: str, /) -> None:
        """Show a line that the user should see."""
        logger.info("%s", text)
        self._console.print(escape(text))

    def update(self) -> None:
        """The tally has changed."""
        if self._progress:
            self._progress.update(
                self._bar,
                description=escape(self._tally.line()),
                total=self._tally.files or None,
                completed=self._tally.finished,
            )
        elif not self._quiet and time.monotonic() - self._said_at >= PLAIN_LINE_SEC:
            self._said_at = time.monotonic()
            self.note(self._tally.line())

    def summary(self, results: str) -> None:
        """How the run ended: the failures with their reasons, and where the results are."""
        tally = self._tally
        for file, reason in tally.failures[:_LISTED_FAILURES]:
            self.note(f"failed: {file}: {reason}")
        if len(tally.failures) > _LISTED_FAILURES:
            self.note(f"... and {len(tally.failures) - _LISTED_FAILURES} more, all with their reasons in {results}")
        if self._quiet:
            return
        worked = max(tally.seconds, 1e-3)
        earlier = f" ({tally.reused} by an earlier run)" if tally.reused else ""
        left = tally.files - tally.finished
        self.note(
            f"{tally.done} of {tally.files} files done{earlier}, {len(tally.failures)} failed"
            f"{f', {left} not finished' if left else ''} in {worked:.1f} s: {tally.requests} requests, "
            f"{(tally.finished - tally.reused) / worked:.2f} files/s, "
            f"{tally.generated_tokens / worked:.0f} tokens/s"
        )
        self.note(tally.spent())
        if results:
            self.note(f"results: {results}")
