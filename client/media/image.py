"""A picture file becomes one upright sRGB JPEG, no larger than the model sees."""

from __future__ import annotations

import io
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np
import pi_heif
from PIL import Image, ImageFile, UnidentifiedImageError

from client.errors import MediaError
from client.media.content import Content, Facts, Frame
from client.media.jpeg import encode_rgb, scaled_jpeg
from client.media.kinds import HEAD_BYTES, Kind, rare_kind
from client.media.picture_parts import (
    PNG_START,
    Parts,
    code_points,
    fits_together,
    orientation_of,
    parts_of,
    png_chunks,
    png_rows_are_there,
)
from client.media.pixels import DECODER_ERRORS, Decoded, check_size, share_there, srgb_picture
from client.media.rare_pictures import read_by_ffmpeg, read_rare
from client.media.tiles import model_size
from client.media.unchanged import unchanged_jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

MAX_PIXELS = 128_000_000
"""More are refused before decoding: 128 million need up to 0.5 GB a picture."""

# Not all that Pillow knows: EPS, for one, would be handed to Ghostscript.
_FORMATS = (
    "JPEG", "PNG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "AVIF", "HEIF", "PPM", "JPEG2000", "PSD", "ICO", "QOI", "PCX",
    "SGI", "DDS",
)  # fmt: skip
_EXIF_ORIENTATION, _QUARTER_TURNS = 0x0112, (5, 6, 7, 8)
# The byte of the WebP container's flags, and two of them.
_WEBP_FLAGS, _WEBP_ANIMATED, _WEBP_ALPHA = 20, 0x02, 0x10
# Files that are read whole, because more than Pillow looks at them; others may be large.
_JPEG_START = b"\xff\xd8"
_READ_WHOLE = (_JPEG_START, PNG_START, b"RIFF")
# MP types (CIPA DC-007, 5.2.3.3) of pictures in a JPEG that show the same: previews, and gain maps, which have none.
_MP_SAME = re.compile(r"Large Thumbnail|Undefined|Baseline MP Primary")
_SPOILT = "cut off or damaged: parts of the picture may be missing or spoilt"
_LEAST_SHARE = 0.1
"""A picture of which less is left is refused."""
_UNSUPPORTED = re.compile(
    r"unsupported|not supported|unknown|unrecogni[sz]ed|cannot handle|not available|unexpected", re.IGNORECASE
)
# Our own limit stands instead of Pillow's, which would only warn up to twice its number.
Image.MAX_IMAGE_PIXELS = None
pi_heif.register_heif_opener(thumbnails=False)
pi_heif.options.DECODE_THREADS = 1  # every core already has a file of its own


class Picture(NamedTuple):
    """A picture as the model sees it, and as it was decoded for that."""

    content: Content
    image: Image.Image | NDArray[np.uint8] | None
    """In RGB; of a file that is sent as it is, its pixels [height, width, 3], small, if a thumbnail needs them."""


def load_image(path: Path) -> Content:
    """Read a picture; see `read_picture`.

    Raises:
        MediaError: it cannot be decoded, or has too many pixels.
    """
    return read_picture(path).content


def read_picture(path: Path) -> Picture:
    """Read a picture: the first one where there are several.

    What is left of a damaged one is taken, with a warning, unless it is next to nothing.

    Raises:
        MediaError: it cannot be decoded, or has too many pixels.
    """
    try:
        # By its name, Pillow would map it into memory, and garble a turned TIFF.
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if rare := rare_kind(head, path.suffix):
                return _picture(read_rare(path, rare, MAX_PIXELS), [])
            file.seek(0)
            if not (head.startswith(_READ_WHOLE) or head[4:8] == b"ftyp"):
                return _picture(_decoded(file, Parts(b""), path.suffix), [])
            data = file.read()
        if head.startswith(_JPEG_START) and (found := unchanged_jpeg(data)):
            facts = Facts(found.width, found.height)
            return Picture(Content(Kind.IMAGE, facts, [Frame(0, found.jpeg)], []), found.pixels)
        return _picture(_decoded(with_alpha_flag(data), Parts(data), path.suffix), [])
    except DECODER_ERRORS as error:
        return _salvaged(path, error)


def picture_size(path: Path) -> tuple[int, int]:
    """The two edges of a picture in pixels, as they are stored: nothing is decoded, and nothing turned upright.

    Raises:
        MediaError: they cannot be read.
    """
    try:
        with path.open("rb") as file, Image.open(file, formats=_formats(path.suffix)) as image:
            return image.size
    except DECODER_ERRORS as error:
        raise MediaError(f"the picture's size cannot be read ({error})") from error


def _picture(decoded: Decoded, warnings: list[str]) -> Picture:
    jpeg = encode_rgb(np.asarray(decoded.image))
    facts = Facts(decoded.width, decoded.height)
    return Picture(Content(Kind.IMAGE, facts, [Frame(0, jpeg)], [*warnings, *decoded.warnings]), decoded.image)


def _formats(suffix: str) -> tuple[str, ...]:
    """Formats to try; TGA, which no first bytes tell, is tried by its name alone."""
    return (*_FORMATS, "TGA") if suffix.lower() == ".tga" else _FORMATS


