"""Mutated files never hang, crash or leak out as anything but a clear error."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING

import pytest
from media_files import numbered, write_video
from PIL import Image

from client.errors import MediaError
from client.media.image import load_image
from client.media.sampling import Sampling
from client.media.video import load_video

if TYPE_CHECKING:
    from pathlib import Path


def mutations(data: bytes, rng: random.Random) -> bytes:
    """Flip, zero, cut out, repeat or cut off some bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 3, 30))):
        place = rng.randrange(len(changed))
        length = rng.choice((1, 4, 200))
        match rng.randrange(5):
            case 0:
                changed[place] ^= 1 << rng.randrange(8)
            case 1:
                changed[place : place + length] = bytes(len(changed[place : place + length]))
            case 2:
                del changed[place : place + length]
            case 3:
                changed[place:place] = changed[place : place + length]
            case _:
                del changed[max(1, place) :]
        if len(changed) < 2:
            break
    return bytes(changed)


@pytest.mark.parametrize(
    "name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.png", "a.jpg", "a.gif", "a.webp", "a.tiff", "a.avif"]
)
def test_mutated_files_give_frames_or_an_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    pictures = not name.endswith((".mp4", ".mkv", ".ts", ".avi"))
    if not pictures:
        codec = "mpeg4" if name.endswith(".avi") else "libx264"
        write_video(path, 20, codec=codec, options={"g": "6", "bf": "2"})
    else:
        Image.fromarray(numbered(7)).save(path)
    whole = path.read_bytes()
    rng = random.Random(name)
    loaded = refused = 0
    for _ in range(40):
        path.write_bytes(mutations(whole, rng))
        try:
            # Not `load`, which would turn whatever goes wrong into an error of this file.
            content = load_image(path) if pictures else load_video(path, Sampling(4))
        except MediaError:
            refused += 1
        else:
            assert 1 <= len(content.jpegs) <= 4
            for jpeg in content.jpegs:
                Image.open(io.BytesIO(jpeg)).load()
            loaded += 1
    assert loaded + refused == 40
    assert refused
