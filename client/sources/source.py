"""A picture or video as the user named it, before anything of it was read."""

from __future__ import annotations

import os
import re
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_to_bytes

from client.errors import MediaError, UnreadError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from client.media.load import Identity

_SUFFIX = re.compile(r"\.\w{1,8}", re.ASCII)
_LEFT_OUT = re.compile(r"//|(?:^|/)\.?$|(?:^|/)\./")
"""In a path: empty parts, and those that are only a dot."""
_PASSWORD = re.compile(r"(?<=://)([^/?#:@]*):[^/?#]*@")


def printable(path: str) -> str:
    r"""A path as text: bytes that are not UTF-8 stand as `\xe9`."""
    return os.fsencode(path).decode(errors="backslashreplace")


def public(url: str) -> str:
    """A URL as it may be shown and stored: without a password before the host."""
    return printable(_PASSWORD.sub(r"\1@", url, count=1))


def fingerprint_of(found: os.stat_result) -> str:
    """What differs when a local file's content does."""
    return f"{found.st_size} {found.st_mtime_ns}"


def is_gone(uri: str) -> bool:
    """Whether a `Source.uri` names a local file that is not there; whether a URL is, only fetching it tells."""
    path = local_path(uri)
    return path is not None and not os.path.lexists(path)


def local_path(uri: str) -> Path | None:
    """The path of the local file that a `Source.uri` names; None of a URL."""
    if uri.startswith("file://"):
        return Path(os.fsdecode(unquote_to_bytes(uri.removeprefix("file://"))))
    return Path(uri) if uri.startswith("/") else None


def url_suffix(url: str) -> str:
    """The suffix of the file that a URL names, if it names one: ".jpg"."""
    suffix = PurePosixPath(re.split(r"[?#]", url, maxsplit=1)[0]).suffix
    return suffix if _SUFFIX.fullmatch(suffix) else ""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One input of a run. Two may have the same uri: rows of a manifest, say."""

    name: str
    """As the user gave it: the record's `file`. Bytes that are not UTF-8 stand as `\\xe9`."""
    where: str
    """The path, as the system knows it, or the URL."""
    remote: bool = False
    columns: Mapping[str, Any] = field(default_factory=dict)
    """What else a manifest says about it."""
    position: int = 0
    """Its number in the run's order, from 0."""
    live_photo_of: str | None = None
    """The name of a picture beside a video that is named like it."""

    @classmethod
    def local(cls, path: str | Path, columns: Mapping[str, Any] | None = None) -> Source:
        """A file of this machine."""
        where = os.fspath(path)
        return cls(printable(where), where, columns=columns or {})

    @property
    def path(self) -> Path:
        """Where a local file is."""
        return Path(self.where)

    def look(self) -> os.stat_result:
        """What the system says of a local file.

        Raises:
            MediaError: there is none that can be read to an end.
        """
        try:
            found = self.path.stat()
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
            raise MediaError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
        if stat.S_ISDIR(found.st_mode):
            raise MediaError("cannot be read: it is a folder")
        if not stat.S_ISREG(found.st_mode):
            raise MediaError("cannot be read: it is a pipe or a device, not a file")
        return found

    @property
    def uri(self) -> str:
        """What the ledger knows it by: the URL or the absolute path, whatever the working folder is."""
        if self.remote:
            return public(self.where)
        path = _absolute(self.where)
        try:
            path.encode()
        except UnicodeEncodeError:
            return Path(path).as_uri()  # SQLite keeps no bytes that are not UTF-8
        return path


def _absolute(path: str) -> str:
    """As `pathlib` writes it, which is slow at it: most paths have nothing that it would leave out."""
    if not _LEFT_OUT.search(path):
        return path if path.startswith("/") else os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH118  # as above
    return str(Path(path).absolute())


class KnownSource(NamedTuple):
    """What was at a path or URL when it was last looked at."""

    fingerprint: str | None
    """Differs when the content does; None where the server says nothing to tell by."""
    size: int
    """Bytes."""
    identity: Identity


class LocalFile(NamedTuple):
    """Where the bytes of a source lie while they are needed."""

    path: Path
    temporary: bool
    fingerprint: str | None = None
    """Of the content that was hashed, where another program may write to it."""

    def check(self) -> None:
        """Make sure that what was decoded is what was hashed.

        Raises:
            UnreadError: it may be something else, or nothing that can be read.
        """
        if self.fingerprint is None:
            return
        try:
            with self.path.open("rb") as file:
                fingerprint = fingerprint_of(os.fstat(file.fileno()))
        except OSError as error:
            raise UnreadError(f"cannot be read: {error.strerror or error}") from error
        if fingerprint != self.fingerprint:
            raise UnreadError("it has just changed: run again")

    def second(self) -> LocalFile:
        """The same file for another one to read: each discards its own.

        Raises:
            UnreadError: it is gone, or there is no room for a copy.
        """
        if not self.temporary:
            return self
        path = self.path.with_name(f"second-{self.path.name}")
        try:
            try:
                path.hardlink_to(self.path)
            except (OSError, NotImplementedError):  # not every file system has links
                shutil.copyfile(self.path, path)
        except OSError as error:
            raise UnreadError(f"cannot be read: {error.strerror or error}") from error
        return self._replace(path=path)

    def discard(self) -> None:
        """Remove the file if it was fetched: its bytes are no longer needed."""
        if self.temporary:
            self.path.unlink(missing_ok=True)


class Found(NamedTuple):
    """What is at a path or URL now, and the file if it had to be fetched to know it."""

    known: KnownSource
    file: LocalFile | None = None

    def discard(self) -> None:
        """Remove the file if one was fetched: it is not needed."""
        if self.file:
            self.file.discard()
