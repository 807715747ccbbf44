"""`babelview search "red car" captions/`: find files by what was said about them; see `--help`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from client.cli import values
from client.cli.command import Command
from client.cli.signals import raise_interrupts
from client.errors import BabelviewError, UsageError

if TYPE_CHECKING:
    from client.search.find import Found, Match

_DESCRIPTION = """\
Find files by what was said about them, in every task and language, the best first.

  babelview search "red car" captions              files of which some text has words that begin so
  babelview search '"red car" -night' captions     the phrase, and no night
  babelview search 'beach OR 海' captions --language zho_Hans --json
  babelview search --like ads/car.png captions     files like this one
  babelview search --duplicates captions           pictures and videos that are there twice, or nearly so

Nothing is asked, and a run that goes on is not held up. What was found last is remembered in captions/search.db.
Exit code: 0 something was found, 1 nothing, 2 wrong usage.
"""
FOUND, NOTHING, USAGE = 0, 1, 2
_BOLD, _PLAIN = "\033[1m", "\033[0m"


def _search(
    words: tuple[str, ...],
    like: Path | None,
    task: str | None,
    language: str | None,
    limit: int,
    *,
    duplicates: bool,
    as_json: bool,
) -> int:
    from client.cluster.local_copy import local_folder  # noqa: PLC0415  # --help need not wait for them
    from client.cluster.ownership import is_of_cluster  # noqa: PLC0415
    from client.ledger.results import Results  # noqa: PLC0415
    from client.search.find import search  # noqa: PLC0415
    from client.search.index import Index  # noqa: PLC0415

    raise_interrupts()
    try:
        query, there = _told(words, like, duplicates=duplicates)
        if not (is_of_cluster(there) or Path(there).is_dir()):
            raise UsageError(f"{there}: there is no such folder")
        with local_folder(there, write=False) as folder, Results(folder) as results, Index(folder, results) as index:
            if query is None:
                from client.cli.alike import print_duplicates, print_like  # noqa: PLC0415

                if like:
                    return print_like(index, folder, like, limit, as_json=as_json)
                return print_duplicates(index, folder, limit, as_json=as_json)
            found = search(index, query, task=task, language=language, limit=limit)
    except BabelviewError as error:
        print(f"Error: {error}", file=sys.stderr)
        return USAGE if isinstance(error, UsageError) else NOTHING
    if as_json:
        _print_json(query, found)
    else:
        _print(found)
    return FOUND if found.hits else NOTHING


def _told(words: tuple[str, ...], like: Path | None, *, duplicates: bool) -> tuple[str | None, str]:
    """The query, None with `--like` and `--duplicates`, and the folder.

    Raises:
        UsageError: one is missing, or something is too much.
    """
    if like and duplicates:
        raise UsageError("--like and --duplicates are two questions: ask one")
    if like or duplicates:
        if len(words) != 1:
            raise UsageError("with --like and --duplicates only DIR is named, without a QUERY")
        return None, words[0]
    if len(words) != 2:
        raise UsageError('name a QUERY and DIR: babelview search "red car" captions; several words need quotes')
    return words[0], words[1]


def _print_json(query: str, found: Found) -> None:
    from client.search.find import as_json  # noqa: PLC0415

    said: dict[str, Any] = {"query": query, "files": found.files, "hits": [as_json(hit) for hit in found.hits]}
    print(json.dumps(said, ensure_ascii=False, indent=2))


def _print(found: Found) -> None:
    bold = sys.stdout.isatty()
    for hit in found.hits:
        print(f"{_safe(hit.file)}{'  (gone)' if hit.gone else ''}")
        for match in hit.matches:
            where = " ".join(part for part in (match.task, match.language, _time(match)) if part)
            print(f"  {_safe(where)}: {_shown(match, bold=bold)}")
        if more := hit.found - len(hit.matches):
            print(f"  and {more} more texts")
    rest = found.files - len(found.hits)
    files = "1 file" if found.files == 1 else f"{found.files} files"
    print(f"{files}{f', {rest} not shown: --limit' if rest else ''}", file=sys.stderr)


def _time(match: Match) -> str:
    return "" if match.start_s is None or match.end_s is None else f"{_clock(match.start_s)}-{_clock(match.end_s)}"


def _clock(time_s: float) -> str:
    minutes, rest_s = divmod(time_s, 60)
    return f"{int(minutes)}:{rest_s:04.1f}"


def _shown(match: Match, *, bold: bool) -> str:
    text, at, shown = match.snippet, 0, ""
    for start, end in match.marks if bold else ():
        if start >= at:
            shown += _safe(text[at:start]) + _BOLD + _safe(text[start:end]) + _PLAIN
            at = end
    return shown + _safe(text[at:])


def _safe(text: str) -> str:
    """A text without what a terminal would obey."""
    from client.cli.lines import CONTROL  # noqa: PLC0415

    return text.translate(CONTROL)


command = Command(
    "search",
    params=[
        click.Argument(["words"], nargs=-1, metavar="[QUERY] DIR"),
        click.Option(
            ["--like"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="instead of QUERY: files like this one, near-identical pictures first, then those that share words",
        ),
        click.Option(["--duplicates"], is_flag=True, help="instead of QUERY: groups of near-identical files"),
        click.Option(["--task"], metavar="NAME", help="what was said of this task alone"),
        click.Option(["--language"], type=values.language, metavar="CODE", help="in this language alone, such as spa"),
        click.Option(
            ["--limit"], default="20", type=values.count, show_default=True, metavar="N", help="of files, the best"
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="write JSON"),
    ],
    callback=_search,
    help=_DESCRIPTION,
    epilog="DIR is the --output of the run: a folder, or the URL that a cluster wrote to.\n",
)
