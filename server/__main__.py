"""`python -m server`: the commands of `server.cli`."""

from __future__ import annotations

import sys

from server import signals

if __name__ == "__main__":
    signals.end_at_interrupt()

from server.cli import main

if __name__ == "__main__":
    sys.exit(main())
