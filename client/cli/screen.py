"""What the user sees of a run: live lines on a terminal, plain lines elsewhere; all on standard error."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from client.checks.issues import DOUBTFUL
from client.cli.progress import rate
from client.media.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from rich.console import RenderableType

    from client.cli.progress import Progress

logger = logging.getLogger(__name__)

PLAIN_LINE_S, TICK_S = 10.0, 1.0
"""How often plain lines are shown, and how often it is looked whether it is time for them."""
CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {
    code: f"\\u{code:04x}" for code in (*range(0x2028, 0x202F), *range(0x2066, 0x206A))
}
"""File names may hold line breaks, what moves the cursor of a terminal, and what turns the direction of writing."""
_LISTED_FAILURES = 50
"""So many failures are listed on a terminal; a log, which can be searched, gets them all."""


def in_lines(text: str) -> str:
    """A message as a terminal shows it: one of several lines, such as a server's, has the others indented."""
    first, *others = text.replace("\r\n", "\n").split("\n")
    lines = [first, *(line if line.startswith(" ") else f"    {line}" for line in others)]
    return "\n".join(line.translate(CONTROL).rstrip() for line in lines if line.strip())


class _Console(Console):
    """A console that falls silent when what it writes to has ended or is full (a `tee`, a disk); the run goes on."""

    def _write_buffer(self) -> None:
        """Write; a terminal that is gone and a full disk are broken pipes too, which alone rich heeds."""
        try:
            super()._write_buffer()
        except OSError as error:
            raise BrokenPipeError from error

    def on_broken_pipe(self) -> None:
        """Show nothing more."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


class ProgressDisplay:
    """Shows a `Progress`. `quiet` leaves only what needs attention."""

    def __init__(self, progress: Progress, *, quiet: bool = False, console: Console | None = None) -> None:
        """Nothing is shown before the display is entered."""
        self._progress = progress
        self._quiet = quiet
        # Logs of CI often ask for colours (FORCE_COLOR); they must not get lines that overwrite each other.
        self._console = console or _Console(
            stderr=True, highlight=False, soft_wrap=True, force_terminal=bool(sys.stderr and sys.stderr.isatty())
        )
        self._shown_at = time.monotonic()
        self._live: Live | None = None
        if self._console.is_terminal and not self._console.is_dumb_terminal and not quiet:
            self._live = Live(get_renderable=self._live_lines, console=self._console, refresh_per_second=5)

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
        self._console.print(Text(in_lines(text)))

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

    def _live_lines(self) -> RenderableType:
        times, *lines = self._progress.lines()
        progress = self._progress
        top = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=progress.files or None, completed=progress.completed, width=10)
        top.add_row(bar, f"{progress.percent}%", times)
        # Not cut off, as `soft_wrap` would have it: in a narrow window they take more lines.
        return Group(top, *(Text(line, no_wrap=False, overflow="fold") for line in lines))

    def summary(self, results: str) -> None:
        """Show how the run ended: the failures with their reasons, the counts, and where the results are."""
        progress = self._progress
        listed = _LISTED_FAILURES if self._console.is_terminal else len(progress.failures)
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
