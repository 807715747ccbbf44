"""Sizes of pictures by their headers, and PNGs without what engines refuse them for: nothing is decoded."""

from __future__ import annotations

import io
import struct
import zlib
from typing import NamedTuple

import pybase64
import simplejpeg
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
"""What OpenAI takes. Pillow knows many more, some of which start other programs."""
JPEG_START = "/9j/"
"""The first bytes of every JPEG, in base64."""
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_NEEDED = frozenset({b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT"})
"""What of the optional chunks of a PNG makes its picture."""
_PNG_NOTES, _PNG_SMALL, _MOST_UNPACKED = (b"zTXt", b"iTXt"), 1000, 1 << 20
"""Pillow, in the engine, refuses a picture of which a note or the profile unpacks to more: a thousand bytes may."""
HEAD = 8192
"""Characters of base64 in which a JPEG's header ends, if it has no large metadata. A multiple of four."""


def jpeg_size(text: str, begin: int, end: int) -> tuple[int, int]:
    """Width and height of the base64 JPEG in `text[begin:end]`.

    libjpeg reads up to the first scan, so nothing that comes later can change the size.

    Raises:
        ValueError: it is none.
    """
    try:
        return _jpeg_size(text[begin : min(begin + HEAD, end)])
    except ValueError:
        if end - begin <= HEAD:
            raise
        return _jpeg_size(text[begin:end])


class Checked(NamedTuple):
    """A picture of a request, looked at."""

    width: int
    height: int
    instead: bytes | None
    """The same picture without optional data for which engines refuse it; None where it has none."""


def checked_picture(encoded: str) -> Checked:
    """Look at a base64 picture in one of `FORMATS`; for a thread, since it may read all of it.

    Raises:
        ValueError: it is none.
    """
    data = pybase64.b64decode(encoded, validate=True)
    instead = _without_notes(data) if data.startswith(_PNG_START) else None
    try:
        with Image.open(io.BytesIO(instead or data), formats=FORMATS) as picture:
            return Checked(*picture.size, instead)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error


def _without_notes(data: bytes) -> bytes | None:
    """A PNG without optional chunks, if one of them is broken, or might unpack to more than engines take; else None.

    A profile of that size goes too: the picture is then taken for sRGB.
    """
    kept, suspect, place = [_PNG_START], False, len(_PNG_START)
    while len(data) - place >= 12:
        length, name = struct.unpack_from(">I4s", data, place)
        chunk = data[place : place + 12 + length]
        place += 12 + length
        if name[:1].islower():
            is_sound = chunk[8 + length :] == struct.pack(">I", zlib.crc32(chunk[4 : 8 + length]))
            too_much = (name in _PNG_NOTES and length > _PNG_SMALL) or (
                name == b"iCCP" and _is_large_profile(chunk[8 : 8 + length])
            )
            suspect = suspect or not is_sound or too_much
            if name not in _PNG_NEEDED or not is_sound or too_much:
                continue
        kept.append(chunk)
    return b"".join([*kept, data[place:]]) if suspect else None


def _is_large_profile(content: bytes) -> bool:
    """Whether the profile in an iCCP chunk, behind a name and a zero, is none or unpacks to more than engines take."""
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(content.partition(b"\0")[2][1:], _MOST_UNPACKED)
    except zlib.error:
        return True
    return not unpacker.eof


def _jpeg_size(encoded: str) -> tuple[int, int]:
    height, width, *_ = simplejpeg.decode_jpeg_header(pybase64.b64decode(encoded, validate=True))
    return width, height
