"""Draw sample advertisements: videos as real H.264 MP4 files in which somebody speaks, pictures as JPEG, PNG and WebP.

    python -m scripts.demo.sample_ads ads                     # 16 videos, 12 pictures
    python -m scripts.demo.sample_ads ads --videos 100 --pictures 0 --seed 7

The same seed draws the same advertisements. What is true of each file is kept beside them in `.truth.json`,
for scripts that score captions.
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from scripts.demo.voices import Voice, random_voice, say
from scripts.demo.world.draw import Style, draw_frame, draw_picture, random_style
from scripts.demo.world.lines import Line, new_lines
from scripts.demo.world.pictures import Picture, random_picture
from scripts.demo.world.scenes import Clip, Scene, random_clip
from scripts.demo.world.score import SWAPPED

if TYPE_CHECKING:
    from collections.abc import Iterable

SIZES = ((640, 360), (854, 480), (480, 480), (360, 640), (480, 360), (1280, 720))
PICTURE_SIZES = (
    (800, 800),
    (1200, 300),
    (500, 1000),
    (28, 28),
    (1280, 720),
    (900, 300),
    (600, 800),
    (1000, 500),
    (300, 900),
)
PICTURE_FORMATS = ("jpg", "png", "webp", "jpg")
RATES = (Fraction(24), Fraction(25), Fraction(30), Fraction(15), Fraction(30000, 1001))
TRUTH = ".truth.json"
SOUND_RATE = 44_100
TWO_LINES_S, THREE_LINES_S = 5.0, 8.0
"""Advertisements of these lengths have so many."""
SOFT, LOUD = 0.02, 0.7
"""The tune behind a voice, and the peak of the voice."""


@dataclass(frozen=True)
class Ad:
    """One sample video before it is drawn."""

    name: str
    clip: Clip
    style: Style
    size: tuple[int, int]
    rate: Fraction
    length_s: float
    lines: tuple[str, ...]
    """What is said in it; in one in eight nobody speaks."""
    voice: Voice

    @property
    def frames(self) -> int:
        """Number of frames of the video."""
        return max(8, round(self.length_s * self.rate))


@dataclass(frozen=True)
class Still:
    """One sample picture before it is drawn."""

    name: str
    picture: Picture
    style: Style
    size: tuple[int, int]


def plan(seed: int, count: int) -> list[Ad]:
    """Draw by lot what `count` videos show and how long they are."""
    rng, casting = random.Random(seed), random.Random(f"lines {seed}")
    ads = []
    for number in range(count):
        clip, style = random_clip(rng), random_style(rng)
        size = SIZES[number % len(SIZES)]
        rate, length_s = rng.choice(RATES), round(rng.uniform(3.0, 10.0), 1)
        count = 0 if number % 8 == 7 else 1 + (length_s >= TWO_LINES_S) + (length_s >= THREE_LINES_S)
        lines = new_lines(casting, style.brand, count) if count else []
        name = f"{number + 1:03d}-{style.brand.lower()}.mp4"
        ads.append(Ad(name, clip, style, size, rate, length_s, tuple(lines), random_voice(casting)))
    return ads


def swapped(ads: Iterable[Ad]) -> list[Ad]:
    """The advertisements in which somebody speaks, each with the lines and the voice of the one behind it."""
    speaking = [ad for ad in ads if ad.lines]
    return [
        replace(ad, name=ad.name.replace(".", f"{SWAPPED}."), lines=other.lines[: len(ad.lines)], voice=other.voice)
        for ad, other in zip(speaking, [*speaking[1:], *speaking[:1]], strict=True)
    ]


def plan_pictures(seed: int, count: int) -> list[Still]:
    """Draw lots for `count` pictures: banners, posters, squares and icons, so that every number of tiles occurs."""
    rng = random.Random(f"pictures {seed}")
    stills = []
    for number in range(count):
        picture, style = random_picture(rng), random_style(rng)
        suffix = PICTURE_FORMATS[number % len(PICTURE_FORMATS)]
        size = PICTURE_SIZES[number % len(PICTURE_SIZES)]
        stills.append(Still(f"p{number + 1:03d}-{style.brand.lower()}.{suffix}", picture, style, size))
    return stills


def tune(length_s: float, rng: random.Random, rate: int = SOUND_RATE) -> np.ndarray:
    """A simple tune: float32 [1, samples], `rate` of them a second, one soft note every quarter of a second."""
    time = np.arange(int(length_s * rate)) / rate
    notes = np.array([rng.choice((262, 294, 330, 392, 440)) for _ in range(int(length_s * 4) + 1)])
    beat = time * 4
    wave = np.sin(2 * np.pi * notes[beat.astype(int)] * time) * np.exp(-4 * (beat % 1)) * 0.25
    samples: np.ndarray = wave.astype(np.float32)[None]
    return samples


def soundtrack(ad: Ad) -> tuple[np.ndarray, tuple[Line, ...]]:
    """A tune, and the lines of an advertisement over it, which is soft then; and when each of them is said.

    Returns float32 [1, samples], `SOUND_RATE` of them a second; a line that no longer fits is not said.
    """
    rng = random.Random(ad.name)
    length_s = float(ad.frames / ad.rate)
    samples = tune(length_s, rng)
    said: list[Line] = []
    begin = int(rng.uniform(0.1, 0.6) * SOUND_RATE)
    for text in ad.lines:
        speech = say(text, ad.voice, SOUND_RATE)
        end = begin + len(speech)
        if end > samples.shape[1]:
            break
        if not said:
            samples *= np.float32(SOFT)
        samples[0, begin:end] += speech / np.abs(speech).max() * np.float32(LOUD)
        said.append(Line(text, round(begin / SOUND_RATE, 3), round(end / SOUND_RATE, 3)))
        begin = end + int(rng.uniform(1.0, 1.3) * SOUND_RATE)
    return samples, tuple(said)


def write_video(ad: Ad, path: Path) -> tuple[Line, ...]:
    """Write a sample video as an MP4 file; returns what is said in it."""
    samples, said = soundtrack(ad)
    drawn = (draw_frame(ad.clip, ad.style, ad.size, index=index, frames=ad.frames) for index in range(ad.frames))
    encode(path, ad.size, ad.rate, drawn, samples)
    return said


def encode(path: Path, size: tuple[int, int], rate: Fraction, drawn: Iterable[np.ndarray], samples: np.ndarray) -> None:
    """Write H.264 (yuv420p, B-frames, a keyframe every 2 s at least) and AAC into an MP4 file.

    Args:
        path: Of the file.
        size: Width and height.
        rate: Frames a second.
        drawn: The frames, uint8 RGB [height, width, 3].
        samples: The sound, float32 [1, samples], `SOUND_RATE` of them a second.
    """
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        video = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "23"})
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        video.codec_context.gop_size = int(rate * 2)
        video.codec_context.thread_count = 1
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for pixels in drawn:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        notes = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        notes.sample_rate = SOUND_RATE
        container.mux(sound.encode(notes))
        container.mux(sound.encode(None))


def write_picture(still: Still, path: Path) -> None:
    """Write the picture in the format that its name says."""
    Image.fromarray(draw_picture(still.picture, still.style, *still.size)).save(path, quality=90)


def write_ads(
    folder: Path, seed: int, videos: int, pictures: int, console: Console | None = None, *, swaps: bool = False
) -> dict[str, Clip | Picture]:
    """Draw the advertisements of a seed into `folder`; returns what is true of each file, by its name.

    `swaps`: the videos once more, with what is said in others.

    Raises:
        OSError: the folder or a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    truth: dict[str, Clip | Picture] = {}
    for still in plan_pictures(seed, pictures):
        write_picture(still, folder / still.name)
        truth[still.name] = still.picture
    said: dict[str, tuple[Line, ...]] = {}
    ads = plan(seed, videos)
    ads += swapped(ads) if swaps else []
    for ad in track(ads, "drawing advertisements", console=console or Console(stderr=True)):
        said[ad.name] = write_video(ad, folder / ad.name)
        truth[ad.name] = ad.clip
    written = {name: asdict(shown) for name, shown in truth.items()}
    for name, lines in said.items():
        written[name]["lines"] = [asdict(line) for line in lines]
    (folder / TRUTH).write_text(json.dumps(written, indent=1) + "\n")
    return truth


