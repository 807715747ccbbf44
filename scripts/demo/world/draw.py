"""Pixels of the drawn world: a clip as frames, with a grey product and its brand in front of the colours.

Product and brand say nothing about the answers. They are there so that the pictures look like advertisements
and so that the models learn to look past them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from scripts.demo.world.scenes import COLOURS, MOMENTS, Clip, Scene

if TYPE_CHECKING:
    import random

    from numpy.typing import NDArray

    from scripts.demo.world.pictures import Picture

PRODUCTS = ("none", "bottle", "can", "box", "phone")
BRANDS = (
    "Aurora",
    "Bolt",
    "Cobalt",
    "Fizzo",
    "Kiwi",
    "Lumen",
    "Nimbus",
    "Orbit",
    "Pip",
    "Sol",
    "Tango",
    "Vela",
)


@dataclass(frozen=True)
class Style:
    """How a clip looks beside its colours; drawn once per clip."""

    product: str
    brand: str
    grey: int
    """Lightness of the product, 0 to 255."""
    gradient: float
    """Relative lightness added from the bottom to the top of the picture."""
    sway: float
    """How far the product sways, as a share of the picture's height."""


def random_style(rng: random.Random) -> Style:
    """A style drawn by lot for one clip."""
    return Style(
        product=rng.choice(PRODUCTS),
        brand=rng.choice(BRANDS),
        grey=rng.choice((70, 110, 150)),
        gradient=rng.uniform(-0.06, 0.06),
        sway=rng.uniform(0.0, 0.04),
    )


@lru_cache(maxsize=64)
def _sprite(product: str, brand: str, grey: int, height: int) -> Image.Image:
    """The product as RGBA, `height` pixels high, drawn large and scaled down for smooth edges."""
    scale = 240
    image = Image.new("RGBA", (scale, scale), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    body, edge, label = (grey,) * 3, (grey // 2,) * 3, (min(grey + 70, 235),) * 3
    if product == "bottle":
        draw.rounded_rectangle((105, 5, 135, 80), 8, fill=body, outline=edge, width=4)
        draw.rounded_rectangle((75, 65, 165, 235), 24, fill=body, outline=edge, width=4)
        draw.rectangle((77, 120, 163, 180), fill=label)
    elif product == "can":
        draw.rounded_rectangle((65, 25, 175, 235), 18, fill=body, outline=edge, width=4)
        draw.ellipse((65, 12, 175, 45), fill=label, outline=edge, width=4)
        draw.rectangle((67, 100, 173, 165), fill=label)
    elif product == "box":
        draw.polygon(((40, 80), (120, 40), (200, 80), (120, 120)), fill=label, outline=edge)
        draw.polygon(((40, 80), (120, 120), (120, 230), (40, 190)), fill=body, outline=edge)
        draw.polygon(((200, 80), (120, 120), (120, 230), (200, 190)), fill=edge, outline=edge)
    elif product == "phone":
        draw.rounded_rectangle((70, 10, 170, 232), 18, fill=edge)
        draw.rounded_rectangle((78, 26, 162, 216), 6, fill=label)
    if product in {"bottle", "can"}:
        font = ImageFont.load_default(26)
        draw.text((120, 150 if product == "bottle" else 132), brand[:6], font=font, fill=edge, anchor="mm")
    return image.resize((height, height), Image.Resampling.LANCZOS)


@lru_cache(maxsize=256)
def _background(scene: Scene, width: int, height: int, gradient: float) -> NDArray[np.uint8]:
    """The two halves with the vertical gradient, uint8 [height, width, 3]."""
    picture = np.empty((height, width, 3), np.float32)
    picture[:, : width // 2] = COLOURS[scene.left]
    picture[:, width // 2 :] = COLOURS[scene.right]
    light = 1 + gradient * np.linspace(1, -1, height, dtype=np.float32)[:, None, None]
    return np.clip(picture * light, 0, 255).astype(np.uint8)


def draw_picture(picture: Picture, style: Style, width: int, height: int) -> NDArray[np.uint8]:
    """A still advertisement, uint8 RGB [height, width, 3]."""
    upper = _background(picture.top, width, height // 2, style.gradient)
    lower = _background(picture.bottom, width, height - height // 2, style.gradient)
    return _with_product(np.concatenate((upper, lower)), style, phase=0.0)


def draw_scene(scene: Scene, style: Style, width: int, height: int, phase: float = 0.0) -> NDArray[np.uint8]:
    """One frame, uint8 RGB [height, width, 3]; `phase` (0 to 1) is where in its sway the product stands."""
    return _with_product(_background(scene, width, height, style.gradient), style, phase)


def _with_product(background: NDArray[np.uint8], style: Style, phase: float) -> NDArray[np.uint8]:
    height, width = background.shape[:2]
    if style.product == "none":
        return background.copy()
    image = Image.fromarray(background)
    size = max(8, round(min(width, height) * 0.42))
    sprite = _sprite(style.product, style.brand, style.grey, size)
    sway = round(math.sin(2 * math.pi * phase) * style.sway * height)
    image.paste(sprite, ((width - size) // 2 + sway, round(height * 0.54 - size / 2)), sprite)
    return np.asarray(image)


def moment_of(index: int, frames: int) -> int:
    """The moment (0 to 7) nearest to frame `index` of `frames`: scenes change halfway between two moments."""
    return round(index * (MOMENTS - 1) / max(frames - 1, 1))


def draw_frame(clip: Clip, style: Style, size: tuple[int, int], *, index: int, frames: int) -> NDArray[np.uint8]:
    """Frame `index` of a clip of `frames` frames, uint8 RGB [height, width, 3]; `size` is (width, height)."""
    scene = clip.seen[moment_of(index, frames)]
    return draw_scene(scene, style, *size, phase=index / max(frames - 1, 1))
