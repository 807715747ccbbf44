"""From a source to its content: what is there, and a file of this machine that holds it."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from client.errors import MediaError
from client.media.load import identify
from client.sources.source import Found, Known, LocalFile

if TYPE_CHECKING:
    from client.sources.source import Source


class Fetcher:
    """Looks at sources and gets them, in threads of its own."""

    def __init__(self) -> None:
        """Threads are started as they are needed."""
        self._readers = ThreadPoolExecutor(os.cpu_count() or 1, "read")

    async def find(self, source: Source, known: Known | None) -> Found:
        """Tell what is at a place; `known` is what was there before, and is believed if its stamp is still right.

        Raises:
            MediaError: it cannot be read.
        """
        return await asyncio.get_running_loop().run_in_executor(self._readers, _find_local, source, known)

    async def get(self, source: Source) -> LocalFile:
        """A file with the content of a source.

        Raises:
            MediaError: it cannot be had.
        """
        return LocalFile(source.path, temporary=False)

    def close(self) -> None:
        """End the threads."""
        self._readers.shutdown(wait=False, cancel_futures=True)


def _find_local(source: Source, known: Known | None) -> Found:
    try:
        stat = source.path.stat()
    except OSError as error:
        raise MediaError(f"cannot be read: {error.strerror or error}") from error
    stamp = f"{stat.st_size} {stat.st_mtime_ns}"
    if known and known.stamp == stamp:
        return Found(known)
    return Found(Known(stamp, stat.st_size, identify(source.path)))
