"""The console script `babelview`. It heeds Ctrl-C before it imports the rest: Python would give a traceback."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from client.cli import signals

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code. Without `arguments` the process is ours, and Ctrl-C ends it at once."""
    if arguments is None:
        signals.end_at_interrupt()
    from client.cli.command import invoke  # noqa: PLC0415
    from client.cli.commands import cli  # noqa: PLC0415

    try:
        return invoke(cli, arguments, "babelview") or 0
    except KeyboardInterrupt:
        signals.say_interrupted()
        return signals.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
