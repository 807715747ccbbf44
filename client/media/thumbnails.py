"""Thumbnails for people to look at, made of what was decoded anyway: a small picture, or a strip of a video's frames.

The one of a video holds up to `TILES` frames side by side, all of one size.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import simplejpeg
from PIL import Image

from client.media.jpeg import encode_planes
from client.media.kinds import Kind
from client.media.sampling import Candidates, Sampling
from client.media.strips import Strip, Thumbnail

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from client.media.content import Content, Frame
    from client.media.jpeg import Planes
    from client.media.recent_frames import RecentFrames

EDGE = 320
"""About the longer edge of a picture's thumbnail, in pixels: whole pixels of the source become one."""
TILE_EDGE = 200
"""The least that the longer edge of a tile of a video's strip has, in pixels, unless the source has less."""
TILES = 8
OWN_BYTES = 32 << 10
"""A frame of a picture that takes no more is its own thumbnail: no more than many a strip, and sharper."""
_QUALITY = 75


class _Tile(NamedTuple):
    """A frame of a strip."""

    pts_us: int
    planes: list[NDArray[np.uint8]]
    """[height, width] each: Y, Cb and Cr, all of one size."""


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
    return _encoded(picture)


def with_thumbnail(contents: Iterable[Content], count: int, recent: RecentFrames | None = None) -> Iterator[Content]:
    """The `count` contents of a video, the last one with the thumbnail of all of them.

    Frames that `recent` still holds are not decoded again.
    """
    per_content = -(-TILES // count)
    every = -(-count // TILES)
    tiles: list[_Tile] = []
    for number, content in enumerate(contents):
        if number % every == 0 and content.kind is Kind.VIDEO:
            tiles += [_tile(frame, recent) for frame in _spread(content.frames, per_content)]
        if number < count - 1 or not tiles:
            yield content
            continue
        yield content.with_thumbnail(_strip(tiles))


class SceneTiles:
    """The thumbnail of a video whose scenes come one after the other: a frame of each, of many of some."""

    def __init__(self, recent: RecentFrames | None = None) -> None:
        """Begin with none; `recent` is as of `with_thumbnail`."""
        self._candidates, self._recent = Candidates[_Tile](Sampling(TILES)), recent

    def add(self, content: Content) -> None:
        """The next scene."""
        for frame in _spread(content.frames, 1):
            self._candidates.offer(Fraction(0), partial(_tile, frame, self._recent))

    def thumbnail(self) -> Thumbnail | None:
        """That of the scenes so far; None if there are none."""
        tiles = self._candidates.chosen()
        return _strip(tiles) if tiles else None


def _spread(frames: list[Frame], count: int) -> list[Frame]:
    """So many of them, evenly spread; all if there are not more."""
    if len(frames) <= count:
        return frames
    return [frames[(2 * number + 1) * len(frames) // (2 * count)] for number in range(count)]


def _tile(frame: Frame, recent: RecentFrames | None) -> _Tile:
    height, width, *_ = simplejpeg.decode_jpeg_header(frame.jpeg)
    factor = next(factor for factor in (8, 4, 2, 1) if factor == 1 or max(width, height) // factor >= TILE_EDGE)
    planes = recent and recent.planes(frame.jpeg)
    return _Tile(frame.pts_us, _shrunk(planes, factor) if planes else _decoded(frame.jpeg, width, height, factor))


def _shrunk(planes: Planes, factor: int) -> list[NDArray[np.uint8]]:
    """The planes of a tile, each of whose pixels is the mean of `factor` times `factor` of the frame's."""
    luma, *chroma = planes
    height, width = luma.shape
    if factor == 1:
        return [luma, *(plane.repeat(2, axis=0).repeat(2, axis=1)[:height, :width] for plane in chroma)]
    return [_mean(luma, factor), *(_mean(plane, factor // 2) for plane in chroma)]


def _decoded(jpeg: bytes, width: int, height: int, factor: int) -> list[NDArray[np.uint8]]:
    """The planes of a tile, of a JPEG: libjpeg decodes at a half, a quarter or an eighth of the size for less work."""
    least = {"min_height": -(-height // factor), "min_width": -(-width // factor)}
    pixels = simplejpeg.decode_jpeg(jpeg, **least, fastdct=True, fastupsample=True)
    return [np.asarray(band) for band in Image.fromarray(pixels).convert("YCbCr").split()]


def _mean(plane: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """A plane each of whose pixels is the mean of `factor` times `factor`; at its edges, of those that are there."""
    return plane if factor == 1 else np.asarray(Image.fromarray(plane).reduce(factor))


def _strip(tiles: list[_Tile]) -> Thumbnail:
    height, width = size = tiles[0].planes[0].shape
    same = [tile for tile in tiles if tile.planes[0].shape == size][:TILES]
    luma, *chroma = (np.concatenate(planes, axis=1) for planes in zip(*(tile.planes for tile in same), strict=True))
    jpeg = encode_planes([luma, *(_mean(plane, 2) for plane in chroma)], _QUALITY)
    return Thumbnail(jpeg, Strip(width, height, [round(tile.pts_us / 1e6, 3) for tile in same]))


def _encoded(pixels: NDArray[np.uint8]) -> Thumbnail:
    jpeg: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels), quality=_QUALITY, colorspace="RGB", colorsubsampling="420", fastdct=True
    )
    height, width = pixels.shape[:2]
    return Thumbnail(jpeg, Strip(width, height, [0.0]))
