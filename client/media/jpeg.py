"""From decoded frames and pictures to JPEG, without a full-size RGB copy.

JPEG files (JFIF) hold full-range YCbCr with the matrix of BT.601, whatever the video's own matrix and range
were; the decoder's scaler converts both while it resizes.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import simplejpeg
from av.sidedata.sidedata import SideDataContainer
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from client.media.hdr import is_hdr, to_srgb
from client.media.sampling import Fit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

    import av
    from numpy.typing import NDArray

Planes: TypeAlias = "list[NDArray[np.uint8]]"
"""Y [height, width], Cb and Cr [height / 2, width / 2], rounded up: full range, by BT.601."""
QUALITY = 90

PADDING = (116, 121, 132)
"""Y, Cb, Cr of the mean colour of CLIP's training, (122, 116, 104) in RGB: LLaVA fills squares with it
(`expand2square`), because it becomes 0 in the model's input."""


# What libjpeg says of pixels that are missing or changed. What it finds amiss before them is no loss, nor are a few
# bytes too much behind them: that is a habit of cameras.
_SPOILT = re.compile(
    r"bad Huffman code|remature end|instead of RST|Unsupported marker|Invalid JPEG file structure"
    r"|(?P<too_much>\d+) extraneous bytes before marker 0x(?P<marker>d[1-9]|da|c4)"
)
_HABIT_BYTES = 8


def is_spoilt_jpeg(data: bytes) -> bool:
    """Whether libjpeg sees that data of a JPEG are missing or changed, which it decodes nevertheless."""
    try:
        simplejpeg.decode_jpeg(data, colorspace="GRAY", min_height=1, min_width=1, strict=True)
    except ValueError as error:
        return _tells_of_damage(error)
    return False


def is_flawless(data: bytes) -> bool:
    """Whether libjpeg finds nothing at all to remark in a JPEG with the usual sampling: all data are read for it.

    What it would make of the colours is not looked at, which takes most of the time otherwise.
    """
    try:
        simplejpeg.decode_jpeg(data, colorspace="GRAY", min_height=1, min_width=1, strict=True)
    except ValueError:
        return False
    return True


