"""The sources of a run in a stream, in blocks: nothing holds all of their names."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from client.errors import BabelviewError, UsageError
from client.sources import stores
from client.sources.gather import found_at, needs_driver, rows
from client.sources.live_photos import with_live_photos
from client.sources.manifest import is_manifest
from client.sources.source import Source, printable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from client.sources.folders import Choice

SMALLEST_BLOCK, LARGEST_BLOCK = 8, 256
"""Sources that an actor gets together. Each block has a ledger, queues and decoders of its own, which cost as much as
some small pictures."""
_SHARES = 8
"""A block is this part of what each actor has had so far: few files are spread over all actors, and no actor has much
more to do in the end than the others."""
_LOOKED_AT = 1000
"""Sources among which live photos are looked for, which lie side by side."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user named."""

    paths: list[str]
    manifests: list[str]
    column: str | None
    choice: Choice
    working: str
    """The folder at which relative paths begin: other processes of the cluster have others."""


def stream(wanted: Wanted) -> Generator[Source, None, None]:
    """The sources in the order in which they are given, numbered. A file below two of the paths counts once.

    Raises:
        UsageError: something given does not exist, or cannot be listed or read.
    """
    found = _with_live_photos(_found(wanted))
    checked = set[str]()
    for position, source in enumerate(found):
        scheme = source.where.partition("://")[0]
        if needs_driver(source) and scheme not in checked:
            checked.add(scheme)
            stores.check([source.where])
        yield replace(source, position=position)


def _found(wanted: Wanted) -> Iterator[Source]:
    folders: list[str] = []
    for text in wanted.paths:
        path = _absolute(wanted, text)
        if is_manifest(path):
            yield from rows(path, wanted.column, wanted.working)
            continue
        for source in found_at(path, wanted.choice, None, lambda _: None, Counter()):
            if not any(source.where == folder or source.where.startswith(f"{folder}/") for folder in folders):
                yield source if source.remote or path == text else replace(source, name=_name(text, path, source))
        folders.append(path.rstrip("/"))
    for manifest in wanted.manifests:
        yield from rows(_absolute(wanted, manifest), wanted.column, wanted.working)


def _absolute(wanted: Wanted, text: str) -> str:
    """A path wherever it is looked at; URLs as they are."""
    path = Path(wanted.working, text)
    return text if "://" in text and not path.exists() else str(path)


def _name(text: str, path: str, source: Source) -> str:
    """What a file below a path is called on one machine: as it was given."""
    return printable(f"{Path(text)}{source.where.removeprefix(path)}".removeprefix("./"))


def check(wanted: Wanted) -> None:
    """Make sure that the first source is there, before anything is started.

    Raises:
        UsageError: there is none, or what is given cannot be read again, by the run.
    """
    for text in wanted.paths:
        if not os.path.exists(path := _absolute(wanted, text)) and path != text:  # noqa: PTH110
            raise UsageError(f"no such file or folder: {text}")
    for manifest in wanted.manifests:
        listed = Path(_absolute(wanted, manifest))
        if listed.exists() and not (listed.is_file() or listed.is_dir()):
            raise UsageError(f"--manifest {manifest}: a pipe can be read only once: write it to a file, for --ray")
    with closing(stream(wanted)) as found:
        if next(found, None) is None:
            raise UsageError(f"no pictures or videos in {', '.join((*wanted.paths, *wanted.manifests))}")


def _with_live_photos(sources: Iterable[Source]) -> Iterator[Source]:
    waiting: list[Source] = []
    for source in sources:
        if len(waiting) >= _LOOKED_AT and _stem(source) != _stem(waiting[-1]):
            yield from with_live_photos(waiting)
            waiting = []
        waiting.append(source)
    yield from with_live_photos(waiting)


def _stem(source: Source) -> str:
    folder, _, name = source.where.rpartition("/")
    return f"{folder}/{name.partition('.')[0]}"


def blocks(wanted: Wanted, actors: int) -> Iterator[dict[str, Any]]:
    """The sources as rows of Ray Data, one for each block; what goes wrong is a row, too, and the last one."""
    found = stream(wanted)
    try:
        position = 0
        while block := list(itertools.islice(found, _size(position, actors))):
            position += len(block)
            yield {"position": block[0].position, "sources": _to_json(block), "error": ""}
    except BabelviewError as error:
        yield {"position": -1, "sources": b"[]", "error": str(error)}


def _size(position: int, actors: int) -> int:
    """How many sources the block has that begins at a position."""
    return min(max(SMALLEST_BLOCK, position // (_SHARES * actors)), LARGEST_BLOCK)


def _to_json(block: list[Source]) -> bytes:
    # A path may hold bytes that are not UTF-8, which JSON cannot.
    return orjson.dumps([asdict(source) | {"where": list(os.fsencode(source.where))} for source in block])


def read_block(block: bytes) -> list[Source]:
    """The sources of a block."""
    return [Source(**{**fields, "where": os.fsdecode(bytes(fields["where"]))}) for fields in orjson.loads(block)]
