"""What is watched: a camera, a stream, a playlist, a file that grows, or a file at the pace of its own clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from client.errors import UsageError
from client.sources.source import printable, public

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "rtp", "srt", "tcp", "rtmp", "rtmps")
"""Of URLs that are watched; which of them FFmpeg knows depends on how it was built."""
_DEVICES = "/dev/"
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


def host_of(url: str) -> str:
    """Scheme, host and port of a URL, whose path may be a secret."""
    parts = urlsplit(url)
    return printable(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")


def source_of(given: str, *, realtime: bool = False, options: Mapping[str, str] | None = None) -> LiveSource:
    """The source that a user names; `options` are FFmpeg's, and win over ours.

    `realtime`: a file is shown at the pace of its own clock, not as one that still grows.

    Raises:
        UsageError: there is no such thing, or `realtime` is not for it.
    """
    own = dict(options or {})
    scheme = urlsplit(given).scheme.lower() if "://" in given else ""
    if scheme and scheme != "file":
        return _stream(given, scheme, own, realtime=realtime)
    path = Path(given.removeprefix("file://"))
    name = printable(str(path))
    if str(path).startswith(_DEVICES):
        if realtime:
            raise UsageError(f"{name}: --realtime is for files; a camera has the pace that it has")
        if not path.exists():
            raise UsageError(f"{name}: there is no such device")
        return LiveSource(str(path), name, Pace.LIVE, ends=False, format="v4l2", options=own)
    if not path.is_file():
        raise UsageError(f"{name}: there is no such file, and it is no URL of {', '.join(SCHEMES)}")
    url = f"file:{path.absolute()}"
    if path.suffix.lower() in _PLAYLISTS:
        # Segments need not be called as FFmpeg thinks they are.
        ours = {"protocol_whitelist": _OF_PLAYLISTS, "allowed_extensions": "ALL"}
        return LiveSource(url, name, Pace.CLOCK, ends=True, format="hls", options={**ours, **own})
    if path.suffix.lower() == ".sdp":
        ours = {**_QUICK, "protocol_whitelist": _OF_SESSIONS}
        return LiveSource(url, name, Pace.LIVE, ends=False, format="sdp", options={**ours, **own})
    pace = Pace.CLOCK if realtime else Pace.GROWING
    return LiveSource(url if realtime else str(path.absolute()), name, pace, ends=True, options=own)


def _stream(given: str, scheme: str, own: dict[str, str], *, realtime: bool) -> LiveSource:
    if scheme not in SCHEMES:
        raise UsageError(f"{named(given)}: no source has the scheme {scheme}; there are {', '.join(SCHEMES)}")
    ours = dict(_QUICK)
    if scheme in ("rtsp", "rtsps"):
        ours["rtsp_transport"] = "tcp"  # over UDP whole frames are lost, and spoil those after them
    playlist = urlsplit(given).path.lower().endswith(_PLAYLISTS)
    if realtime and scheme not in ("http", "https"):
        raise UsageError(f"{named(given)}: --realtime is for files; a stream has the pace that it has")
    pace = Pace.CLOCK if playlist or realtime else Pace.LIVE
    return LiveSource(given, named(given), pace, ends=playlist or realtime, options={**ours, **own})
