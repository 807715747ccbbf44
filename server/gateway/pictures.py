"""Sizes of pictures by their headers: nothing is decoded."""

from __future__ import annotations

import io

import pybase64
import simplejpeg
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
"""What OpenAI takes. Pillow knows many more, some of which start other programs."""
HEAD = 8192
"""Characters of base64 in which a JPEG's header ends, if it has no large metadata. A multiple of four."""


def jpeg_size(encoded: str) -> tuple[int, int]:
    """Width and height of a base64 JPEG.

    libjpeg reads up to the first scan, so nothing that comes later can change the size.

    Raises:
        ValueError: it is none.
    """
    try:
        return _jpeg_size(encoded[:HEAD])
    except ValueError:
        if len(encoded) <= HEAD:
            raise
        return _jpeg_size(encoded)


def picture_size(encoded: str) -> tuple[int, int]:
    """Width and height of a base64 picture in one of `FORMATS`; for a thread, for it may read all of it.

    Raises:
        ValueError: it is none.
    """
    if encoded.startswith("/9j/"):
        return jpeg_size(encoded)
    try:
        with Image.open(io.BytesIO(pybase64.b64decode(encoded, validate=True)), formats=FORMATS) as picture:
            return picture.size
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error


def _jpeg_size(encoded: str) -> tuple[int, int]:
    height, width, *_ = simplejpeg.decode_jpeg_header(pybase64.b64decode(encoded, validate=True))
    return width, height
