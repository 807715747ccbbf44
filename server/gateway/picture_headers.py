"""Sizes of pictures by their headers: nothing is decoded."""

from __future__ import annotations

import io

import pybase64
import simplejpeg
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
"""What OpenAI takes. Pillow knows many more, some of which start other programs."""
JPEG_START = "/9j/"
"""The first bytes of every JPEG, in base64."""
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


def picture_size(encoded: str) -> tuple[int, int]:
    """Width and height of a base64 picture in one of `FORMATS`, by Pillow; for a thread, since it may read all of it.

    Raises:
        ValueError: it is none.
    """
    try:
        with Image.open(io.BytesIO(pybase64.b64decode(encoded, validate=True)), formats=FORMATS) as picture:
            return picture.size
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error


def _jpeg_size(encoded: str) -> tuple[int, int]:
    height, width, *_ = simplejpeg.decode_jpeg_header(pybase64.b64decode(encoded, validate=True))
    return width, height