def _decoded(file: BinaryIO, parts: Parts, suffix: str) -> Decoded:
    """Decode a picture; where its file is in memory, it and what was taken off it are `parts`.

    Raises:
        MediaError: it has too many pixels.
        DECODER_ERRORS: it cannot be decoded, or not all of it.
    """
    data = parts.essential
    if data.startswith(PNG_START) and not all(is_sound for name, _, is_sound in png_chunks(data) if name == b"IDAT"):
        raise OSError("a checksum is wrong")
    if data.startswith(b"RIFF") and not fits_together(data):
        raise OSError("its parts do not fit together")
    with Image.open(file, formats=_formats(suffix)) as image:
        check_size(*image.size, MAX_PIXELS)
        warnings = []
        if _holds_others(image):
            warnings.append("an animation or a file of several pictures: only the first one was looked at")
        if getattr(image, "default_image", False):
            image.seek(1)  # of an APNG that shows another picture where animations are not known
        # Of a TIFF, Pillow tells the size as shown.
        orientation = 1 if image.format == "TIFF" else picture_orientation(image, parts.exif)
        turned = orientation in _QUARTER_TURNS
        width, height = (image.height, image.width) if turned else image.size
        size = model_size(width, height)
        stored_size = size[::-1] if turned else size
        # JPEG can be decoded at half, a quarter or an eighth of its size, for that much less work.
        scaled = None
        if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L") and not ImageFile.LOAD_TRUNCATED_IMAGES:
            scaled = scaled_jpeg(data, *image.size, stored_size, grey=image.mode == "L")
        settings = image.tile[0][3] if image.format == "GIF" and image.tile else None
        interlaced = isinstance(settings, tuple) and settings[1:2] == (True,)
        decoded: Image.Image = image
        if scaled is not None:
            decoded = Image.fromarray(scaled)
            decoded.info = image.info
        else:
            image.draft(None, stored_size)
            image.load()
            may_lack_rows = data.startswith(PNG_START) and not ImageFile.LOAD_TRUNCATED_IMAGES
            if may_lack_rows and _last_row_is_zero(image) and not png_rows_are_there(data):
                raise OSError("rows are missing")
        share = share_there(image, interlaced) if ImageFile.LOAD_TRUNCATED_IMAGES else 1.0
        wide = code_points(data) if data else None
        picture = srgb_picture(
            decoded,
            size,
            image.format or "",
            orientation=orientation,
            profile=parts.profile,
            code_points=wide,
        )
    return Decoded(picture, width, height, warnings, share)


def _last_row_is_zero(image: Image.Image) -> bool:
    return not any(image.crop((0, image.height - 1, *image.size)).tobytes())


def with_alpha_flag(data: bytes) -> BinaryIO:
    """A file's bytes; of an animated WebP, with the mark of transparency.

    Without it Pillow shows as black what its first frame leaves free, however transparent that is.
    """
    if data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8X" and data[_WEBP_FLAGS] & _WEBP_ANIMATED:
        flagged = bytearray(data)
        flagged[_WEBP_FLAGS] |= _WEBP_ALPHA
        return io.BytesIO(flagged)
    return io.BytesIO(data)


def _holds_others(image: Image.Image) -> bool:
    """Whether there are pictures in the file that show something else."""
    if image.format != "MPO":
        return image.format != "PSD" and getattr(image, "n_frames", 1) > 1  # of that, these are layers
    entries = getattr(image, "mpinfo", {}).get(0xB002, ())
    return not all(_MP_SAME.search(str(entry["Attribute"]["MPType"])) for entry in entries)


def picture_orientation(image: Image.Image, exif: bytes = b"") -> int:
    """How the picture is turned, 1 to 8, whatever else is broken in its EXIF block."""
    if exif:
        return orientation_of(exif)
    try:
        found = image.getexif().get(_EXIF_ORIENTATION)
    except DECODER_ERRORS:
        found = orientation_of(image.info.get("exif", b"").removeprefix(b"Exif\0\0"))
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


# -- damaged pictures -----------------------------------------------------------------------------------------------


def _salvaged(path: Path, error: Exception) -> Picture:
    """A picture that cannot be read as it is: without its optional data, or what is left of it.

    Raises:
        MediaError: that is next to nothing.
    """
    try:
        data = path.read_bytes()
    except OSError as reason:
        raise MediaError(f"cannot be read: {reason.strerror or reason}") from reason
    parts = parts_of(data)
    if parts.essential != data:
        with suppress(*DECODER_ERRORS):
            return _picture(
                _decoded(with_alpha_flag(parts.essential), parts, path.suffix), [] if parts.is_whole else [_SPOILT]
            )
    if _UNSUPPORTED.search(str(error)) or isinstance(error, UnidentifiedImageError):
        with suppress(*DECODER_ERRORS):
            return _picture(read_by_ffmpeg(data, MAX_PIXELS, strict=True), [])
    left: Decoded | None = None
    for whole in dict.fromkeys((parts, Parts(data))):
        with suppress(*DECODER_ERRORS), _tolerant():
            left = left or _decoded(with_alpha_flag(whole.essential), whole, path.suffix)
    if left is None or left.share < _LEAST_SHARE:
        with suppress(*DECODER_ERRORS):
            left = read_by_ffmpeg(parts.essential, MAX_PIXELS, strict=False)
    if left is None or left.share < _LEAST_SHARE:
        raise MediaError(_refusal(error, left)) from error
    share = round(100 * left.share)
    loss = f"cut off or damaged: about {share} % of the picture can be seen" if share < 100 else _SPOILT
    return _picture(left, [loss])


def _refusal(error: Exception, left: Decoded | None) -> str:
    """Why a picture cannot be read."""
    if left is not None:
        return "the picture cannot be decoded: cut off or damaged, and next to nothing of it can be seen"
    if isinstance(error, UnidentifiedImageError):
        return "not a picture, or of a format or a kind that cannot be read, or damaged: convert it to PNG or JPEG"
    if _UNSUPPORTED.search(str(error)):
        return f"this kind of picture is not supported ({error}): convert it to PNG or JPEG"
    return f"the picture cannot be decoded ({error}): cut off or damaged?"


@contextmanager
def _tolerant() -> Iterator[None]:
    """Let Pillow decode what is there of a file that was cut off."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