def read_truth(folder: Path) -> dict[str, Clip | Picture]:
    """What is true of the sample advertisements in `folder`, by file name; empty if there are none."""
    path = folder / TRUTH
    if not path.exists():
        return {}
    written: dict[str, dict[str, Any]] = json.loads(path.read_text())
    return {name: _read(shown) for name, shown in written.items()}


def read_lines(folder: Path) -> dict[str, tuple[Line, ...]]:
    """What is said in the sample videos in `folder`, by file name; empty if there are none."""
    path = folder / TRUTH
    if not path.exists():
        return {}
    written: dict[str, dict[str, Any]] = json.loads(path.read_text())
    return {name: tuple(Line(**line) for line in shown["lines"]) for name, shown in written.items() if "lines" in shown}


def _read(shown: dict[str, Any]) -> Clip | Picture:
    if "top" in shown:
        return Picture(Scene(**shown["top"]), Scene(**shown["bottom"]))
    return Clip(tuple(Scene(**scene) for scene in shown["scenes"]), tuple(shown["moments"]))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write them")
    parser.add_argument("--videos", type=int, default=16, help="how many videos (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=12, help="how many pictures (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same files (default: 1)")
    args = parser.parse_args()
    if args.videos < 0 or args.pictures < 0:
        parser.error("--videos and --pictures cannot be negative")
    write_ads(args.folder, args.seed, args.videos, args.pictures)
    print(f"{args.videos} videos and {args.pictures} pictures in {args.folder}")


if __name__ == "__main__":
    main()
