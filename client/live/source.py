"""What is watched: a camera, a stream, a playlist, a file that grows, or a file at the pace of its own clock."""

from __future__ import annotations

import os
import shlex
import stat
import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from client.errors import UsageError
from client.media.kinds import HEAD_BYTES, Kind, describe_other, is_motion_jpeg, sniff
from client.sources.source import printable, public

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "rtp", "srt", "tcp", "rtmp", "rtmps")
"""Of URLs that are watched; which of them FFmpeg knows depends on how it was built."""
_WITH_PORT = ("udp", "rtp", "tcp")
"""Of these: those that have no port of their own."""
_CAMERAS = 81
"""The major number of Video4Linux devices."""
_FINISHED_S = 10.0
"""A file to which nothing was written for so long is no longer one that grows."""
_PLAYLISTS = (".m3u8", ".m3u")
_OF_PLAYLISTS = "file,http,https,tcp,tls,crypto,data"
_OF_SESSIONS = "file,udp,rtp"
"""Protocols that what a playlist, or a description of a session (SDP), names may use."""
_QUICK = {"analyzeduration": "1000000", "probesize": "500000"}
"""Microseconds and bytes that are looked at before the first frame is given: FFmpeg's own are five seconds."""


class Pace(StrEnum):
    """How a source comes."""

    LIVE = "live"
    """By itself, frame by frame."""
    CLOCK = "clock"
    """In large pieces, or all at once: its frames are shown by its own clock."""
    GROWING = "growing"
    """As far as another program has written it."""


@dataclass(frozen=True, slots=True)
class LiveSource:
    """A source, as FFmpeg opens it."""

    url: str
    name: str
    """As it may be shown and stored: without a password or query."""
    pace: Pace
    ends: bool
    """Whether its end is the end: of a file or playlist; a stream that ends is looked for again."""
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    """Of FFmpeg's."""

    @property
    def is_file(self) -> bool:
        """Whether it lies on this machine: what is wrong with it will not pass."""
        return self.ends and "://" not in self.url


def named(url: str) -> str:
    """A URL as it may be shown and stored: without a password, and without its query, which may hold one."""
    return public(url.partition("?")[0])


def split_url(url: str, name: str) -> SplitResult:
    """The parts of a URL that has a host; errors call it by its `name`.

    Raises:
        UsageError: it cannot be one.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:  # of an IPv6 address, or a port
        raise UsageError(f"{name}: is no URL: {str(error)[:100]}") from None
    if not parts.hostname:
        raise UsageError(f"{name}: names no host")
    return parts


def host_of(url: str) -> str:
    """Scheme, host and port of a URL, whose path may be a secret."""
    scheme, _, rest = url.partition("://")
    return printable(f"{scheme}://{rest.partition('/')[0].partition('?')[0].rpartition('@')[2]}")


def source_of(given: str, *, realtime: bool | None = None, options: Mapping[str, str] | None = None) -> LiveSource:
    """The source that a user names; `options` are FFmpeg's, and win over ours.

    `realtime`: whether a file is shown at the pace of its own clock, or as one that still grows. None: whether nobody
    has been writing to it.

    Raises:
        UsageError: there is no such thing, it is no video, or `realtime` is not for it.
    """
    own = dict(options or {})
    scheme = given.partition("://")[0].lower() if "://" in given else ""
    if scheme and scheme != "file":
        return _stream(given, scheme, own, realtime=bool(realtime))
    path = Path(given.removeprefix("file://"))
    name = printable(str(path))
    found = _look(path, name)
    if stat.S_ISCHR(found.st_mode):
        if os.major(found.st_rdev) != _CAMERAS:
            raise UsageError(f"{name}: it is a device, but no camera (/dev/video0)")
        if realtime:
            raise UsageError(f"{name}: --realtime is for files; a camera has the pace that it has")
        return LiveSource(str(path), name, Pace.LIVE, ends=False, format="v4l2", options=own)
    url = f"file:{path.absolute()}"
    if path.suffix.lower() in _PLAYLISTS:
        # Segments need not be called as FFmpeg thinks they are.
        ours = {"protocol_whitelist": _OF_PLAYLISTS, "allowed_extensions": "ALL"}
        return LiveSource(url, name, Pace.CLOCK, ends=True, format="hls", options={**ours, **own})
    if path.suffix.lower() == ".sdp":
        ours = {**_QUICK, "protocol_whitelist": _OF_SESSIONS}
        return LiveSource(url, name, Pace.LIVE, ends=False, format="sdp", options={**ours, **own})
    is_done = time.time() - found.st_mtime > _FINISHED_S if realtime is None else realtime
    _check_content(path, name, may_be_empty=not is_done)
    pace = Pace.CLOCK if is_done else Pace.GROWING
    return LiveSource(url if is_done else str(path.absolute()), name, pace, ends=True, options=own)


def _look(path: Path, name: str) -> os.stat_result:
    """What the system says of a file or a camera.

    Raises:
        UsageError: there is none, or it is something else.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in it
        if isinstance(error, PermissionError):
            raise UsageError(f"{name}: cannot be read: {error.strerror}") from None
        what = "device" if name.startswith("/dev/") else "file"
        raise UsageError(f"{name}: there is no such {what}, and it is no URL of {', '.join(SCHEMES)}") from None
    if stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{name}: it is a folder; babelview batch {name} describes what is in it")
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISCHR(found.st_mode)):
        raise UsageError(f"{name}: it is a pipe or a device, not a file; a program can send by udp:// or tcp://")
    return found


def _check_content(path: Path, name: str, *, may_be_empty: bool) -> None:
    """Look whether a file may be a video.

    Raises:
        UsageError: it is something else, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror or error}") from None
    kind = sniff(head)
    if kind is Kind.IMAGE and not is_motion_jpeg(path.suffix):
        raise UsageError(f'{name}: this is a picture; ask about it: babelview ask {shlex.quote(name)} "What is it?"')
    if kind is Kind.AUDIO:
        raise UsageError(f"{name}: this is sound alone; hear it: babelview ask {shlex.quote(name)} --task transcript")
    if kind is None and (head or not may_be_empty) and (other := describe_other(head)):
        raise UsageError(f"{name}: {other}")


def _stream(given: str, scheme: str, own: dict[str, str], *, realtime: bool) -> LiveSource:
    if scheme not in SCHEMES:
        raise UsageError(f"{named(given)}: no source has the scheme {scheme}; there are {', '.join(SCHEMES)}")
    parts = split_url(given, named(given))
    if scheme in _WITH_PORT and parts.port is None:
        raise UsageError(f"{named(given)}: names no port, such as {scheme}://{parts.netloc}:5000")
    ours = dict(_QUICK)
    if scheme in ("rtsp", "rtsps"):
        ours["rtsp_transport"] = "tcp"  # over UDP whole frames are lost, and spoil those after them
    playlist = parts.path.lower().endswith(_PLAYLISTS)
    if realtime and scheme not in ("http", "https"):
        raise UsageError(f"{named(given)}: --realtime is for files; a stream has the pace that it has")
    pace = Pace.CLOCK if playlist or realtime else Pace.LIVE
    return LiveSource(given, named(given), pace, ends=playlist or realtime, options={**ours, **own})
