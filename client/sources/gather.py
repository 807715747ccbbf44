"""From what the user gives - folders, files, manifests, URLs - to the sources of a run, before anything is fetched."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from client.errors import UsageError
from client.sources import stores
from client.sources.folders import Choice, walk
from client.sources.live_photos import with_live_photos
from client.sources.manifest import is_manifest, rows_of
from client.sources.source import Source, printable, public

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from client.endpoints.retry import Notify

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_FILE_HOST = re.compile(r"file://[^/]*", re.IGNORECASE)
_HTTP = ("http", "https")


def gather(
    given: Sequence[str],
    manifests: Iterable[Path | str] = (),
    *,
    column: str | None = None,
    choice: Choice | None = None,
    leave_out: Path | None = None,
    warn: Notify = print,
    passed_over: Counter[str] | None = None,
) -> list[Source]:
    """The sources of a run, in the order in which they are given; what is given twice counts once.

    Rows of manifests all count: they may say different things of one file. `leave_out` is passed over in folders.
    Other files of folders that are no pictures or videos are counted in `passed_over`, by suffix in lower case; what is
    hidden, and by-products of systems, too.

    Raises:
        UsageError: something given does not exist, or cannot be listed or read.
    """
    choice = choice or Choice()
    others = Counter[str]() if passed_over is None else passed_over
    found: list[Source] = []
    seen: set[str] = set()
    for text in given:
        if is_manifest(text):
            found += rows(text, column)
            continue
        for source in found_at(text, choice, leave_out, warn, others):
            if source.where not in seen:
                seen.add(source.where)
                found.append(source)
    for manifest in manifests:
        found += rows(str(manifest), column)
    stores.check({source.where for source in found if needs_driver(source)})
    return [replace(source, position=position) for position, source in enumerate(with_live_photos(found))]


def needs_driver(source: Source) -> bool:
    """Whether it takes fsspec to fetch it."""
    return source.remote and _scheme(source.where) not in _HTTP


def found_at(
    text: str, choice: Choice, leave_out: Path | None, warn: Notify, passed_over: Counter[str]
) -> Iterator[Source]:
    """What a path or URL that is no manifest stands for. See `gather`."""
    if _URL.match(text) and not Path(text).exists():
        if _scheme(text) in _HTTP:
            yield _named(text, "", {})
            return
        if _scheme(text) != "file":
            yield from stores.listed(text, choice, passed_over)
            return
        text = _file_path(text)
    path = Path(text)
    if not path.exists():
        raise UsageError(f"no such file or folder: {text}")
    if not path.is_dir():
        yield Source.local(path)
        return
    # Path drops a leading "./", and a slash at the end, from the names of what is below.
    for where in walk(str(path), choice, leave_out, warn, passed_over):
        yield Source.local(where.removeprefix("./"))


def rows(manifest: str, column: str | None, working: str = "") -> Iterator[Source]:
    """The files and URLs of a manifest, which is a path or the URL of an object in a store. See `gather`.

    `working` is the working folder, if it is not that of this process.
    """
    remote = bool(_URL.match(manifest)) and not Path(manifest).exists()
    if remote and _scheme(manifest) == "file":
        manifest, remote = _file_path(manifest), False
    if remote and _scheme(manifest) in _HTTP:
        raise UsageError(f"manifest {public(manifest)}: is read from a file or a store (s3://, gs://, az://): fetch it")
    base = manifest.rpartition("/")[0] if remote else str(Path(manifest).parent)
    for row in rows_of(manifest if remote else Path(manifest), column):
        yield _named(row.uri, base, row.columns, working)


def _named(text: str, base: str, columns: Mapping[str, Any], working: str = "") -> Source:
    """A single file or URL; a relative path begins at `base`, or in the working folder if it is only there."""
    name = printable(text)
    if _URL.match(base) and not _URL.match(text):
        return Source(name, f"{base}/{text}", remote=True, columns=columns)
    if _URL.match(text):
        if _scheme(text) != "file":
            return Source(public(text), text, remote=True, columns=columns)
        return Source(name, _file_path(text), columns=columns)
    there, here = Path(base) / text, os.path.join(working, text)  # noqa: PTH118  # a text stays as it is
    return Source(name, here if not _exists(there) and _exists(Path(here)) else str(there), columns=columns)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, say
        return False


def _file_path(url: str) -> str:
    return os.fsdecode(unquote_to_bytes(_FILE_HOST.sub("", url)))


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()
