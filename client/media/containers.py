"""What headers say that FFmpeg does not hand on, or not so soon.

That a file holds sound alone; that a video track is encrypted, and how it is cropped.

Boxes of MP4 and QuickTime (ISO 14496-12; the clean aperture is 12.1.4), elements of Matroska (RFC 9559), the scrambling
bits of transport streams (ISO 13818-1, 2.4.3.3), and the objects and keys by which ASF and MXF tell of a cipher.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENCRYPTED = "encrypted (DRM): only players that have its key can show it"
"""What is said of a video that nobody here can decode."""

# More boxes or elements than this no header has: it is damaged, or made to keep us busy.
_MOST_PARTS = 10_000
_ENCRYPTED_ENTRIES = (b"encv", b"drmi")
# Of a visual sample entry: where its width stands, and where the boxes within it begin.
_ENTRY_WIDTH, _ENTRY_BOXES = 24, 78
_SEGMENT, _TRACKS, _TRACK, _TRACK_TYPE, _VIDEO, _CLUSTER = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0, 0x1F43B675
_EBML = b"\x1a\x45\xdf\xa3"
_OF_SOUND, _OF_PICTURES = frozenset({b"soun", 2}), frozenset({b"vide", b"pict", 1, 3})
"""Kinds of tracks, of MP4 and of Matroska; a complex one has both."""
_ENCODINGS, _ENCODING, _ENCRYPTION = 0x6D80, 0x6240, 0x5035
_CROP = {0x54CC: 0, 0x54BB: 1, 0x54DD: 2, 0x54AA: 3}
_HEADER_BYTES = 1 << 16
_ASF_CIPHERS = (
    bytes.fromhex("fbb31122 23bd d211 b4b7 00a0c955fc6e"),  # Content Encryption Object
    bytes.fromhex("14e68a29 2226 174c b935 dae07ee9289c"),  # its extended form
)
_MXF_CIPHER = bytes.fromhex("060e2b34 02040107 0d010301 027e0100")  # encrypted triplet (SMPTE 429-6)
_TS_PACKET, _TS_SAMPLE_BYTES = 188, 1 << 20


class Crop(NamedTuple):
    """Pixels at the edges of a stored picture that are not shown."""

    left: int
    top: int
    right: int
    bottom: int


class Track(NamedTuple):
    """What a header says of a video track."""

    encrypted: bool = False
    crop: Crop | None = None


def mp4_track(path: Path, track_id: int) -> Track:
    """What an MP4 or QuickTime file says of the track with this number; nothing where it cannot be read.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        for name, begin, end in _boxes(file, 0, size):
            if name != b"moov":
                continue
            for name_below, track_begin, track_end in _boxes(file, begin, end):
                if name_below == b"trak" and _track_id(file, track_begin, track_end) == track_id:
                    return _sample_entry(file, track_begin, track_end)
    return Track()


def is_sequence(path: Path) -> bool:
    """Whether an AVIF or HEIF file holds a sequence of pictures, of more than one (ISO 23008-12, 7).

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        for name, begin, end in _boxes(file, 0, file.seek(0, 2)):
            tracks = _boxes(file, begin, end) if name == b"moov" else ()
            for name_below, track_begin, track_end in tracks:
                found = _child(file, track_begin, track_end, b"mdia", b"minf", b"stbl", b"stsz")
                if name_below == b"trak" and found:
                    file.seek(found[0] + 8)
                    return int.from_bytes(file.read(4), "big") > 1
    return False


def is_sound_alone(path: Path, head: bytes) -> bool:
    """Whether a file that may hold a video has tracks of sound and none of pictures; `head` is how it begins.

    Of MP4, QuickTime, Matroska and WebM; of others that is not known.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        kinds = set(_matroska_kinds(file) if head.startswith(_EBML) else _mp4_kinds(file))
    return bool(kinds & _OF_SOUND) and not kinds & _OF_PICTURES


