"""The sound of a file for a model that transcribes: 16 kHz, mono, in pieces that are cut where nobody speaks.

Whether somebody speaks is told by energy, against the level of the half minute around it. A detector with a model
(Silero) finds 3 % more of speech and takes 75 times as long, and a runtime of 80 MB. Here little hangs on it: what is
not surely silent is kept, so that a song, or noise, is heard too, and a wrong cut costs a word at worst.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import av
import numpy as np
from av.audio.resampler import AudioResampler

from client.errors import MediaError
from client.media.content import SoundEnd, SoundPiece, SoundSilence, Span
from client.media.opening import opened_sound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream

    from client.media.content import SoundPart
    from client.media.waveform import Waveform

    Samples = npt.NDArray[np.float32]

RATE_HZ = 16_000
LONGEST_S = 28.0
"""Of a piece: Whisper hears windows of 30 s."""
LONG_ENOUGH_S = 5.0
"""A piece of this length ends at the next short pause; a shorter one only at a long one."""
SHORT_PAUSE_S, LONG_PAUSE_S = 0.3, 1.0
MARGIN_S = 0.2
"""What is kept of the silence around a piece: words begin and end softly."""
LONG_SILENCE_S = 20.0
_STEP = RATE_HZ // 50
"""Samples of which a level is taken."""
_SILENT = 10 ** (-50 / 20)
"""Root mean square of full scale (-50 dB): less is silence."""
_CLICK_STEPS = 5
"""A sound so short, a tenth of a second, is no word."""
_OVER_NOISE, _UNDER_SPEECH = 3.0, 0.1
_JITTER_S, _LONGEST_FILLED_S = 0.05, 0.5
"""Times of containers are rounded; a gap that is longer than the first is filled, and one over the second is cut at."""


def sound_pieces(path: Path, track: int | None = None, waveform: Waveform | None = None) -> Iterator[SoundPart]:
    """Decode the sound of a file, piece by piece, and last its end; no more than a piece lies in memory.

    Long silence is told as it passes, so that nobody waits for the next piece to know of it.

    Args:
        path: the file, a video or sound alone.
        track: which of several tracks, counted from 1; None: the one that players take.
        waveform: gets all samples.

    Raises:
        MediaError: it cannot be opened, or none of its sound can be decoded.
    """
    with opened_sound(path, track) as sound:
        if sound.stream is None:
            yield SoundEnd(0, sound.warnings)
            return
        source = _Samples(sound.container, sound.stream, sound.zero_s)
        cutter, end, told = Cutter(), 0, 0
        for begin, samples in source:
            if begin != end:
                yield from cutter.flush()
            end = begin + len(samples)
            if waveform:
                waveform.add(begin, samples)
            for piece in cutter.add(begin, samples):
                yield piece
                told = cutter.begin
            if cutter.begin - told >= LONG_SILENCE_S * RATE_HZ:
                yield SoundSilence(_us(cutter.begin))
                told = cutter.begin
        yield from cutter.flush()
        if source.errors and not end:
            raise MediaError("the file is damaged: none of its sound can be decoded")
        damaged = ("damaged: not all of its sound can be decoded; words may be missing",) if source.errors else ()
        yield SoundEnd(_us(end), (*sound.warnings, *damaged))


class _Samples:
    """What a stream holds, as (position, samples): positions count samples from the start of the clock."""

    def __init__(self, container: av.container.InputContainer, stream: AudioStream, zero_s: float) -> None:
        self._container, self._stream, self._zero_s = container, stream, zero_s
        self._resampler: AudioResampler | None = None
        self._form: tuple[int, str, str] | None = None
        self._at = 0
        """Where the next sample stands."""
        self.errors = 0

    def __iter__(self) -> Iterator[tuple[int, Samples]]:
        for frame in self._frames():
            form = (frame.sample_rate, frame.layout.name, frame.format.name)
            gap = self._gap(frame)
            if gap > _LONGEST_FILLED_S * RATE_HZ or form != self._form:
                yield from self._drained()
                self._form = form
                self._resampler = AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
            if gap > _LONGEST_FILLED_S * RATE_HZ:
                self._at += gap
            elif gap > 0:
                yield from self._placed(np.zeros(gap, np.float32))
            frame.pts = None  # the resampler would fill gaps too
            assert self._resampler
            yield from self._resampled(self._resampler.resample(frame))
        yield from self._drained()

    def _frames(self) -> Iterator[AudioFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, IndexError):  # IndexError: see frames.py
                self.errors += 1
                return
            if packet is None:
                return
            try:
                yield from self._stream.decode(packet)
            except av.EOFError:
                return
            except av.FFmpegError:
                self.errors += 1

    def _gap(self, frame: AudioFrame) -> int:
        """Samples that are missing before a frame; 0 where its time says nothing, or goes back."""
        if frame.time is None:
            return 0
        gap = round((frame.time - self._zero_s) * RATE_HZ) - self._at
        return gap if gap > _JITTER_S * RATE_HZ else 0

    def _drained(self) -> Iterator[tuple[int, Samples]]:
        if self._resampler:
            yield from self._resampled(self._resampler.resample(None))
            self._resampler = None

    def _resampled(self, frames: list[AudioFrame]) -> Iterator[tuple[int, Samples]]:
        for frame in frames:
            yield from self._placed(np.nan_to_num(frame.to_ndarray().reshape(-1)))

    def _placed(self, samples: Samples) -> Iterator[tuple[int, Samples]]:
        if len(samples):
            yield self._at, samples
            self._at += len(samples)


class Cutter:
    """Cuts a stream of samples into pieces; how the samples come makes no difference."""

    def __init__(self, longest_s: float = LONGEST_S) -> None:
        """`longest_s` of a piece, in seconds."""
        self._longest = int(longest_s * RATE_HZ)
        self._held: list[Samples] = []
        self._length = 0
        self._begin = 0
        """The position of the first sample that is held."""

    @property
    def begin(self) -> int:
        """The position up to which all is cut."""
        return self._begin

    def add(self, begin: int, samples: Samples) -> Iterator[SoundPiece]:
        """Take samples that begin at a position; gives the pieces that end now."""
        if not self._held:
            self._begin = begin
        self._held.append(samples)
        self._length += len(samples)
        while self._length >= self._longest:
            yield from self._cut(at_end=False)

    def flush(self) -> Iterator[SoundPiece]:
        """The pieces of all that is held."""
        while self._length:
            yield from self._cut(at_end=True)

    def _cut(self, *, at_end: bool) -> Iterator[SoundPiece]:
        """Cut off the first piece of what is held, or the silence in the place of one."""
        held = np.concatenate(self._held)
        looked_at = held[: self._longest]
        levels = _levels(looked_at)
        speaks = levels > _threshold(levels)
        end = len(looked_at) if at_end and len(held) <= len(looked_at) else None
        cut = min(_end_of_piece(levels, speaks, last=end is not None) * _STEP, len(looked_at))
        if end is not None and cut >= len(levels) * _STEP:
            cut = end
        heard = np.flatnonzero(speaks[: -(-cut // _STEP)])
        if len(heard) >= _CLICK_STEPS:
            margin = int(MARGIN_S * RATE_HZ)
            first, last = max(heard[0] * _STEP - margin, 0), min((heard[-1] + 1) * _STEP + margin, cut)
            span = Span(_us(self._begin + int(first)), _us(self._begin + int(last)))
            yield SoundPiece(span, wav(looked_at[first:last]))
        self._held = [held[cut:].copy()] if cut < len(held) else []
        self._length -= cut
        self._begin += cut


def _levels(samples: Samples) -> npt.NDArray[np.float32]:
    """The root mean square of each step, the last one filled up with silence."""
    filled = np.zeros(-(-len(samples) // _STEP) * _STEP, np.float32)
    filled[: len(samples)] = samples
    return np.asarray(np.sqrt(np.mean(filled.reshape(-1, _STEP) ** 2, axis=1)), np.float32)


def _threshold(levels: npt.NDArray[np.float32]) -> float:
    """The level over which somebody may speak: above the noise, and never near that of what is loud."""
    noise, loud = np.percentile(levels, (10, 95))
    return max(_SILENT, min(_OVER_NOISE * float(noise), _UNDER_SPEECH * float(loud)))


def _end_of_piece(levels: npt.NDArray[np.float32], speaks: npt.NDArray[np.bool_], *, last: bool) -> int:
    """Where the first piece of these steps ends, in steps: in the middle of a pause, or else where it is quietest.

    `last`: no more steps follow, and all of them may be the piece.
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([False], ~speaks, [False])).astype(np.int8)))
    pauses = [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]
    per_s = RATE_HZ / _STEP
    begun = 0
    for begin, end in pauses:
        if begin == 0:
            begun = end
            if end >= LONG_PAUSE_S * per_s:
                return end - min(end, int(MARGIN_S * per_s)) or end
            continue
        length_s = (end - begin) / per_s
        if length_s >= LONG_PAUSE_S or (length_s >= SHORT_PAUSE_S and (begin - begun) / per_s >= LONG_ENOUGH_S):
            return (begin + end) // 2
    if last:
        return len(levels)
    width, half = int(MARGIN_S * per_s), len(levels) // 2
    sums = np.convolve(levels[half:] ** 2, np.ones(width), mode="valid")
    return half + int(np.argmin(sums)) + width // 2


def wav(samples: Samples) -> bytes:
    """A WAV file of 32-bit floats, 16 kHz, one channel (RIFF, WAVE_FORMAT_IEEE_FLOAT)."""
    data = samples.astype("<f4").tobytes()
    form = struct.pack("<4sIHHIIHHH", b"fmt ", 18, 3, 1, RATE_HZ, RATE_HZ * 4, 4, 32, 0)
    fact = struct.pack("<4sII", b"fact", 4, len(samples))
    body = b"WAVE" + form + fact + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def _us(position: int) -> int:
    return position * 1_000_000 // RATE_HZ
