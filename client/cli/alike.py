"""What `babelview search` prints with `--like` and `--duplicates`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from client.cli.lines import CONTROL
from client.errors import MediaError, UsageError
from client.media.load import identify
from client.search.alike import duplicates, find_file, like, without_thumbnail

if TYPE_CHECKING:
    from pathlib import Path

    from client.search.alike import Alike, File
    from client.search.index import Index

FOUND, NOTHING = 0, 1


def print_like(index: Index, folder: Path, name: Path, limit: int, *, as_json: bool) -> int:
    """Print the files that are like one; gives the exit code.

    Raises:
        UsageError: it is none of the folder's.
    """
    file = find_file(index, str(name), _sha256(name))
    if file is None:
        raise UsageError(f"--like {name}: is none of the files that {folder} knows: run babelview batch {name} first")
    _make_thumbnails(index, folder)
    found = like(index, folder, file, limit)
    if as_json:
        _dump({"like": file.name, "hits": [_said(one) for one in found]})
    for one in () if as_json else found:
        why = [] if one.distance is None else ["same content" if one.file.sha256 == file.sha256 else "near-identical"]
        print(f"{_named(one.file)}  ({', '.join([*why, *one.words[:8]])})".translate(CONTROL))
    return FOUND if found else NOTHING


def print_duplicates(index: Index, folder: Path, limit: int, *, as_json: bool) -> int:
    """Print groups of near-identical files, the largest number of them `limit`; gives the exit code."""
    _make_thumbnails(index, folder)
    groups = duplicates(index, folder)
    if as_json:
        said = [{"same": group.same, "files": [_file(file) for file in group.files]} for group in groups[:limit]]
        _dump({"groups": said, "found": len(groups)})
        return FOUND if groups else NOTHING
    for group in groups[:limit]:
        print("same content:" if group.same else "near-identical:")
        for file in group.files:
            print(f"  {_named(file)}".translate(CONTROL))
    rest = len(groups) - limit
    hidden = f", {rest} not shown: --limit" if rest > 0 else ""
    print(f"{len(groups)} group{'s' * (len(groups) != 1)}{hidden}", file=sys.stderr)
    return FOUND if groups else NOTHING


def _make_thumbnails(index: Index, folder: Path) -> None:
    """What runs without thumbnails left is decoded now."""
    if missing := [file for file in without_thumbnail(index, folder) if not file.gone]:
        from client.report.missing import make_thumbnails  # noqa: PLC0415  # decoders take a while

        print(f"{len(missing)} files have no thumbnail yet to compare", file=sys.stderr)
        made, failed = make_thumbnails(folder)
        print(f"{made} thumbnails made, {failed} could not be", file=sys.stderr)


def _sha256(path: Path) -> str | None:
    try:
        return identify(path).sha256
    except MediaError:
        return None


def _named(file: File) -> str:
    return f"{file.name}{'  (gone)' if file.gone else ''}"


def _file(file: File) -> dict[str, Any]:
    return {"file": file.name, **({"gone": True} if file.gone else {}), "sha256": file.sha256}


def _said(one: Alike) -> dict[str, Any]:
    return {**_file(one.file), "distance": one.distance, "words": one.words}


def _dump(said: dict[str, Any]) -> None:
    print(json.dumps(said, ensure_ascii=False, indent=2))
