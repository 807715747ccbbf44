"""Thumbnails of files that older runs asked about: decoded now, where the files are still what they were."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from client.cores import cores
from client.errors import MediaError
from client.ledger.results import Results
from client.media.kinds import Kind
from client.media.load import identify
from client.media.loaders import Loaders
from client.media.sampling import Sampling
from client.media.thumbnail_folder import Thumbnails

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client.ledger.results import FileResult


def make_thumbnails(output: Path) -> tuple[int, int]:
    """Make the thumbnails that an output folder lacks: how many were made, and how many could not be.

    Raises:
        LedgerError: the ledger cannot be read.
        BabelviewError: decoders cannot be started.
    """
    thumbnails, sampling = Thumbnails(output), Sampling()
    with Results(output) as results:
        missing = {path: sha256 for file in results.files() for sha256, path in _missing(file, thumbnails)}
    loaders = Loaders(cores(), thumbnails=thumbnails)

    def make(path: Path) -> bool:
        try:
            identity = identify(path)
            if identity.sha256 != missing[path]:
                return False
            is_sound = identity.kind is Kind.AUDIO
            for _ in loaders.sound(path, identity, None) if is_sound else loaders.load(path, identity, sampling):
                pass
        except MediaError:
            return False
        return thumbnails.has(missing[path])

    with closing(loaders), ThreadPoolExecutor(loaders.count) as threads:
        made = sum(threads.map(make, missing))
    return made, len(missing) - made


def _missing(file: FileResult, thumbnails: Thumbnails) -> Iterator[tuple[str, Path]]:
    """The content and path of a file that has no thumbnail, if it is one of this machine."""
    if not file.sha256 or thumbnails.has(file.sha256):
        return
    if file.uri.startswith("file://"):
        yield file.sha256, Path(os.fsdecode(unquote_to_bytes(file.uri.removeprefix("file://"))))
    elif file.uri.startswith("/"):
        yield file.sha256, Path(file.uri)
