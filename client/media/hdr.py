"""High dynamic range and wide colours to sRGB, on which models were trained; grey and pale is how they look there else.

Code points of ITU-T H.273, transfer functions of ITU-R BT.2100, reference white of BT.2408 (203 nits).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import av
import numpy as np
from av.video.reformatter import Colorspace, ColorTrc, Interpolation

if TYPE_CHECKING:
    from numpy.typing import NDArray

Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of white, red, green and blue."""

PQ, HLG = 16, 18
"""Transfer characteristics (H.273, table 3)."""
_WHITE_NITS, _HLG_PEAK_NITS, _HLG_GAMMA = 203.0, 1000.0, 1.2
_KNEE = 0.6
"""Light up to here, 1 being white, stays as it is; what is brighter is rolled off below 1."""
_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
_D65 = (0.3127, 0.3290)
_BT709: Chromaticities = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_BT2020 = 9
# Primaries (H.273, table 2) that are far from those of sRGB, and exponents of transfer characteristics that are.
_PRIMARIES: dict[int, Chromaticities] = {
    _BT2020: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # DCI-P3
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # Display P3
}
_EXPONENTS = {5: 2.8, 8: 1.0, 17: 2.6}


class Colours(NamedTuple):
    """How the codes of a picture become light."""

    primaries: Chromaticities
    exponent: float | None
    """Light is code to the power of this; None: as in sRGB, or as `transfer` says."""
    transfer: int | None = None
    """`PQ` or `HLG`."""


def of_code_points(primaries: int, transfer: int) -> Colours | None:
    """Colours by code points of H.273; None where these are as good as sRGB, or say nothing."""
    known = primaries in _PRIMARIES
    if not known and transfer not in (PQ, HLG, *_EXPONENTS):
        return None
    found = _PRIMARIES.get(primaries, _BT709)
    return Colours(found, _EXPONENTS.get(transfer), transfer if transfer in (PQ, HLG) else None)


def of_gamma(exponent: float | None, primaries: Chromaticities | None) -> Colours | None:
    """Colours by the exponent of decoding and by chromaticities, as PNG tells them; None where sRGB is meant.

    An exponent close to 2.2 stands for sRGB, as everywhere.
    """
    if exponent is not None and (not 0.2 < exponent < 10 or abs(exponent - 2.2) < 0.1):
        exponent = None
    if primaries and (max(abs(a - b) for a, b in zip(primaries, _BT709, strict=True)) < 0.01 or not _sound(primaries)):
        primaries = None
    return Colours(primaries or _BT709, exponent) if exponent or primaries else None


def _sound(primaries: Chromaticities) -> bool:
    """Whether chromaticities span a triangle."""
    ys = np.array(primaries[1::2])
    return bool((ys > 0.01).all()) and abs(np.linalg.det(_to_xyz(primaries))) > 0.01


def is_hdr(frame: av.VideoFrame) -> bool:
    """Whether a frame is coded by PQ (HDR10, Dolby Vision) or HLG."""
    return frame.color_trc in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)


def to_srgb(frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """Scale a frame of `is_hdr` and bring it to 8-bit sRGB; all the arithmetic is done on the small picture."""
    small = frame.reformat(
        width, height, "rgb48le", src_colorspace=Colorspace.BT2020, interpolation=Interpolation.BICUBIC, threads=1
    )
    transfer = HLG if frame.color_trc == ColorTrc.ARIB_STD_B67 else PQ
    pixels = pixels_to_srgb(
        small.to_ndarray().astype(np.uint16, copy=False), Colours(_PRIMARIES[_BT2020], None, transfer)
    )
    return av.VideoFrame.from_ndarray(pixels, format="rgb24")


def pixels_to_srgb(codes: NDArray[np.uint8] | NDArray[np.uint16], colours: Colours) -> NDArray[np.uint8]:
    """Bring RGB pixels of 8 or 16 bits, [height, width, 3], to 8-bit sRGB."""
    wide = codes if codes.dtype == np.uint16 else codes.astype(np.uint16) * 257
    light = _light(colours.transfer, colours.exponent)[wide]
    if colours.transfer == HLG:
        light *= (_HLG_PEAK_NITS / _WHITE_NITS) * (light @ _LUMA)[..., None] ** (_HLG_GAMMA - 1)
    light = np.maximum(light @ _to_bt709(colours.primaries).T, 0)
    if colours.transfer:
        # By the brightest channel, so that the hue stays.
        peak = np.maximum(light.max(axis=2, keepdims=True), 1e-6)
        rolled = np.where(peak <= _KNEE, peak, _KNEE + (1 - _KNEE) * (1 - np.exp((_KNEE - peak) / (1 - _KNEE))))
        light *= rolled / peak
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    coded = 255 * np.minimum(coded, 1) + 0.5
    return np.asarray(coded.astype(np.uint8))


@lru_cache(maxsize=8)
def _light(transfer: int | None, exponent: float | None) -> NDArray[np.float32]:
    """Light of each 16-bit code: of the display, 1 being white; of HLG, of the scene, 0 to 1."""
    code = np.arange(65536) / 65535
    if transfer == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    elif transfer == PQ:
        root = code ** (1 / 78.84375)
        light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
        light *= 10_000 / _WHITE_NITS
    elif exponent:
        light = code**exponent
    else:
        light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return np.asarray(light.astype(np.float32))


@lru_cache(maxsize=8)
def _to_bt709(primaries: Chromaticities) -> NDArray[np.float32]:
    """Light in these primaries to light in those of BT.709 (and sRGB), white to white."""
    matrix = np.linalg.inv(_to_xyz(_BT709)) @ _to_xyz(primaries)
    return np.asarray((matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32))


def _to_xyz(primaries: Chromaticities) -> NDArray[np.float64]:
    """Light in these primaries to XYZ (SMPTE RP 177)."""
    white, *colours = (np.array([x, y, 1 - x - y]) / y for x, y in zip(primaries[::2], primaries[1::2], strict=True))
    columns = np.stack(colours, axis=1)
    return np.asarray(columns * np.linalg.solve(columns, white))
