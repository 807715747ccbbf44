"""What a thumbnail is: a JPEG of tiles side by side, and when each of them is displayed."""

from __future__ import annotations

from typing import NamedTuple


class Strip(NamedTuple):
    """Tiles side by side: the size of one in pixels, and when each is displayed (seconds); a picture has one, at 0."""

    width: int
    height: int
    times: list[float]


class Thumbnail(NamedTuple):
    """A JPEG that people look at, and what it holds."""

    jpeg: bytes
    strip: Strip
