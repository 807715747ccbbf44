"""From a source to its content: what is there, and a file of this machine that holds it."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from client.errors import MediaError
from client.media.load import identify
from client.sources.download import Downloads
from client.sources.remote import Remote
from client.sources.source import Found, KnownSource, LocalFile, fingerprint_of

if TYPE_CHECKING:
    from pathlib import Path

    from client.sources.source import Source

FETCHED_AT_ONCE = 8
FOLDER = ".downloads"


class Fetcher:
    """Looks at sources and gets them, in threads of its own."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """Downloads, of `most_bytes` each at most, lie in `folder` while they are needed."""
        self._readers = ThreadPoolExecutor(os.cpu_count() or 1, "read")
        self._fetchers = ThreadPoolExecutor(FETCHED_AT_ONCE, "fetch")
        self._downloads = Downloads(folder, most_bytes)
        self._remote = Remote(self._downloads, self._fetchers)

    async def find(self, source: Source, known: KnownSource | None) -> Found:
        """Tell what is at a path or URL; `known` was there before, and is believed if its fingerprint is still right.

        Raises:
            MediaError: it cannot be read.
        """
        if not source.remote:
            return await asyncio.get_running_loop().run_in_executor(self._readers, _find_local, source, known)
        return await self._remote.fetch(source.where, known)

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
        self._fetchers.shutdown(wait=False, cancel_futures=True)
        self._downloads.close()


def _find_local(source: Source, known: KnownSource | None) -> Found:
    stat = source.look()
    fingerprint = fingerprint_of(stat)
    if known and known.fingerprint == fingerprint:
        return Found(known)
    return Found(KnownSource(fingerprint, stat.st_size, identify(source.path)))
