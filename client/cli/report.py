"""`babelview report captions/`: results to look at in a browser, from the disk; see `--help`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from client.cli.command import Command
from client.cli.signals import raise_interrupts
from client.errors import BabelviewError, UsageError

_DESCRIPTION = """\
Write the report of an output folder: a page that opens from the disk, without a server or a network.

  babelview report captions                        captions/report/index.html
  babelview report captions --apply edits.json     bring what was accepted, flagged and edited in it into the ledger
  babelview report captions --thumbnails           decode files of older runs for their thumbnails

Nothing is asked. Folder and page can be moved together with the pictures and videos.
"""


def _report(folder: str, out: Path | None, apply: Path | None, *, thumbnails: bool, only_run: bool) -> int:
    from client.cluster.local_copy import local_folder, there  # noqa: PLC0415  # --help need not wait
    from client.cluster.ownership import is_of_cluster  # noqa: PLC0415
    from client.report.write import check_built, write_report  # noqa: PLC0415

    raise_interrupts()
    try:
        check_built()
        if is_of_cluster(folder) and (apply or thumbnails):
            raise UsageError(f"{folder} is the output of a cluster, which takes neither --apply nor --thumbnails")
        applied = _apply(Path(folder), apply) if apply else True
        if thumbnails:
            from client.report.missing import make_thumbnails  # noqa: PLC0415

            made, failed = make_thumbnails(Path(folder))
            print(f"{_counted(made, 'thumbnail')} made, {failed} could not be", file=sys.stderr)
        with local_folder(folder, write=out is None) as here:
            of_cluster = folder if is_of_cluster(folder) else None
            page = write_report(here, out, only_run=only_run, copy_of=of_cluster)
        print(page if out else there(page, here, folder))
    except BabelviewError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except BrokenPipeError:  # nobody reads what is printed
        raise
    except OSError as error:
        print(f"Error: cannot write to {out or folder}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0 if applied else 1


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _apply(folder: Path, path: Path) -> bool:
    """Bring a file of the page into the ledger; says what of it is there now. Is all of it?"""
    from client.report.apply import apply_edits  # noqa: PLC0415

    reviews, edits, left_out = apply_edits(folder, path)
    print(f"{path}: {_counted(reviews, 'review')} and {_counted(edits, 'edit')} are in the ledger", file=sys.stderr)
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    return not left_out


command = Command(
    "report",
    params=[
        click.Argument(["folder"], metavar="DIR"),
        click.Option(
            ["--out"],
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="where the report goes  [default: DIR/report]",
        ),
        click.Option(
            ["--apply"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="first bring the changes of this file, which the page saves, into the ledger",
        ),
        click.Option(["--thumbnails"], is_flag=True, help="first make the thumbnails that are missing"),
        click.Option(["--only-run"], is_flag=True, help="show the last run alone, not all that the folder knows"),
    ],
    callback=_report,
    help=_DESCRIPTION,
    epilog="DIR is the --output of the run: a folder; or the URL that a cluster wrote to.\n"
    "batch --report writes it during a run, too.\n",
)
