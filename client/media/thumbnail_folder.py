"""Thumbnails beside the ledger, a file for each content: `.thumbnails/ab/abcd....jpg`, by the SHA-256 of its bytes."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

FOLDER = ".thumbnails"


class Thumbnails:
    """Those of an output folder. May be used by several threads and processes."""

    def __init__(self, output: Path) -> None:
        """Nothing is made before the first one is kept."""
        self._folder = output / FOLDER

    def path(self, sha256: str) -> Path:
        """Where the thumbnail of a content is, if there is one."""
        return self._folder / sha256[:2] / f"{sha256}.jpg"

    def keep(self, sha256: str, jpeg: bytes) -> None:
        """Write the thumbnail of a content; one that cannot be written is only missing."""
        path = self.path(sha256)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            try:
                partial.write_bytes(jpeg)
            except FileNotFoundError:  # the first one of its folder
                path.parent.mkdir(parents=True, exist_ok=True)
                partial.write_bytes(jpeg)
            partial.replace(path)
        except OSError as error:
            logger.warning("no thumbnail of %s: %s", sha256, error)
