"""The sound of a source while it comes: pieces for a model that transcribes, cut where nobody speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from av.audio.resampler import AudioResampler

from client.live.messages import LONGEST_PIECE_S
from client.media.sound import RATE_HZ, Cutter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.frame import AudioFrame

    from client.media.content import SoundPiece

_GAP_S = 0.5
"""Sound that is missing for longer ends a piece."""


class LiveSound:
    """Takes the frames of a sound track as they come."""

    def __init__(self) -> None:
        """Nothing came yet."""
        self._cutter = Cutter(LONGEST_PIECE_S)
        self._resampler: AudioResampler | None = None
        self._form: tuple[int, str, str] | None = None
        self._next = 0
        """Where the next sample stands, if nothing is missing."""

    def add(self, frame: AudioFrame, at_us: int) -> Iterator[SoundPiece]:
        """A frame that is heard at a time; gives the pieces that end now."""
        form = (frame.sample_rate, frame.layout.name, frame.format.name)
        position = round(at_us * RATE_HZ / 1_000_000)
        if form != self._form or self._resampler is None or abs(position - self._next) > _GAP_S * RATE_HZ:
            yield from self.flush()
            self._form, self._next = form, position
            self._resampler = AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
        frame.pts = None  # the resampler would fill gaps too
        for resampled in self._resampler.resample(frame):
            samples = np.nan_to_num(resampled.to_ndarray().reshape(-1)).astype(np.float32, copy=False)
            yield from self._cutter.add(self._next, samples)
            self._next += len(samples)

    def flush(self) -> Iterator[SoundPiece]:
        """The pieces of all that is held."""
        yield from self._cutter.flush()
