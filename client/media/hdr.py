"""High dynamic range to what models were trained on: sRGB, in which it would look grey and pale as it is.

Transfer functions of ITU-R BT.2100, reference white of BT.2408 (203 nits), primaries of BT.2020 to BT.709 (BT.2087).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import Colorspace, ColorTrc, Interpolation

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WHITE_NITS, _HLG_PEAK_NITS, _HLG_GAMMA = 203.0, 1000.0, 1.2
_KNEE = 0.6
"""Light up to here, 1 being white, stays as it is; what is brighter is rolled off below 1."""
_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)


def is_hdr(frame: av.VideoFrame) -> bool:
    """Whether a frame is coded by PQ (HDR10, Dolby Vision) or HLG."""
    return frame.color_trc in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)


def to_srgb(frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """Scale a frame and bring it to 8-bit sRGB; all the arithmetic is done on the small picture."""
    small = frame.reformat(
        width, height, "rgb48le", src_colorspace=Colorspace.BT2020, interpolation=Interpolation.BICUBIC, threads=1
    )
    light = _light(frame.color_trc == ColorTrc.ARIB_STD_B67)[small.to_ndarray()]
    if frame.color_trc == ColorTrc.ARIB_STD_B67:
        light *= (_HLG_PEAK_NITS / _WHITE_NITS) * (light @ _LUMA)[..., None] ** (_HLG_GAMMA - 1)
    light = np.maximum(light @ _TO_BT709.T, 0)
    # By the brightest channel, so that the hue stays.
    peak = np.maximum(light.max(axis=2, keepdims=True), 1e-6)
    rolled = np.where(peak <= _KNEE, peak, _KNEE + (1 - _KNEE) * (1 - np.exp((_KNEE - peak) / (1 - _KNEE))))
    light *= rolled / peak
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return av.VideoFrame.from_ndarray((255 * coded + 0.5).astype(np.uint8), format="rgb24")


@cache
def _light(hlg: bool) -> NDArray[np.float32]:
    """Light of each 16-bit code: of the display, 1 being white (PQ), or of the scene, 0 to 1 (HLG)."""
    code = np.arange(65536) / 65535
    if hlg:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    else:
        root = code ** (1 / 78.84375)
        light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
        light *= 10_000 / _WHITE_NITS
    return light.astype(np.float32)
