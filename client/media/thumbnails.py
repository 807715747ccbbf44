"""Thumbnails for people to look at, made of what was decoded anyway: a small picture, or a strip of a video's frames.

The one of a video holds up to `TILES` frames side by side, all of one size.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

from client.media.content import Frame
from client.media.kinds import Kind
from client.media.sampling import Candidates, Sampling
from client.media.strips import Strip, Thumbnail

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray
    from PIL import Image

    from client.media.content import Content

EDGE = 320
"""About the longer edge of a picture's thumbnail, in pixels: whole pixels of the source become one."""
TILE_EDGE = 200
"""The least that the longer edge of a tile of a video's strip has, in pixels, unless the source has less."""
TILES = 8
OWN_BYTES = 32 << 10
"""A frame of a picture that takes no more is its own thumbnail: no more than many a strip, and sharper."""
_QUALITY = 75


def thumbnail_of(content: Content, picture: Image.Image | NDArray[np.uint8] | None) -> Thumbnail:
    """The thumbnail of a picture: what the model gets, if that is small, else as of `picture_thumbnail`.

    Args:
        content: What the model gets of it.
        picture: It in RGB, in the size of that frame; or, where the file is sent as it is, small pixels, or None if
            that is small.
    """
    (frame,) = content.frames
    if picture is not None and len(frame.jpeg) > OWN_BYTES:
        return picture_thumbnail(picture)
    if picture is None or isinstance(picture, np.ndarray):
        width, height = content.facts.width, content.facts.height
    else:
        width, height = picture.size
    return Thumbnail(frame.jpeg, Strip(width, height, [0.0]))


def picture_thumbnail(picture: Image.Image | NDArray[np.uint8]) -> Thumbnail:
    """The thumbnail of a picture in RGB, or of the pixels [height, width, 3] of one that is small enough already."""
    if not isinstance(picture, np.ndarray):
        factor = round(max(picture.size) / EDGE)
        picture = np.asarray(picture.reduce(factor) if factor > 1 else picture)
    return _encoded(picture, [0.0])


def with_thumbnail(contents: Iterable[Content], count: int) -> Iterator[Content]:
    """The `count` contents of a video, the last one with the thumbnail of all of them."""
    per_content = -(-TILES // count)
    every = -(-count // TILES)
    tiles: list[tuple[int, NDArray[np.uint8]]] = []
    for number, content in enumerate(contents):
        if number % every == 0 and content.kind is Kind.VIDEO:
            tiles += [(frame.pts_us, _tile(frame)) for frame in _spread(content.frames, per_content)]
        if number < count - 1 or not tiles:
            yield content
            continue
        yield content.with_thumbnail(_strip(tiles))


class SceneTiles:
    """The thumbnail of a video whose scenes come one after the other: a frame of each, of many of some."""

    def __init__(self) -> None:
        """Begin with none."""
        self._candidates = Candidates[Frame](Sampling(TILES))

    def add(self, content: Content) -> None:
        """The next scene."""
        for frame in _spread(content.frames, 1):
            self._candidates.offer(Fraction(0), partial(Frame, *frame))

    def thumbnail(self) -> Thumbnail | None:
        """That of the scenes so far; None if there are none."""
        tiles = [(frame.pts_us, _tile(frame)) for frame in self._candidates.chosen()]
        return _strip(tiles) if tiles else None


def _spread(frames: list[Frame], count: int) -> list[Frame]:
    """So many of them, evenly spread; all if there are not more."""
    if len(frames) <= count:
        return frames
    return [frames[(2 * number + 1) * len(frames) // (2 * count)] for number in range(count)]


def _tile(frame: Frame) -> NDArray[np.uint8]:
    height, width, *_ = simplejpeg.decode_jpeg_header(frame.jpeg)
    # libjpeg decodes at a half, a quarter or an eighth of the size for less work, and nothing is left to be resized.
    factor = next(factor for factor in (8, 4, 2, 1) if factor == 1 or max(width, height) // factor >= TILE_EDGE)
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
        frame.jpeg,
        min_height=-(-height // factor),
        min_width=-(-width // factor),
        fastdct=True,
        fastupsample=True,
    )
    return pixels


def _strip(tiles: list[tuple[int, NDArray[np.uint8]]]) -> Thumbnail:
    height, width = tiles[0][1].shape[:2]
    same = [(pts_us, tile) for pts_us, tile in tiles if tile.shape[:2] == (height, width)][:TILES]
    times = [round(pts_us / 1e6, 3) for pts_us, _ in same]
    return _encoded(np.concatenate([tile for _, tile in same], axis=1), times)


def _encoded(pixels: NDArray[np.uint8], times: list[float]) -> Thumbnail:
    """A JPEG of tiles side by side."""
    jpeg: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels), quality=_QUALITY, colorspace="RGB", colorsubsampling="420", fastdct=True
    )
    height, width = pixels.shape[:2]
    return Thumbnail(jpeg, Strip(width // len(times), height, times))
