"""Files with sound whose times are known: tones where somebody would speak, and light noise between them."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from media_files import numbered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

RATE = 16_000
BLOCK = 1600
"""Samples of a frame, a tenth of a second."""
Spans = list[tuple[float, float]]
"""Seconds."""


def tones(spans: Spans, length_s: float, pitch: float = 440.0, noise: float = 0.001) -> np.ndarray:
    """Tones in these spans of `length_s` seconds, float32 [samples]."""
    at = np.arange(int(length_s * RATE)) / RATE
    samples = np.random.default_rng(7).normal(0, noise, len(at))
    for start, end in spans:
        inside = (at >= start) & (at < end)
        samples[inside] += 0.3 * np.sin(2 * np.pi * pitch * at[inside])
    return samples.astype(np.float32)


def blocks(samples: np.ndarray, left_out: Spans = ()) -> Iterator[av.AudioFrame]:  # type: ignore[assignment]
    """Frames of samples with their times, but those that begin in spans that are left out: gaps of the track."""
    for begin in range(0, len(samples), BLOCK):
        if any(start <= begin / RATE < end for start, end in left_out):
            continue
        data = (samples[begin : begin + BLOCK] * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(data[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, begin, Fraction(1, RATE)
        yield frame


def write(
    path: Path,
    tracks: Sequence[np.ndarray],
    *,
    codec: str = "pcm_s16le",
    video_s: float = 0,
    gaps: Spans = (),  # type: ignore[assignment]
    default: int | None = None,
    moving: bool = True,
    **options: Any,
) -> Path:
    """A file with tracks of sound, and `video_s` seconds of pictures, four a second, if that is not 0.

    They are numbered, or all the same one if it is not `moving`.
    `gaps` are left out of all tracks; the track with the number `default`, from 0, says that it is the default one.
    """
    with av.open(str(path), "w", **options) as container:
        pictures = container.add_stream("libx264", rate=4) if video_s else None
        if pictures:
            pictures.width, pictures.height, pictures.pix_fmt = 96, 64, "yuv420p"
        streams = [container.add_stream(codec, rate=RATE, layout="mono") for _ in tracks]
        for number, stream in enumerate(streams):
            stream.disposition = av.stream.Disposition.default if number == default else av.stream.Disposition(0)
        packets: list[av.Packet] = []
        if pictures:
            for number in range(int(video_s * 4)):
                packets += pictures.encode(
                    av.VideoFrame.from_ndarray(numbered(number if moving else 0, (96, 64)), format="rgb24")
                )
            packets += pictures.encode(None)
        for stream, samples in zip(streams, tracks, strict=True):
            resampler = av.AudioResampler(
                stream.codec_context.format, "mono", RATE, stream.codec_context.frame_size or None
            )
            for frame in blocks(samples, gaps):
                for fitting in resampler.resample(frame) if stream.codec_context.format.name != "s16" else [frame]:
                    packets += stream.encode(fitting)
            packets += stream.encode(None)
        packets.sort(key=lambda packet: float((packet.dts or 0) * packet.time_base))
        for packet in packets:
            container.mux(packet)
    return path
