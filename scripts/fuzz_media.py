"""Change bytes of pictures and videos of every format, and see that each is read, or refused, and no loss goes untold.

    python -m scripts.fuzz_media --files 2000 --seed 1

Prints a line for each format: how many of its changed files were read as before, read with a loss that is told, read
with one that is not, and refused. Exit code 1: a decoder crashed or hung.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import numpy as np
import pillow_heif
from PIL import Image

from client.errors import MediaError
from client.media.load import identify
from client.media.loaders import Loaders
from client.media.sampling import Sampling

if TYPE_CHECKING:
    from av.video.stream import VideoStream

SIZE, FRAMES, LOOKED_AT = (192, 112), 16, 4
VIDEOS: dict[str, tuple[str, dict[str, str]]] = {
    "h264.mp4": ("libx264", {"g": "6", "bf": "2", "preset": "veryfast"}),
    "h264.mkv": ("libx264", {"g": "6", "bf": "2", "preset": "veryfast"}),
    "h264.ts": ("libx264", {"g": "6", "bf": "2", "preset": "veryfast"}),
    "h264.flv": ("libx264", {"g": "6", "bf": "0", "preset": "veryfast"}),
    "h264.avi": ("libx264", {"g": "6", "bf": "0", "preset": "veryfast"}),
    "hevc.mp4": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=0:keyint=6"}),
    "av1.mkv": ("libsvtav1", {"preset": "12", "g": "6"}),
    "vp9.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "6"}),
    "vp8.webm": ("libvpx", {"deadline": "realtime", "cpu-used": "8", "g": "6"}),
    "mpeg4.avi": ("mpeg4", {"g": "6", "b": "1M"}),
    "mpeg2.mpg": ("mpeg2video", {"g": "6", "bf": "2", "b": "1M"}),
    "mpeg2.mxf": ("mpeg2video", {"g": "6", "b": "1M"}),
    "mjpeg.avi": ("mjpeg", {}),
    "prores.mov": ("prores_ks", {}),
}
PIXELS = {"mjpeg.avi": "yuvj420p", "prores.mov": "yuv422p10le"}
PICTURES = ("jpg", "png", "webp", "gif", "tiff", "bmp", "jp2", "avif", "heic", "ppm", "tga", "ico", "qoi")
ANIMATIONS = ("animated.gif", "animated.webp", "animated.png")
FAILED = re.compile(r"decoder (crashed|was killed|ended)|not decoded within")


def scene(number: int) -> np.ndarray:
    """Waves that move, RGB: each packet has something to say."""
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    wave = (np.sin((x + 3 * number) / 9) + np.cos((y - 2 * number) / 7) + np.sin(x * y / 300 + number / 5)) * 40 + 128
    return np.stack([wave, np.roll(wave, number, 1), 255 - wave], -1).clip(0, 255).astype(np.uint8)


def write(path: Path) -> None:
    """Write a sound file of the format that its name tells."""
    if path.name in VIDEOS:
        codec, options = VIDEOS[path.name]
        with av.open(str(path), "w") as container:
            stream = cast("VideoStream", container.add_stream(codec, rate=25, options=options))
            stream.width, stream.height = SIZE
            stream.pix_fmt = PIXELS.get(path.name, "yuv420p")
            for number in range(FRAMES):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(number))))
            container.mux(stream.encode(None))
        return
    pictures = [Image.fromarray(scene(number)) for number in range(FRAMES if path.name in ANIMATIONS else 1)]
    if path.suffix == ".heic":
        pillow_heif.from_pillow(pictures[0]).save(path)
    elif len(pictures) > 1:
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40)
    else:
        pictures[0].save(path)


def change(data: bytes, rng: random.Random) -> bytes:
    """Flip, zero, overwrite, cut out, repeat or cut off some bytes; headers more often than the rest."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 3, 30))):
        place = rng.randrange(min(len(changed), rng.choice((200, 2000, len(changed), len(changed)))))
        length = rng.choice((1, 4, 200))
        match rng.randrange(6):
            case 0:
                changed[place] ^= 1 << rng.randrange(8)
            case 1:
                changed[place : place + length] = bytes(len(changed[place : place + length]))
            case 2:
                changed[place : place + 4] = rng.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\x01"))
            case 3:
                del changed[place : place + length]
            case 4:
                changed[place:place] = changed[place : place + length]
            case _:
                del changed[max(1, place) :]
        if len(changed) < 2:
            break
    return bytes(changed)


def outcome(loaders: Loaders, path: Path, clean: list[bytes]) -> str:
    """What becomes of a changed file."""
    try:
        (content,) = loaders.load(path, identify(path), Sampling(LOOKED_AT))
    except MediaError as error:
        failed = FAILED.search(str(error))
        return f"FAILED: {failed[0]}" if failed else "refused"
    for jpeg in content.jpegs:
        Image.open(io.BytesIO(jpeg)).load()
    if content.jpegs == clean:
        return "as before"
    return "loss told" if content.warnings else "loss untold"


def main() -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=2000, help="changed files in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep files with an untold loss, and those that failed"
    )
    given = parser.parse_args()
    names = [*VIDEOS, *ANIMATIONS, *(f"a.{suffix}" for suffix in PICTURES)]
    failed = 0
    loaders = Loaders(1, timeout_s=30)
    print(f"{'format':<16}{'as before':>10}{'loss told':>10}{'untold':>10}{'refused':>10}{'failed':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(names):
            path = Path(folder) / name
            write(path)
            whole, rng = path.read_bytes(), random.Random(f"{given.seed} {name}")
            (content,) = loaders.load(path, identify(path), Sampling(LOOKED_AT))
            seen: Counter[str] = Counter()
            for at in range(given.files // len(names) + (number < given.files % len(names))):
                data = change(whole, rng)
                path.write_bytes(data)
                what = outcome(loaders, path, content.jpegs)
                seen["failed" if what.startswith("FAILED") else what] += 1
                if given.keep and what not in ("as before", "loss told", "refused"):
                    given.keep.mkdir(parents=True, exist_ok=True)
                    (given.keep / f"{at}-{name}").write_bytes(data)
            counts = (seen[what] for what in ("as before", "loss told", "loss untold", "refused"))
            print(f"{name:<16}{''.join(f'{count:>10}' for count in counts)}{seen['failed']:>8}", flush=True)
            failed += seen["failed"]
    loaders.close()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
