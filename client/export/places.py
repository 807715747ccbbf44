"""Where the files of a format lie that are written for each picture or video: as it does below its folder."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath

LONGEST_NAME_BYTES = 255
_MARK_BYTES = 20
"""Room in a name for a digest, and for what a file is called while it is written."""
UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
"""What no name has that other systems shall be able to read."""


def place(file: str, suffix: str) -> PurePosixPath:
    """Where what is written of a file lies, and never outside; a name that had to be changed gets a digest."""
    folders, stem = _safe_parts(file, suffix)
    if [*folders, stem] != file.split("/"):  # another file may come to the same name
        stem += "-" + digest(file)
    return PurePosixPath(*folders, stem + suffix)


class Places:
    """Places of files of which none must get the other's, with names as like to the files' own as can be."""

    def __init__(self) -> None:
        """Begin with all places free."""
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def take(self, file: str, stem: str, suffix: str) -> PurePosixPath:
        """A place for what is written of `file`, whose name would be `stem` with a suffix."""
        folders, name = _safe_parts(stem, suffix)
        path = PurePosixPath(*folders, name + suffix)
        if not self._is_free(path):
            path = PurePosixPath(f"{name}-{digest(file)}{suffix}")
        self._files.add(_key(path))
        self._folders.update(map(_key, path.parents))
        return path

    def _is_free(self, path: PurePosixPath) -> bool:
        taken = _key(path) in self._files or _key(path) in self._folders
        return not taken and self._files.isdisjoint(map(_key, path.parents))


def _key(path: PurePosixPath) -> str:
    return str(path).lower()  # some disks do not tell cases apart


def _safe_parts(file: str, suffix: str) -> tuple[list[str], str]:
    parts = [part for part in file.replace("://", "/").split("/") if part not in ("", ".")]
    safe = ["_" if part == ".." else UNSAFE.sub("_", part) for part in parts] or ["_"]
    folders = [shortened(part, LONGEST_NAME_BYTES) for part in safe[:-1]]
    return folders, shortened(safe[-1], LONGEST_NAME_BYTES - len(suffix.encode()) - _MARK_BYTES)


def stem_and_suffix(file: str) -> tuple[str, str]:
    """A path without its suffix, which may be none, and that suffix, safe."""
    suffix = PurePosixPath(file).suffix
    return file.removesuffix(suffix), UNSAFE.sub("_", suffix)


def shortened(name: str, most_bytes: int) -> str:
    """The beginning of a name."""
    return name.encode(errors="replace")[:most_bytes].decode(errors="ignore")


def digest(name: str) -> str:
    """Eight digits that tell a name from others."""
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
