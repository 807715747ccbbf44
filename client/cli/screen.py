"""What the user sees of a run: live lines on a terminal, plain lines elsewhere; all on standard error."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

from client.checks.issues import DOUBTFUL
from client.cli.lines import CONTROL, in_lines, write_line
from client.cli.progress import rate
from client.media.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from rich.console import Console
    from rich.live import Live

    from client.cli.progress import Progress

logger = logging.getLogger(__name__)

PLAIN_LINE_S, TICK_S = 10.0, 1.0
"""How often plain lines are shown, and how often it is looked whether it is time for them."""
_LISTED_FAILURES = 50
"""So many failures are listed on a terminal; a log, which can be searched, gets them all."""


def _terminal() -> Console | None:
    """The terminal that standard error is; None where it is none, and rich need not be imported."""
    if not (sys.stderr and sys.stderr.isatty()):
        return None
    from client.cli.terminal import Terminal  # noqa: PLC0415  # rich

    return Terminal()


class ProgressDisplay:
    """Shows a `Progress`. `quiet` leaves only what needs attention."""

    def __init__(self, progress: Progress, *, quiet: bool = False, console: Console | None = None) -> None:
        """Nothing is shown before the display is entered."""
        self._progress = progress
        self._quiet = quiet
        # Logs of CI often ask for colours (FORCE_COLOR); they must not get lines that overwrite each other.
        self._console = console or _terminal()
        self._shown_at = time.monotonic()
        self._live: Live | None = None
        if self._console and not quiet:
            from client.cli.terminal import live_lines  # noqa: PLC0415 (late, as in `_terminal`)

            self._live = live_lines(progress, self._console)

    def __enter__(self) -> Self:
        """Begin the live lines."""
        if self._live:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the live lines."""
        self.close()

    def close(self) -> None:
        """Give the terminal back."""
        if self._live:
            self._live.stop()

    def note(self, text: str, /) -> None:
        """Show a line that the user should see, or several."""
        logger.info("%s", text)
        if self._console:
            from rich.text import Text  # noqa: PLC0415 (late, as in `_terminal`)

            self._console.print(Text(in_lines(text)))
        else:
            write_line(in_lines(text))

    def update(self) -> None:
        """Show plain lines if it is time for them; live ones come by themselves."""
        if self._quiet or self._live or time.monotonic() - self._shown_at < PLAIN_LINE_S:
            return
        self._shown_at = time.monotonic()
        self.note("; ".join(self._progress.lines()))

    @asynccontextmanager
    async def ticking(self) -> AsyncIterator[None]:
        """Show plain lines every so often also while nothing happens: who reads them sees that the run lives."""

        async def tick() -> None:
            while True:
                await asyncio.sleep(TICK_S)
                self.update()

        ticking = asyncio.create_task(tick())
        try:
            yield
        finally:
            ticking.cancel()

    def summary(self, results: str) -> None:
        """Show how the run ended: the failures with their reasons, the counts, and where the results are."""
        progress = self._progress
        listed = _LISTED_FAILURES if self._console and self._console.is_terminal else len(progress.failures)
        for file, reason in progress.failures[:listed]:
            self.note(f"failed: {file.translate(CONTROL)}: {reason}")
        if len(progress.failures) > listed:
            where = f", all with their reasons in {results}" if results else ""
            self.note(f"... and {len(progress.failures) - listed:,} more{where}")
        for kind, count in progress.unasked.items():
            files = f"file{'s' * (count != 1)} of sound alone" if kind is Kind.AUDIO else f"{kind}{'s' * (count != 1)}"
            hint = " (--tasks transcript does)" if kind is Kind.AUDIO else ""
            self.note(f"not done: {count:,} {files}: no task of this run asks anything about them{hint}")
        if self._quiet:
            return
        worked = max(progress.seconds, 1e-3)
        earlier = f" ({progress.reused} by an earlier run)" if progress.reused else ""
        left, unasked = progress.files - progress.finished, progress.unasked.total()
        others = f"{f', {unasked} without a prompt' if unasked else ''}{f', {left} not finished' if left else ''}"
        self.note(
            f"{progress.done} of {progress.files} files done{earlier}, {len(progress.failures)} failed"
            f"{others} in {worked:.1f} s: {progress.requests} requests"
            f"{f', {progress.requests_failed} of them failed' if progress.requests_failed else ''}, "
            f"{rate(progress.fresh / worked)} files/s, "
            f"{rate(progress.generated_tokens / worked)} tokens/s"
        )
        self.note(progress.spent())
        if doubtful := progress.verdicts[DOUBTFUL]:
            self.note(
                f"{doubtful:,} {'answers are' if doubtful != 1 else 'answer is'} doubtful: the warnings in the results "
                "say why, --redo doubtful asks again"
            )
        if results:
            self.note(f"results: {results}")
