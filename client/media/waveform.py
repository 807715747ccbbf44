"""The thumbnail of sound alone: how loud it is over its time, drawn from what was decoded anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

from client.media.strips import Strip, Thumbnail

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH, HEIGHT = 320, 180
"""Of the picture, in pixels."""
BARS = 80
_MARGIN = 16
"""Pixels above and below the loudest bar."""
_FIRST_BUCKET = 40
"""Samples of which the loudest is kept, as long as the sound is short."""
_MOST_BUCKETS = 8192
_QUIETEST = 0.02
"""Of full scale: sound that is never louder is not drawn as if it were."""
_GROUND, _BAR = (0x1F, 0x24, 0x2C), (0x8A, 0xB8, 0xFF)
_QUALITY = 60


class Waveform:
    """Collects the loudest samples of a sound, however long it is; what is missing of it is silence."""

    def __init__(self) -> None:
        """Begin with none."""
        self._peaks = np.zeros(_MOST_BUCKETS, np.float32)
        self._bucket = _FIRST_BUCKET
        self._end = 0

    def add(self, begin: int, samples: NDArray[np.float32]) -> None:
        """Take samples, of full scale 1, that begin at a position, counted in samples."""
        if not len(samples):
            return
        self._end = max(self._end, begin + len(samples))
        while self._end > self._bucket * _MOST_BUCKETS:
            pairs = self._peaks.reshape(-1, 2).max(axis=1)
            self._peaks = np.concatenate([pairs, np.zeros_like(pairs)])
            self._bucket *= 2
        at = np.arange(begin, begin + len(samples), self._bucket) // self._bucket
        starts = np.maximum(at * self._bucket - begin, 0)
        last = (begin + len(samples) - 1) // self._bucket
        if at[-1] != last:
            at, starts = np.append(at, last), np.append(starts, last * self._bucket - begin)
        np.maximum.at(self._peaks, at, np.maximum.reduceat(np.abs(samples), starts))

    def bars(self) -> NDArray[np.float32]:
        """The loudest sample of each of `BARS` parts of the time, 1 of the loudest of all."""
        count = max(1, -(-self._end // self._bucket))
        edges = np.arange(BARS) * count // BARS
        peaks = np.maximum.reduceat(self._peaks[:count], edges)
        return np.asarray(peaks / max(float(peaks.max()), _QUIETEST), np.float32)

    def thumbnail(self) -> Thumbnail | None:
        """Bars around a middle line; None where there is no sound."""
        if not self._end:
            return None
        picture = np.full((HEIGHT, WIDTH, 3), _GROUND, np.uint8)
        width = WIDTH // BARS
        for number, level in enumerate(self.bars().tolist()):
            half = max(1, round(min(level, 1.0) * (HEIGHT / 2 - _MARGIN)))
            picture[HEIGHT // 2 - half : HEIGHT // 2 + half, number * width : (number + 1) * width - 1] = _BAR
        jpeg: bytes = simplejpeg.encode_jpeg(picture, quality=_QUALITY, colorspace="RGB", colorsubsampling="444")
        return Thumbnail(jpeg, Strip(WIDTH, HEIGHT, [0.0]))
