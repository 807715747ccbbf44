"""Files that are either complete or not there, and lie in the folder that they are written to.

A folder may come from anyone, with links in it to files of whoever opens it: none is followed.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replacing(path: Path, *, lasting: bool = True) -> Iterator[IO[bytes]]:
    """A file to write beside `path`; at the end it is made sure to be on the disk and put in its place.

    One that is not `lasting`, as it can be made again at any time, is not waited for: a power cut may cost it.

    Raises:
        OSError: it cannot be written; what was at `path` is untouched, as it is after any error within.
    """
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def own_folder(path: Path) -> None:
    """Make a folder unless it is there; a link to one gives way.

    Raises:
        OSError: it cannot be made.
    """
    if path.is_symlink():
        path.unlink()
    path.mkdir(parents=True, exist_ok=True)
