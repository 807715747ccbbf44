"""`python -m client.export captions/`: write the results of the last run again, from its ledger alone; see `--help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from client.errors import BabelviewError, UsageError
from client.export.formats import FORMATS, check, export

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXAMPLES = """\
  python -m client.export captions                        results.json, as far as the run has come
  python -m client.export captions --format csv,parquet   other formats
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files; returns the exit code: 0, 1 if that failed, 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m client.export",
        description="Write the results of the last run, in any format, from its ledger alone: while the run goes on, "
        "after it was killed, or for another format. Nothing is asked.\n\n" + _EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the --output of the run, which holds ledger.db")
    parser.add_argument("--format", default="json", metavar="A,B", help=f"of {', '.join(FORMATS)} (default: json)")
    given = parser.parse_args(arguments)
    formats = list(dict.fromkeys(name.strip() for name in given.format.split(",") if name.strip()))
    try:
        check(formats)
        for path in export(given.folder, formats):
            print(path)
    except BabelviewError as error:
        return _complain(error)
    except OSError as error:
        return _complain(BabelviewError(f"cannot write to {given.folder}: {error.strerror or error}"))
    return 0


def _complain(error: BabelviewError) -> int:
    print(f"client.export: {error}", file=sys.stderr)
    return 2 if isinstance(error, UsageError) else 1


if __name__ == "__main__":
    sys.exit(main())
