"""`babelview export captions/`, or `python -m client.export captions/`; see `--help`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from client.cli.command import Command, invoke
from client.cli.options import CAPTION, EXPORT
from client.cli.signals import raise_interrupts
from client.errors import BabelviewError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_DESCRIPTION = """\
Write the results of an output folder, in any format, from its ledger alone: while a run goes on, after it was killed,
or for another format. Nothing is asked.

  babelview export captions                        results.json, as far as the run has come
  babelview export captions --format csv,parquet   other formats
  babelview export captions --format txt --beside --caption tags   tags beside each picture, for training

Formats of other tools: txt (kohya, TagGUI), xmp (IPTC fields), imagefolder (Hugging Face datasets), webdataset,
opensora, label-studio, fiftyone. They have the answer to `describe`, in English, unless told otherwise.
"""


def main(arguments: Sequence[str] | None = None, prog: str = "babelview export") -> int:
    """Write the files; returns the exit code: 0, 1 if that failed, 2 for wrong usage."""
    code: int = invoke(command, arguments, prog)
    return code


def _export(
    folder: str,
    format: list[str],  # noqa: A002  # the name of the option
    caption: str | None,
    caption_language: str,
    *,
    only_run: bool,
    beside: bool,
) -> int:
    from client.cluster.local_copy import local_folder, there  # noqa: PLC0415  # --help need not wait for them
    from client.export.captions import Choice  # noqa: PLC0415
    from client.export.formats import check, export  # noqa: PLC0415

    raise_interrupts()
    try:
        check(format)
        choice = Choice(caption, caption_language, beside)
        with local_folder(folder) as here:
            written = export(here, format, only_run=only_run, choice=choice)
        for path in written:
            print(there(path, here, folder))
    except BabelviewError as error:
        return _complain(error)
    except BrokenPipeError:  # nobody reads what is printed
        raise
    except OSError as error:
        return _complain(BabelviewError(f"cannot write to {folder}: {error.strerror or error}"))
    return 0


def _complain(error: BabelviewError) -> int:
    print(f"Error: {error}", file=sys.stderr)
    return 2 if isinstance(error, UsageError) else 1


command = Command(
    "export",
    params=[click.Argument(["folder"], metavar="DIR"), *EXPORT, *CAPTION],
    callback=_export,
    help=_DESCRIPTION,
    epilog="DIR is the --output of the run: a folder; or the URL that a cluster wrote to.\n"
    "python -m client.export is the same command.\n",
)

if __name__ == "__main__":  # as `client.export` is run, whose `__main__` says so
    sys.exit(main(prog="python -m client.export"))
