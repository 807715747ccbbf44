"""What the user sees of a run: a live line on a terminal, plain lines elsewhere; all on standard error."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

if TYPE_CHECKING:
    from types import TracebackType

    from client.tally import Tally

logger = logging.getLogger(__name__)

PLAIN_LINE_SEC, LIVE_LINE_SEC = 10.0, 0.2
CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
"""File names may hold line breaks, and what moves the cursor of a terminal."""
_LISTED_FAILURES = 50


class Screen:
    """Shows a `Tally`. `quiet` leaves only what needs attention."""

    def __init__(self, tally: Tally, *, quiet: bool = False, console: Console | None = None) -> None:
        """Nothing is shown before the screen is entered."""
        self._tally = tally
        self._quiet = quiet
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._shown_at = time.monotonic()
        self._progress: Progress | None = None
        if self._console.is_terminal and not quiet:
            self._progress = Progress(
                SpinnerColumn(),
                BarColumn(bar_width=10),
                TextColumn("{task.description}"),
                TimeElapsedColumn(),
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
            self.update(now=True)
            self._progress.stop()

    def note(self, text: str, /) -> None:
        """Show a line that the user should see."""
        text = text.translate(CONTROL)
        logger.info("%s", text)
        self._console.print(escape(text))

    def update(self, *, now: bool = False) -> None:
        """The tally has changed; it is shown every so often, or at once if `now`."""
        since = time.monotonic() - self._shown_at
        if self._quiet or (not now and since < (LIVE_LINE_SEC if self._progress else PLAIN_LINE_SEC)):
            return
        self._shown_at = time.monotonic()
        if self._progress:
            self._progress.update(
                self._bar,
                description=escape("\n".join(self._tally.lines())),
                total=self._tally.files or None,
                completed=self._tally.finished,
            )
        else:
            self.note("; ".join(self._tally.lines()))

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
            f"{tally.fresh / worked:.2f} files/s, "
            f"{tally.generated_tokens / worked:.0f} tokens/s"
        )
        self.note(tally.spent())
        if results:
            self.note(f"results: {results}")
