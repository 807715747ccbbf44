"""What the command lines of the benchmarks have in common: numbers, files to write, and how they end.

A wrong flag ends a program with code 2 before anything is measured, Ctrl-C with 130, SIGTERM with 143; both in good
order, with all that was started stopped.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

INTERRUPTED, TERMINATED = 130, 143


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run a program to its end and exit with its code; see above."""

    def end(number: int, _: Any) -> None:
        # While it cleans up, another SIGTERM does not disturb it, and another Ctrl-C does.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(TERMINATED)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        code = main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)


@contextmanager
def ignoring_sigint() -> Iterator[None]:
    """Processes that are started in this block do not hear Ctrl-C, of which a terminal tells all: they are stopped."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def start(command: Sequence[str], **settings: Any) -> subprocess.Popen[Any]:
    """A process that its starter stops, `ignoring_sigint` to Ctrl-C; `settings` are those of `Popen`."""
    with ignoring_sigint():
        return subprocess.Popen(command, **settings)


def positive(text: str) -> int:
    """An argument that is a whole number above 0."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return int(text)


def natural(text: str) -> int:
    """An argument that is a whole number, 0 among them."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number, 0 or more, not {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """Argument type: a time in seconds."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, not {text!r}")
    return number


def new_file(text: str) -> Path:
    """An argument that is a file to be written, at the end of what may be hours."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: is a folder, not a file")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: there is no folder {folder}")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text}: cannot be written")
    return path
