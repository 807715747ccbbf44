"""What the user sees of a stack: progress while it starts, one table when it runs, and what happens then."""

from __future__ import annotations

import errno
import os
import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from server.supervision.supervisor import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.profile import Profile
    from server.supervision.supervisor import ProcessSupervisor

WIDTH_WITHOUT_TERMINAL = 140


class Output(Console):
    """Standard output; where nobody reads it any more, `BrokenPipeError`, or silence if the command `goes_on`."""

    def __init__(self, *, goes_on: bool = False) -> None:
        super().__init__(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL)
        self._goes_on = goes_on

    def on_broken_pipe(self) -> None:
        """Print nothing more."""
        self.quiet = True
        if not self._goes_on:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Display:
    """Writes one line per event: it reads as well in a terminal as in a log file."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()

    def changed(self, supervisor: ProcessSupervisor) -> None:
        """Print the new state or stage of a part."""
        if supervisor.state is State.STARTING:
            self._line(supervisor.part.name, supervisor.stage)
        elif supervisor.state is State.READY:
            self._line(supervisor.part.name, f"[green]ready[/] after {supervisor.start_s:.1f} s")
        elif supervisor.state is State.UNHEALTHY:
            self._line(supervisor.part.name, "[yellow]does not answer its health check[/]")
        elif supervisor.state is State.STOPPED:
            self._line(supervisor.part.name, "stopped")

    def crashed(self, supervisor: ProcessSupervisor, reason: str, tail: str) -> None:
        """Print why a part has ended, and the end of its log."""
        then = "given up" if supervisor.state is State.FAILED else "restarting it"
        self._line(supervisor.part.name, f"[bold red]{escape(reason)}[/]: {then}. The end of {supervisor.log}:")
        self._console.print(escape(tail), style="dim", highlight=False, soft_wrap=True)

    def running(self, supervisors: Sequence[ProcessSupervisor]) -> None:
        """Print the table of what runs where."""
        table = Table(title="Babelview is up", title_justify="left")
        for column in ("part", "serves", "address", "pid", "started in"):
            table.add_column(column, justify="right" if column in {"pid", "started in"} else "left", overflow="fold")
        for supervisor in supervisors:
            part = supervisor.part
            table.add_row(part.name, part.what, part.place, str(supervisor.pid), f"{supervisor.start_s:.1f} s")
        self._console.print(table)
        addresses = {supervisor.part.name: supervisor.part.place for supervisor in supervisors}
        if {"gateway", "captioner"} <= addresses.keys():
            page = f"{addresses['gateway'].removesuffix('/v1')}/"
            self._console.print(f"A page to drop files on, the studio: {page}", highlight=False, soft_wrap=True)
        self._console.print("Ctrl-C stops it.")

    def stopping(self) -> None:
        """Say that the stack is about to stop."""
        self._console.print("stopping (once more: at once)")

    def _line(self, name: str, text: str) -> None:
        elapsed_s = time.monotonic() - self._began
        self._console.print(f"[dim]{elapsed_s:6.1f} s[/]  [cyan]{name}[/]  {text}", highlight=False, soft_wrap=True)


def models_table(profile: Profile) -> Table:
    """What a profile serves: names, weights and limits of each model."""
    table = Table()
    for column in ("served name", "aliases", "weights", "context", "frames", "pictures"):
        table.add_column(column, overflow="fold")
    for engine in profile.engines:
        limits = (engine.max_model_len, engine.max_frames, engine.max_images)
        table.add_row(engine.name, ", ".join(engine.aliases), engine.model, *(str(limit or "-") for limit in limits))
    return table
