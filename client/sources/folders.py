"""The pictures and videos below a folder, and its files of sound."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from pathspec import GitIgnoreSpec

from client.errors import UsageError
from client.media.kinds import HEAD_BYTES, Kind, by_suffix, is_told_by_content, kind_by_content
from client.sources.by_products import by_product, is_named, name_patterns
from client.sources.source import printable

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Sequence

    from client.endpoints.retry import Notify

_Inode = tuple[int, int] | None


class Choice:
    """What of a folder is wanted: `--include` and `--exclude`, as in a .gitignore file; files of sound if asked for."""

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = (), *, sound: bool = False) -> None:
        """Patterns are matched against the path below the given folder; without `include`, all is wanted.

        `sound`: files of sound alone are wanted too.

        Raises:
            UsageError: a pattern is none.
        """
        self._include = _patterns("--include", include) if include else None
        self._exclude = _patterns("--exclude", exclude)
        self._named = name_patterns(include)
        self._sound = sound

    def takes(self, kind: Kind | None) -> bool:
        """Whether files of a kind are wanted; None is none."""
        return kind is not None and (kind is not Kind.AUDIO or self._sound)

    def wants(self, relative: str) -> bool:
        """Whether a file is wanted."""
        if self._exclude.match_file(relative):
            return False
        return self._include is None or self._include.match_file(relative)

    def passes_over(self, name: str, *, folder: bool) -> str | None:
        """What a hidden file or folder, or a by-product of a system, is counted as; None if it counts as any other.

        One that an `--include` names (`@eaDir/`, `.thumbnails/`, `._*`) does.
        """
        kind = by_product(name, folder=folder)
        return None if kind and is_named(name, self._named) else kind

    def enters(self, relative: str) -> bool:
        """Whether a folder may hold anything that is wanted."""
        return not self._exclude.match_file(f"{relative}/")


def walk(folder: str, choice: Choice, leave_out: Path | None, warn: Notify, passed_over: Counter[str]) -> Iterator[str]:
    """The paths of the pictures and videos in `folder` and below, sorted within each folder, its own files first.

    Hidden files and folders are passed over, and so are by-products of systems and `leave_out` (the output folder).
    Links are followed, but never back into a folder that they lie in. Files count by their suffix; those without one by
    their first bytes. What is not read is told to `warn`; files that `choice` does not take are counted in
    `passed_over`, by suffix, hidden pictures and by-products as what they are.
    """
    skipped = _inode(leave_out) if leave_out else None
    waiting: list[tuple[str, str, frozenset[_Inode]]] = [(folder, "", frozenset({_inode(folder)}))]
    while waiting:
        here, relative, above = waiting.pop()
        try:
            with os.scandir(here) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            warn(f"warning: {printable(here)} is passed over: {error.strerror or error}")
            continue
        below: list[tuple[str, str, frozenset[_Inode]]] = []
        for entry in entries:
            name = relative + entry.name
            is_folder = _is_folder(entry)
            if kind := choice.passes_over(entry.name, folder=is_folder):
                if is_folder or choice.takes(by_suffix(PurePath(entry.name).suffix)):
                    passed_over[kind] += 1
                continue
            if not is_folder:
                if not choice.wants(name):
                    continue
                suffix = PurePath(entry.name).suffix
                if choice.takes(_kind_of(entry)):
                    yield entry.path
                elif choice.takes(by_suffix(suffix)) and not is_told_by_content(suffix):
                    warn(f"warning: {printable(entry.path)} is passed over: it is a pipe or a device")
                else:
                    passed_over[suffix.lower()] += 1
            elif choice.enters(name):
                inode = _inode(entry.path)
                if inode is None or (inode != skipped and inode not in above):
                    below.append((entry.path, f"{name}/", above | {inode}))
        waiting += reversed(below)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links that lead to each other
        return False


def _kind_of(entry: os.DirEntry[str]) -> Kind | None:
    suffix = PurePath(entry.name).suffix
    try:
        # Pipes and devices are none; a link to nothing is taken, so that it is told.
        if not entry.is_file() and not entry.is_symlink():
            return None
        if not is_told_by_content(suffix):
            return by_suffix(suffix)
        with Path(entry.path).open("rb") as file:
            return kind_by_content(file.read(HEAD_BYTES), suffix)
    except OSError:
        return by_suffix(suffix)


def _inode(path: str | Path) -> _Inode:
    try:
        stat = Path(path).stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _patterns(option: str, patterns: Sequence[str]) -> GitIgnoreSpec:
    try:
        # In a file, a line that begins with # is a comment; nobody types one.
        return GitIgnoreSpec.from_lines(f"\\{pattern}" if pattern.startswith("#") else pattern for pattern in patterns)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
