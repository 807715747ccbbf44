"""From a source to its content: what is there, and a file of this machine that holds it."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from client.errors import MediaError
from client.media.kinds import Animated, may_be_animated
from client.media.load import counted_as, identify
from client.sources.download import Downloads
from client.sources.remote import Remote
from client.sources.source import Found, KnownSource, LocalFile, fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from client.sources.source import Source

T = TypeVar("T")

FETCHED_AT_ONCE = 8
LARGE_BYTES = 256 << 20
"""A file beyond this is read beside the others, one at a time, with what they leave of the CPU: a second or more."""
_READ_AT_ONCE_BYTES = 4 << 20
"""After so many the files that were read are given on."""
_NICE = 10
FOLDER = ".downloads"


class Fetcher:
    """Looks at sources and gets them, in threads of its own."""

    def __init__(self, folder: Path, most_bytes: int, animated: Animated = Animated.VIDEO) -> None:
        """Downloads, of `most_bytes` each at most, lie in `folder` while they are needed.

        `animated` says of which kind pictures are that move.
        """
        self._animated = animated
        self._readers = ThreadPoolExecutor(os.cpu_count() or 1, "read")
        self._patient_reader = ThreadPoolExecutor(1, "read-large", initializer=_be_nice)
        self._fetchers = ThreadPoolExecutor(FETCHED_AT_ONCE, "fetch")
        self._downloads = Downloads(folder, most_bytes, animated)
        self._remote = Remote(self._downloads, self._fetchers)

    async def find(self, source: Source, known: KnownSource | None) -> Found:
        """Tell what is at a path or URL; `known` was there before, and is believed if its fingerprint is still right.

        Raises:
            MediaError: it cannot be read.
        """
        if source.remote:
            return await self._remote.fetch(source.where, known)
        (found,) = await self.find_small([(source, known)])
        if isinstance(found, MediaError):
            raise found
        return found if found is not None else await _in(self._patient_reader, _read, source, self._animated)

    async def find_small(self, looks: Sequence[tuple[Source, KnownSource | None]]) -> list[Found | MediaError | None]:
        """`find` of local files, of so many first ones of `looks` as are read in little time, and of one at least.

        None for one that takes long: it has more than `LARGE_BYTES`, and is not as known. A MediaError for one that
        cannot be read.
        """
        return await _in(self._readers, _find_small, looks, self._animated)

    async def get(self, source: Source, known: KnownSource) -> LocalFile:
        """A file with the content that was found at a source.

        Raises:
            MediaError: it cannot be had.
        """
        if not source.remote:
            return LocalFile(source.path, temporary=False, fingerprint=known.fingerprint)
        found = await self.find(source, None)
        assert found.file  # nothing was known
        if found.known.identity != known.identity:
            found.discard()
            raise MediaError("it has just changed: run again")
        return found.file

    async def close(self) -> None:
        """End the threads and remove what was fetched."""
        await self._remote.close()
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._patient_reader.shutdown(wait=False, cancel_futures=True)
        self._fetchers.shutdown(wait=False, cancel_futures=True)
        self._downloads.close()


def _be_nice() -> None:
    """Leave the CPU to other threads, where the system has priorities of threads (Linux)."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


def _find_small(
    looks: Sequence[tuple[Source, KnownSource | None]], animated: Animated
) -> list[Found | MediaError | None]:
    outcomes: list[Found | MediaError | None] = []
    size = 0
    for source, known in looks:
        try:
            found = _look(source, known, animated)
        except MediaError as error:
            outcomes.append(error)
            continue
        outcomes.append(found)
        if found and found.known != known:
            size += found.known.size
        if size >= _READ_AT_ONCE_BYTES:
            break
    return outcomes


def _look(source: Source, known: KnownSource | None, animated: Animated) -> Found | None:
    stat = source.look()
    if known and known.fingerprint == fingerprint_of(stat):
        if may_be_animated(source.path.suffix):  # it may have counted as another kind
            known = known._replace(identity=counted_as(known.identity, source.path, animated))
        return Found(known)
    if stat.st_size > LARGE_BYTES:
        return None
    return _read(source, animated)


def _read(source: Source, animated: Animated) -> Found:
    stat = source.look()
    return Found(KnownSource(fingerprint_of(stat), stat.st_size, identify(source.path, animated)))


async def _in(threads: Executor, work: Callable[..., T], *arguments: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, work, *arguments)
