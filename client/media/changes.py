"""How much a video's frames differ from each other: whether there is more to be seen in them than in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_EDGE = 32
"""Pixels, at least: what is looked at is an eighth of what the model sees, so that noise does not count."""
_HARDLY = 2.5
"""Mean difference of grey values, of 255. Strong noise over a still picture makes 0.6, a flicker of 2 % makes 1.9; what
moves in a ninth of the picture makes 2.7, in a sixth of it 5."""


def hardly_change(jpegs: Sequence[bytes]) -> bool:
    """Whether all frames show what the first one shows; of a single one that is not known."""
    if len(jpegs) < 2:
        return False
    first = _grey(jpegs[0])
    return all(float(np.abs(_grey(jpeg) - first).mean()) < _HARDLY for jpeg in jpegs[1:])


def _grey(jpeg: bytes) -> NDArray[np.float32]:
    pixels = simplejpeg.decode_jpeg(jpeg, "GRAY", fastdct=True, fastupsample=True, min_height=_EDGE, min_width=_EDGE)
    return np.asarray(pixels, np.float32)
