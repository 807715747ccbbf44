"""A JPEG that is what the model gets already is sent as it is: nothing is lost, and it takes a fraction of the work."""

from __future__ import annotations

import io
import re
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import simplejpeg
from PIL import Image

from client.media.jpeg import sound_pixels
from client.media.picture_parts import orientation_of
from client.media.pixels import DECODER_ERRORS
from client.media.thumbnails import EDGE
from client.media.tiles import model_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from client.media.picture_parts import Parts

_SCAN = 0xDA
_END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""Behind the head of a scan (ITU-T T.81, B.1.1): what is neither coded data nor a restart."""
_COLOURS = ("YCbCr", "Gray")
_MOST_BYTES_A_PIXEL, _FEW_BYTES = 0.5, 16 << 10
"""What is larger is smaller once it is encoded anew."""


class Unchanged(NamedTuple):
    """A JPEG that is sent as it is."""

    jpeg: bytes
    width: int
    height: int
    pixels: NDArray[np.uint8]
    """RGB [height, width, 3], small: for a thumbnail."""


def unchanged_jpeg(parts: Parts) -> Unchanged | None:
    """A JPEG file without its optional data, if it need not be encoded anew; else None.

    That is one of a single scan, upright, in sRGB, no larger than the model sees, sound, and the only picture in its
    file.
    """
    data = parts.essential
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        scan = _scan(data)
    except (ValueError, IndexError):
        return None
    too_large = len(data) > max(_FEW_BYTES, _MOST_BYTES_A_PIXEL * width * height)
    if scan is None or too_large or colours not in _COLOURS or model_size(width, height) != (width, height):
        return None
    end = _MARKER.search(data, scan)
    if end is None or end.group() != _END or end.end() != len(data):
        return None
    if (
        not _opens(data)
        or orientation_of(parts.exif) != 1
        or (pixels := sound_pixels(data, width, height, EDGE * 3 // 4)) is None
    ):
        return None
    return Unchanged(data, width, height, pixels)


def _opens(data: bytes) -> bool:
    """Whether Pillow, which servers read it with, takes its head, too."""
    with suppress(*DECODER_ERRORS), Image.open(io.BytesIO(data), formats=("JPEG",)):
        return True
    return False


def _scan(data: bytes) -> int | None:
    """Where the first scan of a JPEG begins; None if the file has a colour profile.

    Raises:
        IndexError: there is none.
    """
    place = 2
    while data[place + 1] != _SCAN:
        if data[place + 4 : place + 8] == b"ICC_":
            return None
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