def sound_pixels(data: bytes, width: int, height: int, edge: int) -> NDArray[np.uint8] | None:
    """A JPEG of `width` x `height` at 1, 1/2, 1/4 or 1/8, its longer edge not below `edge` unless it is so already.

    RGB [height, width, 3], roughly; None where libjpeg finds anything at all to remark: all data are read for it.
    """
    factor = next(factor for factor in (8, 4, 2, 1) if factor == 1 or max(width, height) >= factor * edge)
    least = {"min_height": -(-height // factor), "min_width": -(-width // factor)}
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, **least, fastdct=True, fastupsample=True, strict=True)
    except ValueError:
        return None
    return pixels


def scaled_jpeg(data: bytes, width: int, height: int, size: tuple[int, int], *, grey: bool) -> NDArray[np.uint8] | None:
    """Decode a JPEG of `width` x `height` at 1, 1/2, 1/4 or 1/8 of its size, not below `size`.

    RGB [height, width, 3], or grey [height, width]. None where libjpeg finds something odd in it that is no damage.

    Raises:
        OSError: data are missing or changed.
    """
    fitting = min(width // size[0], height // size[1])
    factor = next(factor for factor in (8, 4, 2, 1) if factor <= max(1, fitting))
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data,
            colorspace="GRAY" if grey else "RGB",
            min_height=-(-height // factor),
            min_width=-(-width // factor),
            strict=True,
        )
    except ValueError as error:
        if _tells_of_damage(error):
            raise OSError(str(error)) from error
        return None
    return pixels[..., 0] if grey else pixels


def _tells_of_damage(error: ValueError) -> bool:
    found = _SPOILT.search(str(error))
    habit = found and found["marker"] == "d9" and int(found["too_much"]) <= _HABIT_BYTES
    return bool(found) and not habit


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a stored picture is turned upright: transposed first, then mirrored."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Orientation:
        """To the nearest quarter turn, from the frame's display matrix (ISO 14496-12, 8.5.2)."""
        try:
            # Asked for by `frame.side_data`, it and the frame would refer to each other, and all that a frame takes
            # would stay until the garbage collector happens to come by.
            side_data = cast("Mapping[str, Any]", SideDataContainer(frame))  # type: ignore[call-arg]  # PyAV's stub
        except ValueError:  # PyAV reads no side data where it does not know the kind of one, such as EXIF
            quarters = round(frame.rotation / 90) % 4  # counterclockwise
            return cls(quarters % 2 == 1, quarters in (2, 3), quarters in (1, 2))
        if (matrix := side_data.get("DISPLAYMATRIX")) is None:
            return cls()
        a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
        if abs(a) >= abs(b):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def apply(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn a [height, width] plane."""
        turned = plane.T if self.transpose else plane
        return turned[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]


def display_size(width: int, height: int, pixel_aspect: Fraction, orientation: Orientation) -> tuple[int, int]:
    """(width, height) as shown: square pixels (the narrow direction is widened, nothing is lost), upright."""
    if pixel_aspect > 1:
        width = max(1, round(width * pixel_aspect))
    elif 0 < pixel_aspect < 1:
        height = max(1, round(height / pixel_aspect))
    return (height, width) if orientation.transpose else (width, height)


def fit_size(width: int, height: int, edge: int, fit: Fit) -> tuple[int, int]:
    """The size at which the short edge (CROP) or the long one (PAD) is `edge` pixels.

    Even numbers; never larger than the source.
    """
    scale = edge / (min(width, height) if fit is Fit.CROP else max(width, height))
    if scale >= 1:
        return width, height
    return _even(width * scale), _even(height * scale)


def _even(length: float) -> int:
    return max(2, 2 * round(length / 2))


def encode_frame(
    frame: av.VideoFrame, size: tuple[int, int], orientation: Orientation, *, square: bool = False
) -> bytes:
    """A decoded frame as of `frame_planes`, encoded."""
    return encode_planes(frame_planes(frame, size, orientation, square=square))


def encode_planes(planes: Planes, quality: int = QUALITY) -> bytes:
    """These planes as a JPEG."""
    luma, *chroma = planes
    jpeg: bytes = simplejpeg.encode_jpeg_yuv_planes(_in_even(luma), *chroma, quality=quality)
    return jpeg


def frame_planes(
    frame: av.VideoFrame, size: tuple[int, int], orientation: Orientation, *, square: bool = False
) -> Planes:
    """Scale a decoded frame to `size` (width, height as shown) and turn it upright.

    `square` puts it in the middle of a square.
    A frame without a stated matrix counts as BT.601 and limited range, as everywhere in FFmpeg.
    """
    width, height = size[::-1] if orientation.transpose else size
    if is_hdr(frame):
        frame = to_srgb(frame, width, height)
    small = frame.reformat(
        width,
        height,
        "yuvj420p",
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.JPEG,
        interpolation=_interpolation(frame, width, height),
        threads=1,  # every core already has a file of its own
    )
    planes = [np.ascontiguousarray(orientation.apply(_plane(plane))) for plane in small.planes]
    return _on_square(planes) if square else planes


def _interpolation(frame: av.VideoFrame, width: int, height: int) -> Interpolation:
    """The mean of all pixels where two or more become one: half as expensive as cubic there, and as close (PSNR)."""
    halved = frame.width >= 2 * width and frame.height >= 2 * height
    return Interpolation.AREA if halved else Interpolation.BICUBIC


def _plane(plane: Any) -> NDArray[np.uint8]:
    lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return lines[: plane.height, : plane.width]


def _in_even(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same, with a repeated last row and column beyond it where its size is odd: libjpeg-turbo reads them."""
    height, width = luma.shape
    if height % 2 or width % 2:
        luma = np.pad(luma, ((0, height % 2), (0, width % 2)), mode="edge")
    return luma[:height, :width]


def _on_square(planes: Planes) -> Planes:
    """Y, Cb and Cr in the middle of squares."""
    half = max(planes[1].shape)
    height, width = planes[1].shape
    top, left = (half - height) // 2, (half - width) // 2
    squares: Planes = []
    for plane, factor, colour in zip(planes, (2, 1, 1), PADDING, strict=True):
        square = np.full((half * factor, half * factor), colour, np.uint8)
        y, x = top * factor, left * factor
        square[y : y + plane.shape[0], x : x + plane.shape[1]] = plane
        squares.append(square)
    return squares


def encode_rgb(pixels: NDArray[np.uint8]) -> bytes:
    """Encode sRGB pixels, uint8 [height, width, 3]; colour is kept at full resolution, for small print."""
    jpeg: bytes = simplejpeg.encode_jpeg(pixels, quality=QUALITY, colorspace="RGB", colorsubsampling="444")
    return jpeg
