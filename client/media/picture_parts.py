"""What picture files hold beside their pixels: chunks, segments and boxes, read without decoding anything.

Optional data of a file may be of any kind and size, and broken, and the picture is sound nevertheless: here it is taken
off, and what must be known of it is read. PNG (W3C, third edition), JPEG (ITU-T T.81), WebP (RFC 9649), HEIF and AVIF
(ISO 23008-12), EXIF (a TIFF).
"""

from __future__ import annotations

import re
import struct
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

PNG_START = b"\x89PNG\r\n\x1a\n"
MAX_PROFILE_BYTES = 16 << 20
"""Larger colour profiles are ignored: those of printers have 2 MB."""
EXIF_START = b"Exif\0\0"
NEEDED_SEGMENTS = (b"JFIF\0", b"Adobe", b"ICC_PROFILE\0")
"""How those of a JPEG begin that say what its colours are; others of applications are optional."""

_ORIENTATION = 0x0112
# What of a PNG makes its picture, or its animation; the first letter of the others says that they are optional.
_NEEDED_CHUNKS = frozenset({b"tRNS", b"acTL", b"fcTL", b"fdAT", b"gAMA", b"cHRM", b"sRGB"})
_NEEDED_RIFF = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"})
# An item's entry: its version, number and protection, and then its type (ISO 14496-12, 8.11.6).
_HEIF_EXIF = re.compile(rb"(infe\x02\x00\x00.{5})Exif", re.DOTALL)
_SOS, _PROGRESSIVE = 0xDA, 0xC2
_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


class Parts(NamedTuple):
    """A picture file, taken apart."""

    essential: bytes
    """A file of the same format with the same pixels, and little more; it ends properly."""
    exif: bytes = b""
    """Its EXIF block, from the TIFF header on; empty where there is none."""
    profile: bytes | None = None
    """Its colour profile, where `essential` has it no longer."""
    is_whole: bool = True
    """Whether all that makes the pixels was there, as it was written."""


def parts_of(data: bytes) -> Parts:
    """Take a picture file apart; of formats without optional parts of their own it is left as it is."""
    if data.startswith(PNG_START):
        return _png_parts(data)
    if data.startswith(b"\xff\xd8"):
        return _jpeg_parts(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_parts(data)
    if data[4:8] == b"ftyp":
        # The item of the EXIF block gets another type, of which no decoder knows anything.
        return Parts(_HEIF_EXIF.sub(rb"\1skip", data, count=1), data.partition(EXIF_START)[2][: 1 << 16])
    return Parts(data)


_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type of a PNG -> samples of a pixel."""


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Name and content of each chunk of a PNG, and whether it is there to its end and as it was written."""
    place = len(PNG_START)
    while len(data) - place >= 8:
        length, name = struct.unpack_from(">I4s", data, place)
        content = data[place + 8 : place + 8 + length]
        checksum = data[place + 8 + length : place + 12 + length]
        yield name, content, checksum == struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))
        place += 12 + length


def png_chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))


