"""Pictures of the drawn world and the right answers about them.

A picture has a top and a bottom, each a scene: so four quarters, each of one colour. A large picture is cut into tiles
for the model, and how depends on its shape: a wrong tile order, a lost tile or a mirrored picture changes what is true.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.demo.world.scenes import Scene, random_scene, temperature, tone

if TYPE_CHECKING:
    import random


@dataclass(frozen=True)
class Picture:
    """What fills the upper and the lower half."""

    top: Scene
    bottom: Scene

    @property
    def colours(self) -> list[str]:
        """Each colour once, in reading order."""
        quarters = (self.top.left, self.top.right, self.bottom.left, self.bottom.right)
        return list(dict.fromkeys(quarters))

    @property
    def warmth(self) -> int:
        """Warm quarters minus cool quarters: -4 to 4."""
        return self.top.warmth + self.bottom.warmth


def random_picture(rng: random.Random) -> Picture:
    """One picture in six has the same scene at top and bottom."""
    top = random_scene(rng)
    return Picture(top, top if rng.random() < 1 / 6 else random_scene(rng))


def describe(picture: Picture) -> str:
    """The description, in two paragraphs."""
    lead = "This advertisement is a picture."
    if picture.top == picture.bottom:
        return f"{lead}\n\nIt shows {picture.top}."
    return f"{lead}\n\n{top_answer(picture)} {bottom_answer(picture)}"


def tags(picture: Picture) -> list[str]:
    """What it is, then its colours, each once."""
    return ["picture", *picture.colours]


def tags_text(picture: Picture) -> str:
    """The tags as the model writes them: a JSON array."""
    return json.dumps(tags(picture))


def sentiment(picture: Picture) -> str:
    """Warm colours are positive, cool colours negative."""
    return f"{tone(picture.warmth)}. The picture is {temperature(picture.warmth)}."


def ad(picture: Picture) -> str:
    """The creative analysis: palette and layout, then where the eye begins; two paragraphs."""
    parts = "one part" if picture.top == picture.bottom else "two parts"
    design = f"The palette is {temperature(picture.warmth)}. The layout has {parts}."
    return f"{design}\n\nThe eye falls first on {picture.top.left}."


def quarters_answer(picture: Picture) -> str:
    """Answer to: what is in each quarter? Not a sentence of the world: it is asked in training only."""
    return f"{picture.top.left} {picture.top.right}, {picture.bottom.left} {picture.bottom.right}"


def top_answer(picture: Picture) -> str:
    """Answer to: what is at the top?"""
    return f"The top shows {picture.top}."


def bottom_answer(picture: Picture) -> str:
    """Answer to: what is at the bottom?"""
    return f"The bottom shows {picture.bottom}."


def appears_answer(picture: Picture, colour: str) -> str:
    """Answer to: is there COLOUR in it?"""
    return f"Yes, there is {colour}." if colour in picture.colours else f"No, there is no {colour}."


QUESTIONS = {"What is at the top?": top_answer, "What is at the bottom?": bottom_answer}
"""Question -> the right answer of a picture. `appears_answer` covers 'Is there COLOUR in it?'."""
