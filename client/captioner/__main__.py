"""`python -m client.captioner`: the same as `babelview captioner`."""

from __future__ import annotations

import sys

from client.cli import signals

if __name__ == "__main__":
    signals.end_at_interrupt()

from client.captioner.command import main

if __name__ == "__main__":
    sys.exit(main())
