"""A white picture whose left upper quarter is red, and whether that is what was read of a file."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from media_files import load_file
from PIL import Image

from client.media.sampling import Sampling

if TYPE_CHECKING:
    from pathlib import Path

    from client.media.content import Content

RED, WHITE = (220, 30, 40), (255, 255, 255)


def corner(size: tuple[int, int] = (80, 40)) -> Image.Image:
    """White, with the left upper quarter red."""
    picture = Image.new("RGB", size, "white")
    picture.paste(RED, (0, 0, size[0] // 2, size[1] // 2))
    return picture


def colour(content: Content, x: int, y: int) -> tuple[int, ...]:
    value = Image.open(io.BytesIO(content.jpegs[0])).convert("RGB").getpixel((x, y))
    assert isinstance(value, tuple)
    return tuple(int(channel) for channel in value)


def check(path: Path, *, turned: bool = False) -> None:
    """It is the corner, read without a word; `turned` by a quarter, clockwise."""
    content = load_file(path, Sampling())
    assert content.warnings == []
    assert (content.facts.width, content.facts.height) == ((40, 80) if turned else (80, 40))
    assert colour(content, *((30, 10) if turned else (10, 10))) == pytest.approx(RED, abs=25)
    assert colour(content, *((10, 70) if turned else (70, 30))) == pytest.approx(WHITE, abs=12)


def photoshop(path: Path, layers: int = 0) -> None:
    """Version 1, three channels of 8 bits, not compressed; layers of no pixels."""
    planes = np.asarray(corner()).transpose(2, 0, 1).tobytes()
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 40, 80, 8, 3)
    layer = bytes(16) + struct.pack(">H", 0) + b"8BIMnorm" + b"\xff\0\0\0" + struct.pack(">I", 12) + bytes(12)
    records = struct.pack(">h", layers) + layer * layers
    notes = struct.pack(">I", len(records)) + records + bytes(len(records) % 2) + bytes(4) if layers else b""
    path.write_bytes(head + bytes(4) + bytes(4) + struct.pack(">I", len(notes)) + notes + bytes(2) + planes)
