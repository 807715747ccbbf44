"""Exit codes of the server's commands."""

from __future__ import annotations

import signal

FAILED = 1
SIGNALLED = 128
"""Plus its number: ended by a signal before its work was done."""
INTERRUPTED = SIGNALLED + signal.SIGINT
"""After Ctrl-C."""
CLOSED_PIPE = SIGNALLED + signal.SIGPIPE
"""Nobody reads standard output any more (`| head`): as of the programs that SIGPIPE ends."""
