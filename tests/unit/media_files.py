"""Videos written on the fly, every frame with its own number in it."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from PIL import Image

from client.media.load import identify, load_spans
from client.media.video import load_video

if TYPE_CHECKING:
    from pathlib import Path

    from client.media.content import Content
    from client.media.sampling import Sampling

BITS = 10
SIZE = (160, 96)


def numbered(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """RGB [height, width, 3]: `BITS` black or white columns, the highest bit on the left."""
    bits = [(number >> (BITS - 1 - place)) & 1 for place in range(BITS)]
    row = np.array(bits, np.uint8)[np.arange(size[0]) * BITS // size[0]] * 255
    return np.repeat(np.repeat(row[None, :, None], size[1], axis=0), 3, axis=2)


def number_of(jpeg: bytes) -> int:
    """The number in a JPEG of a numbered frame."""
    row = np.asarray(Image.open(io.BytesIO(jpeg)).convert("L"))[5:-5].mean(axis=0)
    centres = ((np.arange(BITS) + 0.5) * len(row) / BITS).astype(int)
    return int("".join("1" if row[c] > 127 else "0" for c in centres), 2)


def load_file(path: Path, sampling: Sampling) -> Content:
    """All of a picture or video, as the client's decoders take it."""
    (content,) = load_spans(path, identify(path), sampling, [None])
    return content


def whole_video(path: Path, sampling: Sampling) -> Content:
    """All of a video, whatever its name and its first bytes say."""
    (content,) = load_video(path, sampling, [None])
    return content


def write_video(
    path: Path,
    frames: int = 60,
    *,
    codec: str = "libx264",
    size: tuple[int, int] = SIZE,
    rate: int = 25,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    times: list[int] | None = None,
    container_format: str | None = None,
    rotation: int = 0,
    pixel_aspect: Fraction | None = None,
    sound: bool = False,
    picture: Any = numbered,
) -> Path:
    """Write frames `picture(0)`, `picture(1)`, ...; `times` are presentation times in milliseconds."""
    with av.open(str(path), "w", format=container_format, options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {"crf": "20", "preset": "veryfast"})
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.thread_count = 1
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        if pixel_aspect:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        tone = container.add_stream("aac", rate=44100, layout="mono") if sound else None
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number, size))
            if times:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), "fltp", "mono")
            silence.sample_rate = 44100
            container.mux(tone.encode(silence))
            container.mux(tone.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """One second of silence, no picture."""
    with av.open(str(path), "w") as container:
        tone = container.add_stream("aac", rate=44100, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), "fltp", "mono")
        silence.sample_rate = 44100
        container.mux(tone.encode(silence))
        container.mux(tone.encode(None))
    return path
