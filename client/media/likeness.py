"""A perceptual hash: 64 bits of a picture that stay nearly the same when it is scaled, compressed or made lighter.

It is the sign, above or below their median, of the 64 lowest frequencies of a cosine transform of the picture at 32 by
32 grey pixels; what differs is counted in bits. A picture of one colour has none: its frequencies are noise.
"""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from client.media.strips import read_hashes, read_strip

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_EDGE, _KEPT = 32, 8
_PLAIN = 2.0
"""Standard deviation of the grey values below which a picture has one colour."""


@cache
def _cosines() -> NDArray[np.float64]:
    """The first rows of the matrix of a DCT-II [8, 32]."""
    rows, columns = np.arange(_KEPT)[:, None], np.arange(_EDGE)[None, :]
    cosines: NDArray[np.float64] = np.cos(np.pi / _EDGE * (columns + 0.5) * rows)
    return cosines


def hash_of(pixels: NDArray[np.uint8]) -> int | None:
    """The hash of a picture: uint8 RGB [height, width, 3]; None of one colour."""
    return hashes_in(pixels, 1)[0]


def hashes_in(pixels: NDArray[np.uint8], tiles: int) -> list[int | None]:
    """The hashes of so many pictures side by side, all of one size: uint8 RGB [height, tiles x width, 3]."""
    grey = Image.fromarray(pixels).convert("L")
    width = grey.width // tiles
    boxes = [(at * width, 0, (at + 1) * width, grey.height) for at in range(tiles)]
    small = [grey.crop(box).resize((_EDGE, _EDGE), Image.Resampling.BOX) for box in boxes]
    values = np.stack([np.asarray(each, dtype=np.float64) for each in small])
    low = (_cosines() @ values @ _cosines().T).reshape(tiles, -1)
    low[:, 0] = 0.0  # the brightness of all of it
    bits = np.packbits(low > np.median(low, axis=1, keepdims=True), axis=1)
    plain = values.std(axis=(1, 2)) < _PLAIN
    return [None if flat else int.from_bytes(row.tobytes(), "big") for row, flat in zip(bits, plain, strict=True)]


def hashes_of(thumbnail: Path) -> list[int | None]:
    """The hash of each tile of a thumbnail, as it says or, of an older one, computed; none if it cannot be read."""
    if (known := read_hashes(thumbnail)) is not None:
        return known
    if (strip := read_strip(thumbnail)) is None:
        return []
    try:
        with Image.open(io.BytesIO(thumbnail.read_bytes())) as picture:
            pixels = np.asarray(picture.convert("RGB"))
    except OSError:
        return []
    return hashes_in(pixels, len(strip.times))
