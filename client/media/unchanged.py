"""A JPEG that is what the model gets already is sent as it is: nothing is lost, and it takes a fraction of the work."""

from __future__ import annotations

import io
import re
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import simplejpeg
from PIL import Image

from client.media.jpeg import is_flawless, sound_pixels
from client.media.picture_parts import orientation_of, parts_of
from client.media.pixels import DECODER_ERRORS
from client.media.plain_jpeg import JpegHead, plain_jpeg
from client.media.thumbnails import EDGE, OWN_BYTES
from client.media.tiles import model_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
    pixels: NDArray[np.uint8] | None
    """RGB [height, width, 3], small: for a thumbnail; None where the JPEG itself is small enough to be one."""


def unchanged_jpeg(data: bytes) -> Unchanged | None:
    """A JPEG file without its optional data, if it need not be encoded anew; else None.

    That is one of a single scan, upright, in sRGB, no larger than the model sees, sound, and the only picture in its
    file.
    """
    plain = plain_jpeg(data)
    found = plain or _unusual(data)
    if found is None:
        return None
    jpeg, width, height, exif, scan = found
    too_large = len(jpeg) > max(_FEW_BYTES, _MOST_BYTES_A_PIXEL * width * height)
    if too_large or model_size(width, height) != (width, height):
        return None
    end = _MARKER.search(jpeg, scan)
    if end is None or end.group() != _END or end.end() != len(jpeg):
        return None
    if orientation_of(exif) != 1 or not (plain or _opens(jpeg)):
        return None
    if plain and len(jpeg) <= OWN_BYTES:
        return Unchanged(jpeg, width, height, None) if is_flawless(jpeg) else None
    pixels = sound_pixels(jpeg, width, height, EDGE * 3 // 4)
    return None if pixels is None else Unchanged(jpeg, width, height, pixels)


def _unusual(data: bytes) -> JpegHead | None:
    """The same as `plain_jpeg`, of other JPEGs; None if one has a colour profile, or colours of another kind."""
    parts = parts_of(data)
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(parts.essential)
        scan = _scan(parts.essential)
    except (ValueError, IndexError):
        return None
    if scan is None or colours not in _COLOURS:
        return None
    return JpegHead(parts.essential, width, height, parts.exif, scan)


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
