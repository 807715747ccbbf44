"""Videos made, cut and read by FFmpeg's own program, every frame with its own number in it."""

from __future__ import annotations

import functools
import subprocess
from typing import TYPE_CHECKING

import imageio_ffmpeg
import numpy as np
from media_files import BITS, SIZE, numbered

if TYPE_CHECKING:
    from pathlib import Path

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
FRAMES = 90
X264 = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -b_strategy 0"


@functools.cache
def raw_frames(count: int = FRAMES) -> bytes:
    return b"".join(numbered(number).tobytes() for number in range(count))


def ffmpeg(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    command = [FFMPEG, "-y", "-loglevel", "error", "-threads", "1", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def encode(path: Path, settings: str) -> Path:
    """Frames 0, 1, 2, ... at 25 a second."""
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{SIZE[0]}x{SIZE[1]}", "-r", "25", "-i", "-"]
    ffmpeg(*source, *settings.split(), "-threads", "1", path, stdin=raw_frames())
    return path


def displayed(path: Path) -> list[int]:
    """The numbers of all frames that FFmpeg shows of a file, in order: decoded one after the other."""
    width, height = SIZE
    picture = ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}", "-"]
    frames = np.frombuffer(ffmpeg("-i", path, "-map", "0:v:0", *picture), np.uint8).reshape(-1, height, width)
    centres = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    bits = frames[:, 5:-5].mean(axis=1)[:, centres] > 127
    return [int(number) for number in bits @ (1 << np.arange(BITS)[::-1])]
