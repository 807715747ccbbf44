"""What the toys are asked: every way in which pictures, frames and text may stand; prompts are token ids."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from server.selftest import llama_toy, llava_toy
from server.selftest.engines import Request
from server.selftest.llama_toy import PICTURE

if TYPE_CHECKING:
    from pathlib import Path

ASPECT_RATIOS = [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (3, 1), (4, 1)]
"""Tiles across and down of all the layouts there are."""
FRAMES = 6
"""Of the longest video."""


def text(words: str) -> list[int]:
    """Tokens of the byte-level tokenizers, without caring which byte is which."""
    return list(words.encode())


class Pictures:
    """Writes pictures of noise, all different."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def __call__(self, width: int, height: int) -> str:
        """Write one; returns its path."""
        self.count += 1
        noise = np.random.default_rng(self.count).integers(0, 256, (height, width, 3), dtype=np.uint8)
        path = self.folder / f"{self.count}.png"
        Image.fromarray(noise).save(path)
        return str(path)

    def video(self, frames: int, width: int = 40, height: int = 32) -> list[str]:
        """Write the frames of one; returns their paths."""
        return [self(width, height) for _ in range(frames)]


def text_alone() -> list[Request]:
    """Requests without a picture: the first batch of an engine, before it has seen any."""
    return [Request([llama_toy.BOS, *text(words)]) for words in ("no picture at all", "none", "and none again")]


def picture_cases(picture: Pictures) -> list[Request]:
    """Every layout of tiles, and every way in which pictures and text may stand."""
    bos = llama_toy.BOS
    layouts = [
        Request([bos, PICTURE, *text("what is this")], [picture(60 * across, 60 * down)])
        for across, down in ASPECT_RATIOS
    ]
    return [
        *layouts,
        Request([bos, *text("no picture at all")]),
        Request([PICTURE, bos, *text("picture first")], [picture(64, 64)]),
        Request([bos, *text("in the"), PICTURE, *text("middle")], [picture(300, 90)]),
        Request([bos, *text("at the end"), PICTURE], [picture(90, 300)]),
        Request([bos, *text("two"), PICTURE, PICTURE, *text("alike")], [picture(40, 40), picture(40, 40)]),
        Request(
            [bos, *text("three"), PICTURE, PICTURE, PICTURE, *text("not alike")],
            [picture(50, 200), picture(64, 64), picture(130, 60)],
        ),
        Request([bos, *text("a stray "), PICTURE, *text(" without a picture")][:9]),
        *conversations(picture),
    ]


def conversations(picture: Pictures) -> list[Request]:
    """Pictures with text between them."""
    bos = llama_toy.BOS
    return [
        Request([bos, PICTURE, *text("first"), PICTURE, *text("second")], [picture(64, 64), picture(130, 60)]),
        Request([PICTURE, bos, PICTURE, *text("one by one")], [picture(50, 200), picture(40, 40)]),
        Request(
            [bos, *text("a"), PICTURE, *text("b"), PICTURE, *text("c"), PICTURE],
            [picture(90, 300), picture(64, 64), picture(120, 120)],
        ),
        Request(
            [bos, *text("two, then"), PICTURE, PICTURE, *text("one"), PICTURE, *text("more")],
            [picture(60, 60), picture(60, 120), picture(200, 60)],
        ),
        Request(
            [bos, PICTURE, *text("then two"), PICTURE, PICTURE, *text("more")],
            [picture(240, 60), picture(60, 60), picture(130, 60)],
        ),
    ]


def many_pictures(picture: Pictures, count: int) -> list[Request]:
    """Requests of all kinds, long enough for a small cache to run over while they are written."""
    draw = random.Random(5)
    requests = []
    for _ in range(count):
        shown_count = draw.choice([0, 1, 1, 1, 2, 2, 3])
        sizes = [(60 * across, 60 * down) for across, down in draw.choices(ASPECT_RATIOS, k=shown_count)]
        before = [draw.randrange(256) for _ in range(draw.randrange(8))]
        after = [draw.randrange(256) for _ in range(draw.randrange(1, 12))]
        shown = [token for _ in range(shown_count) for token in [PICTURE, *after[: draw.choice([0, 1, 3])]]]
        prompt = [llama_toy.BOS, *before, *shown, *after]
        requests.append(Request(prompt, [picture(*size) for size in sizes], draw.randrange(20, 60)))
    return requests


def tasks(picture: Pictures, count: int) -> list[list[Request]]:
    """Batches of one request, all about the same picture."""
    shown = [picture(120, 64)]
    return [[Request([llama_toy.BOS, PICTURE, *text(f"task {number}")], shown)] for number in range(count)]


def video_cases(picture: Pictures) -> list[Request]:
    """One to six frames of several shapes, before, within and behind the text; and text alone."""
    bos, video = llava_toy.BOS, llava_toy.VIDEO
    sizes = [(40, 32), (32, 40), (32, 32), (90, 40), (64, 64), (31, 70)]
    lengths = [
        Request([bos, video, *text("what is seen")], picture.video(frames, *size), video=True)
        for frames, size in enumerate(sizes, 1)
    ]
    return [
        *lengths,
        Request([bos, *text("nothing is shown")]),
        Request([bos, *text("in the"), video, *text("middle")], picture.video(3), video=True),
        Request([bos, *text("at the end"), video], picture.video(2), video=True),
    ]


def many_videos(picture: Pictures, count: int) -> list[Request]:
    """Videos and text alone, long enough for a small cache to run over while they are written."""
    draw = random.Random(6)
    requests = []
    for _ in range(count):
        frames = draw.choice([0, 1, 2, 3, FRAMES])
        words = [draw.randrange(256) for _ in range(draw.randrange(2, 20))]
        shown = [llava_toy.VIDEO] if frames else []
        length = draw.randrange(20, 50)
        requests.append(Request([llava_toy.BOS, *shown, *words], picture.video(frames), length, video=frames > 0))
    return requests
