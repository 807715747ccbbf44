"""A picture file becomes one upright sRGB JPEG, no larger than the model sees."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import pi_heif
from PIL import Image, ImageChops, ImageCms, ImageOps, UnidentifiedImageError

from client.errors import MediaError
from client.media.content import Content, Facts, Frame
from client.media.jpeg import encode_rgb
from client.media.kinds import Kind
from client.media.tiles import model_size

if TYPE_CHECKING:
    from pathlib import Path

MAX_PIXELS = 128_000_000
"""More are refused before decoding: 128 million need up to 0.5 GB a picture."""

# Not all that Pillow knows: EPS, for one, would be handed to Ghostscript.
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "AVIF", "HEIF", "PPM", "JPEG2000")
_EXIF_ORIENTATION, _QUARTER_TURNS = 0x0112, (5, 6, 7, 8)
# The byte of the WebP container's flags, and two of them.
_WEBP_FLAGS, _WEBP_ANIMATED, _WEBP_ALPHA = 20, 0x02, 0x10
_DEEP_GREYS = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
# Our own limit stands instead of Pillow's, which would only warn up to twice its number.
Image.MAX_IMAGE_PIXELS = None
pi_heif.register_heif_opener(thumbnails=False)
pi_heif.options.DECODE_THREADS = 1  # every core already has a file of its own


def load_image(path: Path) -> Content:
    """Read a picture: the first one where there are several.

    Raises:
        MediaError: it cannot be decoded, or has too many pixels.
    """
    try:
        # By its name, Pillow would map it into memory, and garble a turned TIFF.
        with _opened(path) as file, Image.open(file, formats=_FORMATS) as image:
            _check_size(image)
            warnings = []
            if getattr(image, "n_frames", 1) > 1:
                warnings.append("an animation or a file of several pictures: only the first one was looked at")
            if getattr(image, "default_image", False):
                image.seek(1)  # of an APNG that shows another picture where animations are not known
            # Of a TIFF, Pillow tells the size as shown.
            turned = image.format != "TIFF" and image.getexif().get(_EXIF_ORIENTATION) in _QUARTER_TURNS
            width, height = (image.height, image.width) if turned else image.size
            size = model_size(width, height)
            # JPEG can be decoded at half, a quarter or an eighth of its size, for that much less work.
            image.draft(None, size[::-1] if turned else size)
            pixels = _upright_rgb(image, size)
    except UnidentifiedImageError as error:
        raise MediaError("not a picture, or of a format that cannot be read") from error
    except (OSError, RuntimeError, ValueError, SyntaxError, EOFError, IndexError, TypeError) as error:
        # Pillow's decoders raise all of these on damaged files.
        raise MediaError(f"the picture cannot be decoded ({error}): cut off or damaged?") from error
    return Content(Kind.IMAGE, Facts(width, height), [Frame(0, encode_rgb(pixels))], warnings)


def picture_size(path: Path) -> tuple[int, int]:
    """The two edges of a picture in pixels, as they are stored: nothing is decoded, and nothing turned upright.

    Raises:
        MediaError: they cannot be read.
    """
    try:
        with path.open("rb") as file, Image.open(file, formats=_FORMATS) as image:
            return image.size
    except (OSError, RuntimeError, ValueError, SyntaxError, EOFError, IndexError, TypeError) as error:
        raise MediaError(f"the picture's size cannot be read ({error})") from error


def _opened(path: Path) -> BinaryIO:
    """A file's bytes; of an animated WebP, with the mark of transparency.

    Without it Pillow shows as black what its first frame leaves free, however transparent that is.
    """
    file = path.open("rb")
    head = file.read(_WEBP_FLAGS + 1)
    file.seek(0)
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and head[_WEBP_FLAGS] & _WEBP_ANIMATED:
        with file:
            content = bytearray(file.read())
        content[_WEBP_FLAGS] |= _WEBP_ALPHA
        return io.BytesIO(content)
    return file


def _check_size(image: Image.Image) -> None:
    """Refuse, before it is decoded, what would take too much memory.

    Raises:
        MediaError: it has more than `MAX_PIXELS`.
    """
    if (pixels := image.width * image.height) > MAX_PIXELS:
        raise MediaError(f"{image.width}x{image.height} are {pixels:,} pixels: more than {MAX_PIXELS:,} are refused")


def _upright_rgb(image: Image.Image, size: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Decode, bring to 8-bit sRGB on white, turn upright and shrink to `size`: uint8 [height, width, 3]."""
    profile = image.info.get("icc_profile")
    upright = ImageOps.exif_transpose(_eight_bits(image))
    if upright.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        upright = ImageChops.invert(upright)  # only Adobe stores them inverted, but Pillow takes all for Adobe's
    if "A" in upright.getbands() or "transparency" in upright.info:
        # Premultiplied ("RGBa") while resizing, or the colour hidden under transparent pixels bleeds out.
        clear = _resized(upright.convert("RGBA"), size)
        white = Image.new("RGBA", clear.size, "white")
        return np.asarray(_to_srgb(Image.alpha_composite(white, clear).convert("RGB"), profile))
    if upright.mode not in ("RGB", "CMYK", "L"):
        upright = upright.convert("RGB")
    small = _resized(upright, size)
    return np.asarray(_to_srgb(small, profile))


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit and floating-point greys to 8 bits; Pillow's own conversion would clip them to white.

    A colour that stands for transparency keeps doing so.
    """
    image.load()  # only then numpy is told the size of the pixels of a turned TIFF
    clear = image.info.get("transparency")
    if image.mode in _DEEP_GREYS:
        values = np.asarray(image)
        top = int(values.max(initial=0))
        # A PNG says how deep it is; others may hold small values in wide numbers.
        depth = 8 if top < 1 << 8 and image.format != "PNG" else max(16, top.bit_length())
        grey = Image.fromarray((values.clip(0) >> (depth - 8)).astype(np.uint8))
        if isinstance(clear, int):
            grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    elif image.mode == "F":
        real = np.nan_to_num(np.asarray(image, dtype=np.float32))
        low, high = float(real.min(initial=0.0)), float(real.max(initial=1.0))
        grey = Image.fromarray(((real - low) * (255 / (high - low))).astype(np.uint8))
    else:
        if isinstance(clear, tuple) and max(clear) > 255:  # of 16 bits, as the pixels were
            image.info["transparency"] = tuple(value >> 8 for value in clear)
        return image
    grey.info.update({name: value for name, value in image.info.items() if name != "transparency"})
    grey.getexif().update(image.getexif())
    return grey


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Apply an embedded colour profile (CMYK prints, wide-gamut cameras); a broken one is ignored."""
    if profile and image.mode in ("RGB", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")
