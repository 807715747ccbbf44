"""How Ctrl-C ends the command before the service runs."""

from __future__ import annotations

import os
import signal

INTERRUPTED = 128 + signal.SIGINT
_STDERR = 2


def end_at_interrupt() -> None:
    """Let Ctrl-C end this process at once, in a word, until the service has something that it would finish.

    Python's own `KeyboardInterrupt` gives a traceback from between two imports, or is lost in a callback.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as behind `&` in a script
        signal.signal(signal.SIGINT, _end_at_interrupt)


def _end_at_interrupt(*_: object) -> None:
    try:
        os.write(_STDERR, b"interrupted\n")
    finally:
        os._exit(INTERRUPTED)
