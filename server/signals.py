"""How Ctrl-C ends a command before its work begins, and whether anybody reads what it prints."""

from __future__ import annotations

import os
import select
import signal
import sys

from server.exit_codes import INTERRUPTED

_STDERR = 2


def end_at_interrupt() -> None:
    """Let Ctrl-C end this process at once, in a word, until a command has something that it would clean up.

    Python's own `KeyboardInterrupt` gives a traceback from between two imports, or is lost in a callback.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as behind `&` in a script
        signal.signal(signal.SIGINT, _end_at_interrupt)


def _end_at_interrupt(*_: object) -> None:
    try:
        os.write(_STDERR, b"interrupted\n")
    finally:
        os._exit(INTERRUPTED)


def raise_interrupts() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` again, once all is imported.

    Behind `babelview` the handler that it takes away is that of `client`, which nothing here can name.
    """
    if signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, signal.default_int_handler):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def nobody_reads() -> bool:
    """Whether standard output is a pipe whose other end is closed."""
    try:
        number = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):  # there is none, or it is none of the system's
        return False
    poll = select.poll()
    poll.register(number, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
