"""New videos and pictures for each round of a benchmark: what was seen once may be in some cache.

Drawn like those of `benchmarks.sampler`: something moves before what stands still, with fine structure, so that they
are as large and as costly to decode as filmed ones. Videos are 854x480, 25 frames a second, 5 to 10 seconds long, with
a cut every 2.5 s; pictures 1280x960.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
from PIL import Image

from scripts.benchmarks.sampler import X264, texture

if TYPE_CHECKING:
    from pathlib import Path

VIDEO_SIZE, PICTURE_SIZE = (854, 480), (1280, 960)
RATE = 25
LENGTHS_S = (5.0, 10.0)
SCENE_S = 2.5


def draw_videos(folder: Path, count: int, seed: int) -> list[Path]:
    """Write `count` videos; no two seeds draw the same."""
    return [_video(folder / f"{number:04}.mp4", np.random.default_rng((seed, number))) for number in range(count)]


def draw_pictures(folder: Path, count: int, seed: int) -> list[Path]:
    """Write `count` pictures; no two seeds draw the same."""
    return [_picture(folder / f"{number:04}.jpg", np.random.default_rng((seed, number))) for number in range(count)]


def _video(path: Path, noise: np.random.Generator) -> Path:
    width, height = VIDEO_SIZE
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options=X264)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        planes = np.full((height * 3 // 2, width), 128, np.uint8)
        for number in range(int(noise.uniform(*LENGTHS_S) * RATE)):
            if number % int(SCENE_S * RATE) == 0:
                scenery, subject = texture(noise, width, height), texture(noise, width // 3, height // 2)
                planes[height:] = texture(noise, width, height // 2) // 4 + 96
            planes[:height] = scenery
            left = 5 * number % (width * 2 // 3)
            planes[height // 4 : height // 4 + height // 2, left : left + width // 3] = subject
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode(None))
    return path


def _picture(path: Path, noise: np.random.Generator) -> Path:
    channels = [texture(noise, *PICTURE_SIZE) for _ in range(3)]
    Image.fromarray(np.stack(channels, axis=2)).save(path, quality=90)
    return path