def png_rows_are_there(data: bytes) -> bool:
    """Whether the pixels of a PNG are as many as its size says; of an interlaced one that is not known.

    A stream that ends early, but as it should, is no fault to a decoder.
    """
    parts: dict[bytes, bytes] = {}
    for name, content, _ in png_chunks(data):
        parts[name] = parts.get(name, b"") + content
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    if interlaced:
        return True
    missing: int = height * (1 + -(-width * bits * _PNG_SAMPLES[colour] // 8))
    unpacker, packed = zlib.decompressobj(), parts[b"IDAT"]
    with suppress(zlib.error):
        while missing > 0 and (unpacked := unpacker.decompress(packed, min(missing, 1 << 20))):
            missing -= len(unpacked)
            packed = unpacker.unconsumed_tail
    return missing <= 0


def _png_parts(data: bytes) -> Parts:
    kept, exif, profile, is_whole = [PNG_START], b"", None, True
    for name, content, is_sound in png_chunks(data):
        if name == b"IEND":
            break
        is_optional = bool(name[:1].islower())
        if name == b"eXIf":
            exif = content.removeprefix(EXIF_START)
        elif name == b"iCCP" and is_sound:
            profile = _png_profile(content)
        elif not is_optional or (name in _NEEDED_CHUNKS and is_sound):
            kept.append(png_chunk(name, content))
            is_whole = is_whole and is_sound
    return Parts(b"".join([*kept, png_chunk(b"IEND", b"")]), exif, profile, is_whole)


def _png_profile(content: bytes) -> bytes | None:
    """The colour profile in an iCCP chunk: a name, a zero, the method of compression, and the compressed profile."""
    unpacker = zlib.decompressobj()
    with suppress(zlib.error):
        profile = unpacker.decompress(content.partition(b"\0")[2][1:], MAX_PROFILE_BYTES)
        return profile if unpacker.eof else None
    return None


def _jpeg_parts(data: bytes) -> Parts:
    kept, exif, is_progressive, place = [data[:2]], b"", False, 2
    while len(data) - place >= 4:
        if data[place] != 0xFF or not data[place + 1]:  # nothing that belongs here
            place = data.find(b"\xff", place + 1)
            if place < 0:
                return Parts(data)
            continue
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker in _NO_LENGTH:
            place += 2
            continue
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        content = data[place + 4 : end]
        if marker == _SOS:
            break
        is_progressive = is_progressive or marker == _PROGRESSIVE
        if 0xE0 <= marker <= 0xEF or marker == 0xFE:  # of applications, or a comment
            if marker == 0xE1 and content.startswith(EXIF_START):
                exif = content[len(EXIF_START) :]
            if content.startswith(NEEDED_SEGMENTS):
                kept.append(data[place:end])
        else:
            kept.append(data[place:end])
        place = end
    ending = b"" if b"\xff\xd9" in data[place:] else b"\xff\xd9"
    # Of a progressive one, the passes that are missing would leave no trace.
    return Parts(b"".join([*kept, data[place:], ending]), exif, is_whole=not (ending and is_progressive))


def fits_together(data: bytes) -> bool:
    """Whether the chunks of a WebP end where its header says, and have names; what comes behind does not matter."""
    end = 8 + int.from_bytes(data[4:8], "little")
    place, is_named = 12, True
    while place < end and len(data) - place >= 8:
        name, length = struct.unpack_from("<4sI", data, place)
        is_named = is_named and name.replace(b" ", b"").isalnum()
        place += 8 + length + length % 2
    return is_named and place in (end, end + 1) and end <= len(data) + 1


def _webp_parts(data: bytes) -> Parts:
    kept, exif, is_whole, place = [], b"", fits_together(data), 12
    while len(data) - place >= 8:
        name, length = struct.unpack_from("<4sI", data, place)
        content = data[place + 8 : place + 8 + length]
        if name == b"EXIF":
            exif = content.removeprefix(EXIF_START)
        elif name == b"ANMF" and len(content) < length:
            is_whole = False  # a frame that no decoder takes
        elif name in _NEEDED_RIFF:
            kept.append(struct.pack("<4sI", name, len(content)) + content + b"\0" * (len(content) % 2))
            is_whole = is_whole and len(content) == length
        place += 8 + length + length % 2
    body = b"WEBP" + b"".join(kept)
    return Parts(b"RIFF" + struct.pack("<I", len(body)) + body, exif, is_whole=is_whole)


def frame_times(data: bytes) -> list[int]:
    """How long each frame of a GIF, APNG or WebP is shown, in milliseconds; none of others, and of single pictures.

    Of 10 ms and less 100 are made, as browsers do: nobody saw them so fast when they were made.
    """
    if data.startswith(b"GIF8"):
        times = list(_gif_times(data))
    elif data.startswith(PNG_START):
        times = []
        for name, content, _ in png_chunks(data):
            if name == b"fcTL" and len(content) >= 24:
                number, parts = struct.unpack_from(">HH", content, 20)
                times.append(round(1000 * number / (parts or 100)))
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        times = [int.from_bytes(content[12:15], "little") for name, content in _riff_chunks(data) if name == b"ANMF"]
    else:
        times = []
    return [time if time > 10 else 100 for time in times]


def _gif_times(data: bytes) -> Iterator[int]:
    """Milliseconds of each image of a GIF (89a)."""
    place, time = 13, 0
    if len(data) > 10 and data[10] & 0x80:
        place += 3 << (data[10] & 7) + 1
    while len(data) - place >= 10 and data[place] in (0x21, 0x2C):
        if data[place] == 0x21:
            if data[place + 1] == 0xF9:
                time = 10 * int.from_bytes(data[place + 4 : place + 6], "little")
            place += 2
        else:
            yield time
            time = 0
            colours = 3 << (data[place + 9] & 7) + 1 if data[place + 9] & 0x80 else 0
            place += 10 + colours + 1
        while place < len(data) and data[place]:  # blocks of up to 255 bytes
            place += 1 + data[place]
        place += 1


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 12
    while len(data) - place >= 8:
        name, length = struct.unpack_from("<4sI", data, place)
        yield name, data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


def orientation_of(exif: bytes) -> int:
    """The orientation that an EXIF block tells, 1 to 8; 1 where it tells none, whatever else is broken in it."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    with suppress(struct.error):
        (place,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, place)
        for number in range(count):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, place + 2 + 12 * number)
            if tag == _ORIENTATION and kind == 3 and 1 <= value <= 8:
                return int(value)
    return 1


def code_points(data: bytes) -> tuple[int, int] | None:
    """Colour primaries and transfer characteristics (ITU-T H.273) that a PNG, HEIF or AVIF file names; else None."""
    if data.startswith(PNG_START):
        for name, content, is_sound in png_chunks(data):
            if name == b"cICP" and is_sound and len(content) == 4:
                return content[0], content[1]
            if name in (b"IDAT", b"PLTE"):
                return None
        return None
    return _heif_code_points(data) if data[4:8] == b"ftyp" else None


def _heif_code_points(data: bytes) -> tuple[int, int] | None:
    """Those of the primary item; of the first property of this kind where the associations cannot be read."""
    meta = next((data[begin + 4 : end] for name, begin, end in _boxes(data) if name == b"meta"), b"")
    inner = {name: meta[begin:end] for name, begin, end in _boxes(meta)}
    properties = {name: inner[b"iprp"][begin:end] for name, begin, end in _boxes(inner.get(b"iprp", b""))}
    container = properties.get(b"ipco", b"")
    found = {
        number: container[begin + 4 : begin + 8]
        for number, (name, begin, _) in enumerate(_boxes(container), 1)
        if name == b"colr" and container[begin : begin + 4] == b"nclx"
    }
    mine = [number for number in _associated(properties.get(b"ipma", b""), inner.get(b"pitm", b"")) if number in found]
    for number in mine or found:
        with suppress(struct.error):
            primaries, transfer = struct.unpack(">HH", found[number])
            return primaries, transfer
    return None


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, begin and end of the content of each box."""
    place = 0
    while len(data) - place >= 8:
        size, name = struct.unpack_from(">I4s", data, place)
        content = place + 8
        if size == 1 and len(data) - place >= 16:
            size, content = int.from_bytes(data[place + 8 : place + 16], "big"), place + 16
        end = min(len(data), place + size) if size else len(data)
        if end < content:
            return
        yield name, content, end
        place = end


def _associated(associations: bytes, primary: bytes) -> list[int]:
    """The numbers of the properties of the primary item, from an ipma box and a pitm box."""
    with suppress(struct.error, IndexError):
        item_format = ">I" if associations[0] else ">H"
        (wanted,) = struct.unpack_from(">I" if primary[0] else ">H", primary, 4)
        wide, place = associations[3] & 1, 8
        (count,) = struct.unpack_from(">I", associations, 4)
        for _ in range(count):
            (item,) = struct.unpack_from(item_format, associations, place)
            place += struct.calcsize(item_format)
            length, place = associations[place], place + 1
            numbers = struct.unpack_from(f">{length}{'H' if wide else 'B'}", associations, place)
            place += length << wide
            if item == wanted:
                return [number & (0x7FFF if wide else 0x7F) for number in numbers]
    return []
