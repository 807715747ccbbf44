"""How good pictures are as pictures, measured on those that a model would see: blur, exposure, bars at the edges.

The thresholds were found on generated pictures (noise like that of nature, drawn shapes), sharp and blurred, and are
checked by `tests/unit/test_client_quality.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from client.media.content import Frame

BLURRED_BELOW = 1.25
"""Of sharpness: sharp edges have about 2, those that are spread over more than two pixels less than 1."""
_STRONGEST = 99.5
"""Percentile of differences between pixels that count as edges."""
_FAINT_EDGE, _FLAT = 6.0, 10.0
"""Levels of 256: weaker edges are none; a picture whose levels deviate less than that shows nothing to be sharp."""
DARK_LEVEL, BRIGHT_LEVEL, MOST_CLIPPED = 16, 247, 0.8
"""A picture of which most is as dark as black of limited range, or nearly white, is exposed wrongly. (Things are often
shown on white, which takes less of a picture.)"""
_BAR_LEVEL, _LEAST_BAR, _LEAST_SAME = 32, 0.03, 0.02
"""Bars are darker, take so much of each of two opposite sides, and are equal but for so much."""
_WORST_SHARE = 0.5
"""Of frames with an issue: more of them are `poor`."""


def measure(frames: Sequence[Frame]) -> dict[str, Any]:
    """What is measured of a picture, or of frames of a video: the data of the task `quality`.

    `verdict` is `good`; `fair` with an issue in some frames, or bars; `poor` with one in most.
    """
    each = [_of_picture(frame) for frame in frames]
    issues = [issue for frame in each for issue in frame["issues"]]
    bars = [frame.pop("bars") for frame in each]
    common = max(dict.fromkeys(bars), key=bars.count)
    affected = sum(bool(frame["issues"]) for frame in each) / len(each)
    verdict = "poor" if affected > _WORST_SHARE else "fair" if issues or common != "none" else "good"
    return {"verdict": verdict, "issues": sorted(set(issues)), "bars": common, "frames": each}


def _of_picture(frame: Frame) -> dict[str, Any]:
    luma: NDArray[np.uint8] = simplejpeg.decode_jpeg(frame.jpeg, colorspace="GRAY")[..., 0]
    top, side = _bars(luma), _bars(luma.T)
    height, width = luma.shape
    inner = luma[top : height - top, side : width - side]
    sharpness = _sharpness(inner)
    dark, bright = float((inner <= DARK_LEVEL).mean()), float((inner >= BRIGHT_LEVEL).mean())
    issues = [
        name
        for name, is_so in (
            ("blurred", sharpness is not None and sharpness < BLURRED_BELOW),
            ("dark", dark > MOST_CLIPPED),
            ("bright", bright > MOST_CLIPPED),
        )
        if is_so
    ]
    bars = {(False, False): "none", (True, False): "letterbox", (False, True): "pillarbox", (True, True): "windowbox"}
    return {
        "at": round(frame.pts_us / 1e6, 3),
        "issues": issues,
        "sharpness": None if sharpness is None else round(sharpness, 2),
        "dark": round(dark, 3),
        "bright": round(bright, 3),
        "bars": bars[top > 0, side > 0],
    }


def _sharpness(luma: NDArray[np.uint8]) -> float | None:
    """How abrupt the strongest edges are: their second difference beside their first; None where there are none."""
    if min(luma.shape) < 3 or luma.std() < _FLAT:
        return None
    levels = luma.astype(np.float32)
    second = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:] - 4 * levels[1:-1, 1:-1]
    first = np.percentile(np.abs(np.diff(levels, axis=1)), _STRONGEST)
    if first < _FAINT_EDGE:
        return 0.0
    return float(np.percentile(np.abs(second), _STRONGEST) / first)


def _bars(luma: NDArray[np.uint8]) -> int:
    """How many rows are dark at the top as well as at the bottom; 0 where that are no bars."""
    bright = np.flatnonzero((luma > _BAR_LEVEL).mean(axis=1) > _LEAST_SAME)
    if not len(bright):
        return 0
    above, below = int(bright[0]), len(luma) - 1 - int(bright[-1])
    same = abs(above - below) <= _LEAST_SAME * len(luma) + 1
    return min(above, below) if same and min(above, below) >= _LEAST_BAR * len(luma) else 0
