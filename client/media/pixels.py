"""Decoded pictures become upright pixels in sRGB, on white, at the size the model sees."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops, ImageCms, TiffImagePlugin

from client.errors import MediaError
from client.media.hdr import Colours, of_code_points, of_gamma, pixels_to_srgb

DECODER_ERRORS = (OSError, RuntimeError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError)
"""Pillow's decoders raise all of these on damaged files."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each orientation of EXIF."""
SAMPLE_FORMAT, UNSIGNED = 339, 1
"""A tag of TIFFs, and what it is by default: whole numbers without a sign."""
_DEEP_GREYS = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


class Decoded(NamedTuple):
    """A picture as the model sees it, and what is known of it."""

    image: Image.Image
    """In sRGB."""
    width: int
    """Of the file, upright."""
    height: int
    warnings: list[str]
    share: float = 1.0
    """How much of it could be decoded."""


def check_size(width: int, height: int, most: int) -> None:
    """Refuse, before it is decoded, what would take too much memory.

    Raises:
        MediaError: it has more than `most` pixels.
    """
    if (pixels := width * height) > most:
        raise MediaError(f"{width}x{height} are {pixels:,} pixels: more than {most:,} are refused")


def share_there(image: Image.Image, interlaced: bool = False) -> float:
    """How much of a picture was decoded, about: all but the last rows of its file, if they have one colour.

    That is how decoders fill what they do not find. `interlaced` is of a GIF.
    """
    rows = np.asarray(image).reshape(image.height, image.width, -1)
    if interlaced:
        rows = np.concatenate([rows[0::8], rows[4::8], rows[2::4], rows[1::2]])
    if image.format in ("BMP", "DIB", "TGA"):  # from the last row to the first, and black where nothing is left
        rows = rows[::-1]
        filled = (rows == 0).all(axis=(1, 2))
    else:
        filled = (rows == rows[-1, -1]).all(axis=(1, 2))
    missing = int(np.argmin(filled[::-1])) if not filled.all() else image.height
    return 1 - missing / image.height


def srgb_picture(
    image: Image.Image,
    size: tuple[int, int],
    file_format: str,
    *,
    orientation: int = 1,
    profile: bytes | None = None,
    code_points: tuple[int, int] | None = None,
) -> Image.Image:
    """A loaded picture in RGB, of `size` (width, height), upright, sRGB on white.

    `profile` is a colour profile that `image` does not hold itself; `code_points` are colour primaries and transfer
    characteristics (ITU-T H.273) that its file names.
    """
    profile = profile or image.info.get("icc_profile")
    colours = _colours(image, profile, code_points)
    # A GIF's first frame may cover a part of the canvas alone.
    extents = getattr(image, "dispose_extent", None) if file_format == "GIF" and image.tell() == 0 else None
    image = _eight_bits(image)
    if file_format == "PSD" and image.mode == "1":
        image = ImageChops.invert(image)  # a bit that is set is black there, which Pillow does not know
    if extents and tuple(extents) != (0, 0, *image.size):
        image = _on_canvas(image, tuple(extents))
    upright = image.transpose(_TURNS[orientation]) if orientation in _TURNS else image
    upright.info = image.info
    if upright.mode == "CMYK" and file_format in ("JPEG", "MPO") and "adobe" not in image.info:
        upright = ImageChops.invert(upright)  # only Adobe stores them inverted, but Pillow takes all for Adobe's
    if "A" in upright.getbands() or "a" in upright.getbands() or "transparency" in upright.info:
        # Premultiplied ("RGBa") while resizing, or the colour hidden under transparent pixels bleeds out.
        clear = _resized(upright.convert("RGBA"), size)
        white = Image.new("RGBA", clear.size, "white")
        return _to_srgb(Image.alpha_composite(white, clear).convert("RGB"), profile, colours)
    if upright.mode not in ("RGB", "CMYK", "L"):
        upright = upright.convert("RGB")
    return _to_srgb(_resized(upright, size), profile, colours)


def _on_canvas(image: Image.Image, extents: tuple[int, int, int, int]) -> Image.Image:
    """A frame where it lies on its canvas, which is transparent around it."""
    canvas = Image.new("RGBA", image.size)
    canvas.paste(image.convert("RGBA").crop(extents), extents)
    canvas.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return canvas


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
        if image.mode == "I" and isinstance(image, TiffImagePlugin.TiffImageFile) and not _has_signs(image):
            values = values.view(np.uint32)  # which Pillow does not know
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
    return grey


def _has_signs(image: TiffImagePlugin.TiffImageFile) -> bool:
    return bool(image.tag_v2.get(SAMPLE_FORMAT, (UNSIGNED,)) != (UNSIGNED,))


def _colours(image: Image.Image, profile: bytes | None, code_points: tuple[int, int] | None) -> Colours | None:
    """What a file says of its colours other than by a profile; None where it means sRGB, or a profile says more."""
    named = of_code_points(*code_points) if code_points else None
    if named and (named.transfer or not profile or image.format == "PNG"):
        return named
    if image.format != "PNG" or profile or code_points or "srgb" in image.info:
        return None
    gamma, primaries = image.info.get("gamma"), image.info.get("chromaticity")
    return of_gamma(1 / gamma if gamma else None, tuple(primaries) if primaries and len(primaries) == 8 else None)


def _to_srgb(image: Image.Image, profile: bytes | None, colours: Colours | None) -> Image.Image:
    """Apply what is said of its colours; an embedded profile (prints, wide-gamut cameras) that is broken is ignored."""
    if colours:
        return Image.fromarray(pixels_to_srgb(np.asarray(image.convert("RGB")), colours))
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if image.mode == "L" and source.profile.xcolor_space.strip() != "GRAY":
                image = image.convert("RGB")
            converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")
