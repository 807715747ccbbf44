"""Sounds for tests, as files of several formats."""

from __future__ import annotations

import io

import av
import numpy as np

RATE = 16_000
"""Of the samples here."""
FORMATS = {
    "wav": ("wav", "pcm_s16le", 16_000),
    "float.wav": ("wav", "pcm_f32le", 48_000),
    "mp3": ("mp3", "mp3", 44_100),
    "flac": ("flac", "flac", 16_000),
    "ogg": ("ogg", "libopus", 48_000),
    "m4a": ("mp4", "aac", 44_100),
    "webm": ("webm", "libopus", 48_000),
    "mpeg": ("mpeg", "mp2", 48_000),
}
"""Suffix -> FFmpeg's format and codec, samples a second."""


def tone(length_s: float, rate: int, pitch: float = 440.0, peak: float = 0.5) -> np.ndarray:
    """A tone, float32 [samples]."""
    return (peak * np.sin(2 * np.pi * pitch * np.arange(int(length_s * rate)) / rate)).astype(np.float32)


def encoded(samples: np.ndarray, suffix: str = "wav", *, channels: int = 1, of_rate: int = RATE) -> bytes:
    """A file with these samples, the same in each channel; they are brought to the format's rate."""
    container, codec, rate = FORMATS[suffix]
    layout = "stereo" if channels == 2 else "mono"
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        sound = av.AudioFrame.from_ndarray(np.stack([samples] * channels), format="fltp", layout=layout)
        sound.sample_rate = of_rate
        size = stream.codec_context.frame_size or None
        resampler = av.AudioResampler(stream.codec_context.format, layout, rate, size)
        for frame in [*resampler.resample(sound), *resampler.resample(None)]:
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()