def _mp4_kinds(file: BinaryIO) -> Iterator[bytes | int]:
    """The handler of each track (ISO 14496-12, 8.4.3)."""
    movie = _child(file, 0, file.seek(0, 2), b"moov")
    for name, begin, end in _boxes(file, *movie) if movie else ():
        found = _child(file, begin, end, b"mdia", b"hdlr")
        if name == b"trak" and found:
            file.seek(found[0] + 8)
            yield file.read(4)


def _matroska_kinds(file: BinaryIO) -> Iterator[bytes | int]:
    """The type of each track."""
    size = file.seek(0, 2)
    segment = next((found for found in _elements(file, 0, size) if found[0] == _SEGMENT), None)
    for element, begin, end in _elements(file, *segment[1:]) if segment else ():
        if element == _CLUSTER:
            return
        entries = _elements(file, begin, end) if element == _TRACKS else ()
        for _, entry_begin, entry_end in (entry for entry in entries if entry[0] == _TRACK):
            for setting, at, after in _elements(file, entry_begin, entry_end):
                if setting == _TRACK_TYPE:
                    yield _number(file, at, after)


def _boxes(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, begin and end of the content of each box between two places of a file."""
    for _ in range(_MOST_PARTS):
        if end - begin < 8:
            return
        file.seek(begin)
        head = file.read(16)
        if len(head) < 8:
            return
        size, name, content = int.from_bytes(head[:4], "big"), head[4:8], begin + 8
        if size == 1:
            size, content = int.from_bytes(head[8:16], "big"), begin + 16
        after = min(end, begin + size) if size else end
        if after < content:
            return
        yield name, content, after
        begin = after


def _child(file: BinaryIO, begin: int, end: int, *names: bytes) -> tuple[int, int] | None:
    """The content of a box within a box within ..., or None."""
    for wanted in names:
        found = next(((at, after) for name, at, after in _boxes(file, begin, end) if name == wanted), None)
        if found is None:
            return None
        begin, end = found
    return begin, end


def _track_id(file: BinaryIO, begin: int, end: int) -> int | None:
    if (found := _child(file, begin, end, b"tkhd")) is None:
        return None
    file.seek(found[0])
    content = file.read(24)
    at = 20 if content[:1] == b"\1" else 12
    return int.from_bytes(content[at : at + 4], "big")


def _sample_entry(file: BinaryIO, begin: int, end: int) -> Track:
    """What the sample descriptions of a track say: of its crop the first; of a cipher any, which may begin later."""
    found = _child(file, begin, end, b"mdia", b"minf", b"stbl", b"stsd")
    entries = [_entry(file, *entry) for entry in _boxes(file, found[0] + 8, found[1])] if found else []
    return Track(any(entry.encrypted for entry in entries), entries[0].crop) if entries else Track()


def _entry(file: BinaryIO, name: bytes, begin: int, end: int) -> Track:
    encrypted, crop = name in _ENCRYPTED_ENTRIES, None
    file.seek(begin + _ENTRY_WIDTH)
    size = file.read(4)
    for child, at, after in _boxes(file, begin + _ENTRY_BOXES, end):
        encrypted = encrypted or child == b"sinf"
        if child == b"clap" and after - at >= 32 and len(size) == 4:
            file.seek(at)
            crop = _clean_aperture(file.read(32), *struct.unpack(">HH", size))
    return Track(encrypted, crop)


def _clean_aperture(content: bytes, width: int, height: int) -> Crop | None:
    """The crop that leaves a clean aperture, which is told by its size and by how far its centre is off."""
    clean_width, by_1, clean_height, by_2, x, by_3, y, by_4 = struct.unpack(">IIIIiIiI", content)
    if not (by_1 and by_2 and by_3 and by_4):
        return None
    left = (width - clean_width / by_1) / 2 + x / by_3
    top = (height - clean_height / by_2) / 2 + y / by_4
    right, bottom = width - left - clean_width / by_1, height - top - clean_height / by_2
    return _sound_crop(Crop(round(left), round(top), round(right), round(bottom)), width, height)


def _sound_crop(crop: Crop, width: int, height: int) -> Crop | None:
    """A crop that takes something off and leaves something; else None."""
    if min(crop) < 0 or not any(crop) or crop.left + crop.right >= width or crop.top + crop.bottom >= height:
        return None
    return crop


def matroska_track(path: Path, number: int, width: int, height: int) -> Track:
    """What a Matroska or WebM file says of its `number`th video track, from 0, whose pictures have this size.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        segment = next((found for found in _elements(file, 0, size) if found[0] == _SEGMENT), None)
        for element, begin, end in _elements(file, *segment[1:]) if segment else ():
            if element == _CLUSTER:
                break
            if element == _TRACKS:
                tracks = [_matroska_track(file, *at) for kind, *at in _elements(file, begin, end) if kind == _TRACK]
                videos = [track for track in tracks if track is not None]
                if number < len(videos):
                    encrypted, crop = videos[number]
                    return Track(encrypted, crop and _sound_crop(crop, width, height))
    return Track()


def _elements(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, begin and end of the content of each element between two places of a file."""
    for _ in range(_MOST_PARTS):
        if begin >= end:
            return
        file.seek(begin)
        head = file.read(12)
        id_length = 9 - head[0].bit_length() if head and head[0] else 9
        if id_length > 4 or len(head) <= id_length or not head[id_length]:
            return
        size_length = 9 - head[id_length].bit_length()
        size = int.from_bytes(head[id_length : id_length + size_length], "big") ^ (1 << (7 * size_length))
        content = begin + id_length + size_length
        # All ones: the size is unknown, as of live streams.
        after = end if size == (1 << (7 * size_length)) - 1 else min(end, content + size)
        yield int.from_bytes(head[:id_length], "big"), content, after
        begin = after


def _matroska_track(file: BinaryIO, begin: int, end: int) -> Track | None:
    """What an entry says of a video track; None of another one."""
    is_video, encrypted, crop = False, False, [0, 0, 0, 0]
    for element, at, after in _elements(file, begin, end):
        if element == _TRACK_TYPE:
            is_video = _number(file, at, after) == 1
        elif element == _VIDEO:
            for setting, setting_at, setting_after in _elements(file, at, after):
                if setting in _CROP:
                    crop[_CROP[setting]] = _number(file, setting_at, setting_after)
        elif element == _ENCODINGS:
            encodings = [found for found in _elements(file, at, after) if found[0] == _ENCODING]
            encrypted = any(found[0] == _ENCRYPTION for _, *within in encodings for found in _elements(file, *within))
    return Track(encrypted, Crop(*crop)) if is_video else None


def _number(file: BinaryIO, begin: int, end: int) -> int:
    file.seek(begin)
    return int.from_bytes(file.read(min(8, end - begin)), "big")


def has_cipher(path: Path, container: str, stream_id: int) -> bool:
    """Whether the bytes of a transport stream, an ASF or an MXF file say that its video is encrypted.

    `stream_id` is the number of the video's packets in a transport stream.

    Raises:
        OSError: the file cannot be read.
    """
    if container not in ("mpegts", "asf", "mxf"):
        return False
    with path.open("rb") as file:
        if container == "mpegts":
            # In the middle too: the beginning of a recording may be in the clear.
            middle = max(0, file.seek(0, 2) // 2)
            return any(_is_scrambled(file, place, stream_id) for place in (0, middle))
        head = file.read(_HEADER_BYTES)
    return _MXF_CIPHER in head if container == "mxf" else any(cipher in head for cipher in _ASF_CIPHERS)


def _is_scrambled(file: BinaryIO, place: int, stream_id: int) -> bool:
    """Whether most packets of a stream after this place in a file have a mark of scrambling."""
    file.seek(place)
    content = file.read(_TS_SAMPLE_BYTES)
    for step in (_TS_PACKET, _TS_PACKET + 4, _TS_PACKET + 16):
        # A packet begins where four in a row begin with 0x47.
        start = next((at for at in range(step) if content[at : at + 4 * step : step] == b"GGGG"), None)
        if start is None:
            continue
        heads = (content[at : at + 4] for at in range(start, len(content) - 3, step))
        marks = [head[3] >> 7 for head in heads if head[0] == 0x47 and (head[1] & 0x1F) << 8 | head[2] == stream_id]
        return 2 * sum(marks) > len(marks)
    return False
