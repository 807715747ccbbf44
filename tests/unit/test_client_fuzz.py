"""Mutated files never hang, crash or leak: each gives frames or a clear error for itself alone."""

from __future__ import annotations

import io
import random
import re
from collections import Counter
from typing import TYPE_CHECKING

import pillow_heif
import psutil
import pytest
from ffmpeg_files import encode
from media_files import numbered
from PIL import Image

from client.errors import MediaError
from client.media.load import identify
from client.media.loaders import Loaders
from client.media.sampling import Sampling
from scripts.fuzz_media import change

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

X264 = "-c:v libx264 -g 6 -bf 2"
VIDEOS = {
    "a.mp4": X264,
    "fragments.mp4": f"{X264} -movflags frag_keyframe+empty_moov",
    "a.mkv": X264,
    "a.ts": X264,
    "a.flv": X264,
    "hevc.mp4": "-c:v libx265 -preset ultrafast -x265-params log-level=0",
    "av1.mkv": "-c:v libsvtav1 -preset 12",
    "a.webm": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8",
    "a.mov": "-c:v prores_ks",
    "a.avi": "-c:v mpeg4 -g 6",
    "a.mpg": "-c:v mpeg2video -g 6 -bf 2",
    "a.mxf": "-c:v mpeg2video -g 6",
    "a.wmv": "-c:v wmv2",
    "a.ogv": "-c:v libtheora",
    "a.rm": "-c:v rv20",
}
PICTURES = ("png", "jpg", "gif", "webp", "tiff", "avif", "bmp", "jp2", "ppm", "heic", "tga", "ico", "qoi", "jxl")
ANIMATIONS = ("animated.gif", "animated.webp", "animated.png")
ROUNDS = 40


def make(path: Path) -> Path:
    if settings := VIDEOS.get(path.name):
        return encode(path, f"{settings} -frames:v 20")
    picture = Image.fromarray(numbered(7))
    if path.stem == "animated":
        others = [Image.fromarray(numbered(number)) for number in range(8, 12)]
        picture.save(path, save_all=True, append_images=others, duration=40)
        return path
    if path.suffix == ".jxl":
        import pillow_jxl  # noqa: F401, PLC0415 (it registers itself)
    if path.suffix == ".heic":
        pillow_heif.from_pillow(picture).save(path)
    else:
        picture.save(path)
    return path


@pytest.fixture(scope="module")
def loaders() -> Iterator[Loaders]:
    """One worker for all files, as in a run of a thousand."""
    made = Loaders(1, timeout_s=30)
    yield made
    made.close()


def newest_worker() -> psutil.Process:
    processes = psutil.Process().children(recursive=True)
    return max(processes, key=lambda process: (process.create_time(), process.pid))


def load_mutated(loaders: Loaders, path: Path, whole: bytes, rounds: int, rng: random.Random) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for _ in range(rounds):
        path.write_bytes(change(whole, rng))
        try:
            (content,) = loaders.load(path, identify(path), Sampling(4))
        except MediaError as error:
            bad = re.search(r"decoder (crashed|was killed|ended)|not decoded within", str(error))
            outcomes[bad[0] if bad else "refused"] += 1
        else:
            assert 1 <= len(content.jpegs) <= 4
            for jpeg in content.jpegs:
                Image.open(io.BytesIO(jpeg)).load()
            outcomes["loaded"] += 1
    return outcomes


@pytest.mark.parametrize("name", [*VIDEOS, *ANIMATIONS, *(f"a.{suffix}" for suffix in PICTURES)])
def test_mutated_files_give_frames_or_an_error(tmp_path: Path, loaders: Loaders, name: str) -> None:
    path = make(tmp_path / name)
    outcomes = load_mutated(loaders, path, path.read_bytes(), ROUNDS, random.Random(name))
    assert outcomes["refused"]
    assert outcomes["refused"] + outcomes["loaded"] == ROUNDS, outcomes


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """Open files and memory of a worker, after as many failures again as before."""
    loaders = Loaders(1, timeout_s=30)
    paths = [make(tmp_path / name) for name in ("a.mp4", "a.mkv", "a.ts", "a.png", "a.tiff", "a.heic")]
    wholes = [path.read_bytes() for path in paths]
    seen: list[tuple[int, int, int]] = []
    for part in range(3):
        rng = random.Random(1)  # the same ones each time
        for path, whole in zip(paths, wholes, strict=True):
            load_mutated(loaders, path, whole, 30, rng)
        process = newest_worker()
        seen.append((process.pid, process.num_fds(), process.memory_full_info().uss))
        assert part == 0 or seen[part][:2] == seen[0][:2]
    loaders.close()
    assert seen[2][2] - seen[1][2] < 8 << 20
