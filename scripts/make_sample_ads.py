"""Draw sample advertisements as real H.264 MP4 files with sound.

    python scripts/make_sample_ads.py ads                     # 16 videos
    python scripts/make_sample_ads.py ads --videos 100 --seed 7

The same seed draws the same advertisements. What is true of each file is kept beside them in `.truth.json`,
for scripts that score captions.
"""

from __future__ import annotations

import argparse
import json
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from demo_world.draw import Style, draw_frame, random_style
from demo_world.scenes import Clip, Scene, random_clip
from rich.console import Console
from rich.progress import track

SIZES = ((640, 360), (854, 480), (480, 480), (360, 640), (480, 360), (1280, 720))
RATES = (Fraction(24), Fraction(25), Fraction(30), Fraction(15), Fraction(30000, 1001))
TRUTH = ".truth.json"
SOUND_RATE = 44_100


@dataclass(frozen=True)
class Ad:
    """One sample advertisement before it is drawn."""

    name: str
    clip: Clip
    style: Style
    size: tuple[int, int]
    rate: Fraction
    seconds: float

    @property
    def frames(self) -> int:
        """Number of frames of the video."""
        return max(8, round(self.seconds * self.rate))


def plan(seed: int, count: int) -> list[Ad]:
    """Draw lots for `count` advertisements."""
    rng = random.Random(seed)
    ads = []
    for number in range(count):
        clip, style = random_clip(rng), random_style(rng)
        size = SIZES[number % len(SIZES)]
        rate, seconds = rng.choice(RATES), round(rng.uniform(3.0, 10.0), 1)
        ads.append(Ad(f"{number + 1:03d}-{style.brand.lower()}.mp4", clip, style, size, rate, seconds))
    return ads


def tune(seconds: float, rng: random.Random) -> np.ndarray:
    """A simple tune: float32 [1, samples] at 44.1 kHz, one soft note every quarter of a second."""
    time = np.arange(int(seconds * SOUND_RATE)) / SOUND_RATE
    notes = np.array([rng.choice((262, 294, 330, 392, 440)) for _ in range(int(seconds * 4) + 1)])
    beat = time * 4
    wave = np.sin(2 * np.pi * notes[beat.astype(int)] * time) * np.exp(-4 * (beat % 1)) * 0.25
    return wave.astype(np.float32)[None]


def write_video(ad: Ad, path: Path) -> None:
    """Write H.264 (yuv420p, B-frames, a keyframe every 2 s at least) and AAC into an MP4 file.

    Encoding has a thread of its own: on a thread that has converted colours before, the same frames do not always give
    the same bytes (conversion seems to leave the floating-point unit in a state that the encoder's rate control sees).
    """
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container, ThreadPoolExecutor(1) as encoder:
        video = container.add_stream("libx264", rate=ad.rate, options={"preset": "veryfast", "crf": "23"})
        video.width, video.height = ad.size
        video.pix_fmt = "yuv420p"
        video.codec_context.gop_size = int(ad.rate * 2)
        video.codec_context.thread_count = 1
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for index in range(ad.frames):
            pixels = draw_frame(ad.clip, ad.style, ad.size, index=index, frames=ad.frames)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            container.mux(encoder.submit(video.encode, frame).result())
        container.mux(encoder.submit(video.encode, None).result())
        samples = tune(ad.frames / ad.rate, random.Random(ad.name))
        notes = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        notes.sample_rate = SOUND_RATE
        container.mux(sound.encode(notes))
        container.mux(sound.encode(None))


def write_ads(folder: Path, seed: int, videos: int, console: Console | None = None) -> dict[str, Clip]:
    """Draw the advertisements of a seed into `folder`; returns file name -> clip.

    Raises:
        OSError: the folder or a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ads = plan(seed, videos)
    for ad in track(ads, "drawing advertisements", console=console or Console(stderr=True)):
        write_video(ad, folder / ad.name)
    truth = {ad.name: asdict(ad.clip) for ad in ads}
    (folder / TRUTH).write_text(json.dumps(truth, indent=1) + "\n")
    return {ad.name: ad.clip for ad in ads}


def read_truth(folder: Path) -> dict[str, Clip]:
    """File name -> clip, for the sample advertisements in `folder`; empty if there are none."""
    path = folder / TRUTH
    if not path.exists():
        return {}
    clips: dict[str, dict[str, Any]] = json.loads(path.read_text())
    return {
        name: Clip(tuple(Scene(**scene) for scene in clip["scenes"]), tuple(clip["moments"]))
        for name, clip in clips.items()
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write them")
    parser.add_argument("--videos", type=int, default=16, help="how many videos (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same files (default: 1)")
    args = parser.parse_args()
    if args.videos < 1:
        parser.error("--videos must be at least 1")
    write_ads(args.folder, args.seed, args.videos)
    print(f"{args.videos} videos in {args.folder}")


if __name__ == "__main__":
    main()
