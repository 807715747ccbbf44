"""What a run shows on a terminal, drawn by rich; elsewhere it is not imported, which takes a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from client.cli.lines import fall_silent

if TYPE_CHECKING:
    from rich.console import RenderableType

    from client.cli.progress import Progress


class Terminal(Console):
    """The terminal that standard error is; it falls silent when that has ended, and the run goes on."""

    def __init__(self) -> None:
        """Nothing is shown yet."""
        super().__init__(stderr=True, highlight=False, soft_wrap=True, force_terminal=True)

    def _write_buffer(self) -> None:
        """Write; a terminal that is gone is a broken pipe too, which alone rich heeds."""
        try:
            super()._write_buffer()
        except OSError as error:
            raise BrokenPipeError from error

    def on_broken_pipe(self) -> None:
        """Show nothing more."""
        self.quiet = True
        fall_silent()


def live_lines(progress: Progress, console: Console) -> Live | None:
    """Lines that follow a `Progress`, to be started; None where the console cannot show any."""
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    return Live(get_renderable=lambda: _lines(progress), console=console, refresh_per_second=5)


def _lines(progress: Progress) -> RenderableType:
    times, *lines = progress.lines()
    top = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=progress.files or None, completed=progress.completed, width=10)
    top.add_row(bar, f"{progress.percent}%", times)
    # Not cut off, as `soft_wrap` would have it: in a narrow window they take more lines.
    return Group(top, *(Text(line, no_wrap=False, overflow="fold") for line in lines))
