"""Which files of the given paths are asked about."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from client.errors import UsageError
from client.media.kinds import HEAD_BYTES, by_suffix, sniff
from client.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def discover(paths: Iterable[Path], leave_out: Path | None = None) -> list[Source]:
    """Find pictures and videos: files as given, folders recursively, each file once, sorted within a folder.

    In folders, hidden files and folders are passed over, and so is `leave_out` (the output folder). A file
    without a suffix is recognised by its first bytes. A file given by name is always taken.

    Raises:
        UsageError: a path does not exist.
    """
    paths = list(paths)
    for path in paths:
        if not path.exists():
            raise UsageError(f"no such file or folder: {path}")
    skipped = leave_out.resolve() if leave_out else None
    found: dict[Path, None] = {}
    for path in paths:
        for file in _walk(path, skipped) if path.is_dir() else [path]:
            found.setdefault(file)
    return [replace(Source.local(path), position=position) for position, path in enumerate(found)]


def _walk(folder: Path, skipped: Path | None) -> Iterator[Path]:
    # Not Path.rglob: it cannot be told to stay out of a folder.
    for root, folders, files in os.walk(folder):
        here = Path(root)
        folders[:] = sorted(name for name in folders if name[0] != "." and (here / name).resolve() != skipped)
        for name in sorted(files):
            if name[0] != "." and _is_media(here / name):
                yield here / name


def _is_media(path: Path) -> bool:
    if by_suffix(path.suffix):
        return True
    if path.suffix and not path.suffix[1:].isdigit():
        return False  # it says that it is something else
    try:
        with path.open("rb") as file:
            return sniff(file.read(HEAD_BYTES)) is not None
    except OSError:
        return False
