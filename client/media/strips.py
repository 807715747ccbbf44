"""What a thumbnail holds, as it says itself in a comment (COM) at its beginning: nothing has to be decoded for that."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_START, _COMMENT = b"\xff\xd8", b"\xff\xfe"
_HEAD = struct.Struct(">2s2sH")
_MOST_BYTES = 2048


class Strip(NamedTuple):
    """Tiles side by side: the size of one in pixels, and when each is displayed (seconds); a picture has one, at 0."""

    width: int
    height: int
    times: list[float]


def with_comment(jpeg: bytes, strip: Strip) -> bytes:
    """A JPEG, with what it holds written into it."""
    comment = json.dumps(strip._asdict()).encode()
    return _HEAD.pack(_START, _COMMENT, len(comment) + 2) + comment + jpeg.removeprefix(_START)


def read_strip(path: Path) -> Strip | None:
    """What the file of a thumbnail holds; None where there is none, or it does not say."""
    try:
        found = _comment(path)
        strip = Strip(int(found["width"]), int(found["height"]), [float(time) for time in found["times"]])
    except (OSError, struct.error, ValueError, TypeError, KeyError):
        return None
    return strip if strip.times and strip.width > 0 and strip.height > 0 else None


def _comment(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        start, mark, length = _HEAD.unpack(file.read(_HEAD.size))
        if (start, mark) != (_START, _COMMENT) or length > _MOST_BYTES:
            raise ValueError("no comment")
        found: dict[str, Any] = json.loads(file.read(length - 2))
    return found
