"""What ends a command early: Ctrl-C, SIGTERM, a terminal or a pipe that closes; and how a process begins and ends."""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

INTERRUPTED = 130
CLOSED_PIPE = 128 + signal.SIGPIPE
"""Nobody reads standard output any more (`| head`): as of the programs that SIGPIPE ends."""
_STDERR = 2


def end_at_once(before: Callable[[], None] | None = None) -> None:
    """Let a signal end this process at once: while it imports and looks through folders, nothing can be lost.

    `before` that it is called: it removes what would be left behind, or says what has ended.
    """

    def interrupted(*_: object) -> None:
        try:
            if before:
                before()
        finally:
            os._exit(INTERRUPTED)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)


def end_at_interrupt() -> None:
    """Let Ctrl-C end this process at once, in a word, until a command has something that it would clean up.

    Python's own `KeyboardInterrupt` gives a traceback from between two imports, or is lost in a callback.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as behind `&` in a script
        signal.signal(signal.SIGINT, _end_at_interrupt)


def _end_at_interrupt(*_: object) -> None:
    say_interrupted()
    os._exit(INTERRUPTED)


def raise_interrupts() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` again, once all is imported, and SIGTERM too: what is begun is removed."""
    if signal.getsignal(signal.SIGINT) is _end_at_interrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)


def say_interrupted(command_line: str | None = None) -> None:
    """Say that it was interrupted, and what to type to go on, also within a handler of signals."""
    again = f"; to go on: {command_line}" if command_line else ""
    with suppress(OSError):  # nobody reads it
        os.write(_STDERR, f"interrupted{again}\n".encode(errors="backslashreplace"))


def end_in_order(
    loop: asyncio.AbstractEventLoop,
    stop: asyncio.Event,
    *,
    note: Callable[[str], None],
    leave: Callable[[], None],
) -> None:
    """Let the first signal set `stop`, which ends the run in good order, and the second one end it at once.

    The ledger bears either. `note` shows a line; `leave` gives the terminal back and says how to go on.
    """

    def interrupted() -> None:
        _leave_closed_terminal()
        if stop.is_set():
            try:
                leave()
            finally:
                os._exit(INTERRUPTED)
        stop.set()
        note("interrupted: finishing what is in flight (Ctrl-C again stops at once)")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as nohup wants it
            loop.add_signal_handler(number, interrupted)


def open_closed_streams() -> None:
    """Let what was closed by the shell (`2>&-`) lead to nowhere: the next file opened would else get its messages."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)  # the loaders expect theirs
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def nobody_reads() -> bool:
    """Whether standard output is a pipe whose other end is closed."""
    try:
        number = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):  # there is none, or it is none of the system's
        return False
    poll = select.poll()
    poll.register(number, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def leave(code: int) -> NoReturn:
    """End the process, all being written: a thread that still reads a long file would hold up its usual end."""
    for file in (sys.stdout, sys.stderr):
        with suppress(OSError):  # a full disk, or who read it is gone
            file.flush()
    os._exit(code)


def _leave_closed_terminal() -> None:
    """Write to nowhere instead of to a terminal that is gone (SIGHUP), where every write would fail."""
    for file in (sys.__stdout__, sys.__stderr__):
        if file and stat.S_ISCHR(os.fstat(file.fileno()).st_mode) and not file.isatty():
            os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())
