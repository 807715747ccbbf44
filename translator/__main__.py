"""`python -m translator`: the translation service."""

import sys

from translator import signals

if __name__ == "__main__":
    signals.end_at_interrupt()

from translator.cli import main

if __name__ == "__main__":
    sys.exit(main())
