"""JPEG files of the usual make, whose heads are read in one pass; others are for `client.media.picture_parts`.

Such a head (ITU-T T.81, annex B; JFIF) has nothing between its segments, each of them as long as it must be: tables of
8 bits, one frame of Huffman codes with 8 bits a sample, grey or YCbCr with the usual sampling. libjpeg and Pillow,
which servers read pictures with, take all of these.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from client.media.picture_parts import EXIF_START, NEEDED_SEGMENTS

_START, _END = b"\xff\xd8", b"\xff\xd9"
_SEGMENT = struct.Struct(">BBH")
_FRAME = struct.Struct(">BHHB")
_JFIF = b"JFIF\0"
_JFIF_BYTES, _SAMPLE_BITS, _TABLE_BYTES, _TABLES = 14, 8, 65, 4
_APP0, _APP1, _APP15, _COMMENT = 0xE0, 0xE1, 0xEF, 0xFE
_FRAMES, _HUFFMAN, _TABLE, _RESTART, _SCAN = (0xC0, 0xC1, 0xC2), 0xC4, 0xDB, 0xDD, 0xDA
_HUFFMAN_BYTES = 17
"""The least that a Huffman table has."""
_COLOURS = (
    (b"\1", b"\x11"),
    *((b"\1\2\3", sampling) for sampling in (b"\x11\x11\x11", b"\x21\x11\x11", b"\x12\x11\x11", b"\x22\x11\x11")),
)
"""Numbers of the components, and the sampling of each across and down: grey; YCbCr in 4:4:4, 4:2:2, 4:4:0, 4:2:0."""


class JpegHead(NamedTuple):
    """What the head of a JPEG file says, and the file itself."""

    essential: bytes
    """It without its optional data."""
    width: int
    height: int
    exif: bytes
    """Its EXIF block, from the TIFF header on; empty where there is none."""
    scan: int
    """Where in `essential` the data of its first scan begin."""


def plain_jpeg(data: bytes) -> JpegHead | None:
    """Read the head of a JPEG file that ends as it should; None where anything about it is unusual."""
    if not (data.startswith(_START) and data.endswith(_END)):
        return None
    kept: list[bytes] = []
    frame = exif = b""
    begin, place = 0, len(_START)
    while len(data) - place > _SEGMENT.size:
        start, marker, length = _SEGMENT.unpack_from(data, place)
        end = place + 2 + length
        content = data[place + 4 : end]
        if start != 0xFF or length != 2 + len(content):
            return None
        if marker == _SCAN:
            if not frame or not content or length != 6 + 2 * content[0]:
                return None
            essential = b"".join([*kept, data[begin:]]) if kept else data
            _, height, width, _ = _FRAME.unpack_from(frame)
            return JpegHead(essential, width, height, exif, end - (len(data) - len(essential)))
        if (_APP0 <= marker <= _APP15 or marker == _COMMENT) and not content.startswith(NEEDED_SEGMENTS):
            kept.append(data[begin:place])
            begin = end
            if marker == _APP1 and content.startswith(EXIF_START):
                exif = content[len(EXIF_START) :]
        elif not _is_usual(marker, content) or (frame and marker in _FRAMES):
            return None
        elif marker in _FRAMES:
            frame = content
        place = end
    return None


def _is_usual(marker: int, content: bytes) -> bool:
    """Whether a segment that makes the picture, or says what its colours are, is of the usual make."""
    if marker == _HUFFMAN:
        return len(content) > _HUFFMAN_BYTES
    if marker == _TABLE:
        return bool(content) and not len(content) % _TABLE_BYTES and max(content[::_TABLE_BYTES]) < _TABLES
    if marker == _APP0:
        return content.startswith(_JFIF) and len(content) >= _JFIF_BYTES
    if marker in _FRAMES:
        return _is_usual_frame(content)
    return marker == _RESTART and len(content) == 2


def _is_usual_frame(content: bytes) -> bool:
    """Whether the head of a frame is that of a picture with 8 bits a sample, grey or YCbCr with the usual sampling."""
    if len(content) < _FRAME.size:
        return False
    bits, height, width, components = _FRAME.unpack_from(content)
    each = content[_FRAME.size :]
    if bits != _SAMPLE_BITS or not height or not width or not each or len(each) != 3 * components:
        return False
    colours = each[0::3], each[1::3]
    return colours in _COLOURS and max(each[2::3]) < _TABLES
