"""Sizes of pictures by their headers, and PNGs without what engines refuse them for: nothing is decoded."""

from __future__ import annotations

import io
import re
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pybase64
import simplejpeg
from PIL import Image

from server.errors import ManyScansError

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
"""What OpenAI takes. Pillow knows many more, some of which start other programs."""
JPEG_START = "/9j/"
"""The first bytes of every JPEG, in base64."""
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_NEEDED = frozenset({b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT"})
"""What of the optional chunks of a PNG makes its picture."""
_PNG_NOTES, _PNG_SMALL, _MOST_UNPACKED = (b"zTXt", b"iTXt"), 1000, 1 << 20
"""Pillow, in the engine, refuses a picture of which a note or the profile unpacks to more: a thousand bytes may."""
MOST_SCANS = 100
"""Of one JPEG; encoders write a dozen. At 50 million pixels a hundred empty ones take four seconds."""
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_MOST_MARKERS = 10_000
_SCAN, _END, _ALONE = 0xDA, 0xD9, frozenset({0x01, 0xD8})
_FRAMES_OF_ONE_SCAN = frozenset({0xC0, 0xC1, 0xC9})
"""Not progressive: one scan with all components is the whole picture, and libjpeg reads no further."""
HEAD = 8192
"""Characters of base64 in which a JPEG's header ends, if it has no large metadata. A multiple of four."""


def jpeg_size(text: str, begin: int, end: int) -> tuple[int, int]:
    """Width and height of the base64 JPEG in `text[begin:end]`.

    libjpeg reads up to the first scan, so nothing that comes later can change the size. How long it decodes what comes
    later can: each scan goes over all pixels, and has twenty bytes where it says nothing.

    Raises:
        ValueError: it is none.
        ManyScansError: it would be decoded for minutes.
    """
    try:
        header = _jpeg_header(text[begin : min(begin + HEAD, end)])
    except ValueError:
        if end - begin <= HEAD:
            raise
        header = _jpeg_header(text[begin:end])
    width, height, single = header
    if not single and _has_many_scans(pybase64.b64decode(text[begin:end], validate=True)):
        raise ManyScansError(f"a JPEG of more than {MOST_SCANS} scans: save it again, not progressive")
    return width, height


class Checked(NamedTuple):
    """A picture of a request, looked at."""

    width: int
    height: int
    replacement: bytes | None
    """The same picture without optional data for which engines refuse it; None where it has none."""


def checked_picture(encoded: str) -> Checked:
    """Look at a base64 picture in one of `FORMATS`; for a thread, since it may read all of it.

    Raises:
        ValueError: it is none.
    """
    data = pybase64.b64decode(encoded, validate=True)
    replacement = _without_notes(data) if data.startswith(_PNG_START) else None
    try:
        with Image.open(io.BytesIO(replacement or data), formats=FORMATS) as picture:
            return Checked(*picture.size, replacement)
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


def _jpeg_header(encoded: str) -> tuple[int, int, bool]:
    """Width and height of a JPEG, and whether its first scan is all that is read."""
    data = pybase64.b64decode(encoded, validate=True)
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    components = 0
    for _, name, place in _markers(data):
        if name == _SCAN:  # a length, and how many components it has
            return width, height, data[place + 2 : place + 3] == bytes([components])
        if name in _FRAMES_OF_ONE_SCAN:
            components = data[place + 7] if len(data) > place + 7 else 0
    return width, height, False


def _has_many_scans(data: bytes) -> bool:
    pairs = (np.frombuffer(data, "<u2", (len(data) - odd) // 2, odd) for odd in (0, 1))
    if sum(np.count_nonzero(pair == _SCAN << 8 | 0xFF) for pair in pairs) <= MOST_SCANS:  # five times as quick as count
        return False
    scans = 0  # exactly: thumbnails, and films behind a picture, are none
    for number, name, _ in _markers(data):
        scans += name == _SCAN
        if scans > MOST_SCANS or number > _MOST_MARKERS:
            return True
    return False


def _markers(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Number, name and end of each marker of a JPEG up to its end; what stands in its segments are none."""
    place, number = 2, 0
    while found := _MARKER.search(data, place):
        name, place, number = found[1][0], found.end(), number + 1
        if name == _END:
            return
        yield number, name, place
        if name not in _ALONE:
            place += int.from_bytes(data[place : place + 2], "big")
