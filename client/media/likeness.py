"""What tells whether two pictures are near-identical: a perceptual hash of their forms, and their coarse colours.

The hash is 64 bits that stay nearly the same when a picture is scaled, compressed or made lighter: the signs, above or
below their median, of the 64 lowest frequencies of a cosine transform of the picture at 32 by 32 grey pixels. A picture
of one colour has none: its frequencies are noise. Colours, of which the hash knows nothing, are the means of 4 by 4
parts.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import simplejpeg
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from client.media.strips import Thumbnail

_EDGE, _KEPT, _PARTS = 32, 8, 4
_PLAIN = 2.0
"""Standard deviation of the grey values below which a picture has one colour."""
_HASH_BYTES, _COLOUR_BYTES = 8, _PARTS * _PARTS * 3
_CHROMA_SLACK, _CHROMA_SHARE = 12.0, 0.25
_LIGHT_SLACK, _LIGHT_SHARE = 16.0, 0.3
"""What compression may change in a part, of 255, and what share of it more brightness or contrast may."""


class Look(NamedTuple):
    """What the tiles of a thumbnail look like."""

    hashes: NDArray[np.uint64]
    """[tiles]; 0 of one colour."""
    colours: NDArray[np.uint8]
    """[tiles, 16, 3]: Y, Cb and Cr of the parts."""

    def to_bytes(self) -> bytes:
        """All of it, to be kept."""
        return self.hashes.astype("<u8").tobytes() + self.colours.tobytes()

    @classmethod
    def from_bytes(cls, kept: bytes) -> Self:
        """What `to_bytes` gave."""
        tiles = len(kept) // (_HASH_BYTES + _COLOUR_BYTES)
        hashes = np.frombuffer(kept, "<u8", tiles).astype(np.uint64)
        colours = np.frombuffer(kept, np.uint8, offset=tiles * _HASH_BYTES)
        return cls(hashes, colours.reshape(tiles, _PARTS * _PARTS, 3))


@cache
def _cosines() -> NDArray[np.float64]:
    """The first rows of the matrix of a DCT-II [8, 32]."""
    rows, columns = np.arange(_KEPT)[:, None], np.arange(_EDGE)[None, :]
    cosines: NDArray[np.float64] = np.cos(np.pi / _EDGE * (columns + 0.5) * rows)
    return cosines


def look_at(pixels: NDArray[np.uint8], tiles: int = 1) -> Look:
    """The look of so many pictures side by side, all of one size: uint8 RGB [height, tiles x width, 3]."""
    picture = Image.fromarray(pixels).resize((tiles * _EDGE, _EDGE), Image.Resampling.BOX).convert("YCbCr")
    values = np.asarray(picture).reshape(_EDGE, tiles, _EDGE, 3).swapaxes(0, 1)
    grey = values[..., 0].astype(np.float64)
    low = (_cosines() @ grey @ _cosines().T).reshape(tiles, -1)
    low[:, 0] = 0.0  # the brightness of all of it
    bits = np.packbits(low > np.median(low, axis=1, keepdims=True), axis=1)
    hashes = bits.view(">u8")[:, 0].astype(np.uint64)
    hashes[grey.std(axis=(1, 2)) < _PLAIN] = 0
    part = _EDGE // _PARTS
    means = values.reshape(tiles, _PARTS, part, _PARTS, part, 3).mean(axis=(2, 4))
    return Look(hashes, means.round().astype(np.uint8).reshape(tiles, -1, 3))


def look_of(thumbnail: Thumbnail) -> Look | None:
    """The look of a thumbnail; None where it cannot be read, or is of one colour."""
    strip = thumbnail.strip
    factor = next(factor for factor in (8, 4, 2, 1) if factor == 1 or min(strip.width, strip.height) >= factor * _EDGE)
    width, height = strip.width * len(strip.times), strip.height
    least = {"min_height": -(-height // factor), "min_width": -(-width // factor)}
    try:
        pixels = simplejpeg.decode_jpeg(thumbnail.jpeg, **least, fastdct=True, fastupsample=True)
    except ValueError:
        return None
    look = look_at(pixels, len(strip.times))
    return look if look.hashes.any() else None


def bits_apart(one: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Bits in which hashes [tiles] and [others, tiles] differ, on average over the tiles."""
    differing: NDArray[np.float64] = np.bitwise_count(one ^ others).mean(axis=1)
    return differing


def same_colours(one: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether colours [tiles, 16, 3] and [others, tiles, 16, 3] are the same, but for brightness and contrast of all.

    Of a tile the part that differs most counts, of several tiles their mean.
    """
    first, second = one.astype(np.float64), others.astype(np.float64)
    chroma = [each[..., 1:] - 128 for each in (first, second)]
    light = [each[..., 0] - each[..., 0].mean(axis=-1, keepdims=True) for each in (first, second)]
    strength = np.maximum(*(np.linalg.norm(each, axis=-1) for each in chroma))
    in_chroma = np.linalg.norm(chroma[0] - chroma[1], axis=-1) / (_CHROMA_SLACK + _CHROMA_SHARE * strength)
    in_light = np.abs(light[0] - light[1]) / (_LIGHT_SLACK + _LIGHT_SHARE * np.maximum(*map(np.abs, light)))
    apart = np.maximum(in_chroma, in_light).max(axis=-1).mean(axis=-1)
    alike: NDArray[np.bool_] = apart <= 1
    return alike
