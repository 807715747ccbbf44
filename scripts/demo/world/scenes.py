"""Clips of the drawn world and the right answers about them.

A clip is one to four scenes. A scene fills the left half of the picture with one colour and the right half
with another (or the whole picture with one) for some of the eight moments at which the video is sampled. So a wrong
frame order, a dropped frame, a mirrored picture or a wrong normalisation all change what is true.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

MOMENTS = 8
"""Frames that the demo model watches: moment k of a clip of n frames is frame int(k * (n - 1) / 7)."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 30, 38),
    "orange": (255, 140, 20),
    "yellow": (250, 226, 50),
    "pink": (255, 150, 190),
    "green": (30, 150, 60),
    "blue": (30, 70, 210),
    "purple": (120, 40, 150),
    "black": (18, 18, 20),
    "white": (246, 246, 246),
}
"""Name -> sRGB. Grey is left out on purpose: it is the colour of the things drawn in front."""

WARM = frozenset({"red", "orange", "yellow", "pink"})
COOL = frozenset({"green", "blue", "purple"})
NUMBERS = ("no", "one", "two", "three", "four")
PACES = {1: "slow", 2: "steady", 3: "steady", 4: "fast"}
"""Scenes -> how that pace is called."""


@dataclass(frozen=True)
class Scene:
    """What fills the picture: a colour on the left half and one on the right half."""

    left: str
    right: str

    def __str__(self) -> str:
        """How the scene is said within a sentence."""
        if self.left == self.right:
            return f"{self.left} everywhere"
        return f"{self.left} on the left and {self.right} on the right"

    @property
    def warmth(self) -> int:
        """Warm halves minus cool halves: -2 to 2."""
        return sum((c in WARM) - (c in COOL) for c in (self.left, self.right))


@dataclass(frozen=True)
class Clip:
    """Scenes in order, and at how many of the eight moments each is seen (they sum to 8)."""

    scenes: tuple[Scene, ...]
    moments: tuple[int, ...]

    def __post_init__(self) -> None:
        """Reject clips whose moments do not match the scenes or do not sum to 8."""
        if len(self.scenes) != len(self.moments) or sum(self.moments) != MOMENTS or min(self.moments) < 1:
            raise ValueError(f"not a clip: {len(self.scenes)} scenes at moments {self.moments}")

    @classmethod
    def from_moments(cls, seen: list[Scene]) -> Clip:
        """The clip that shows `seen[k]` at moment k: what is true after frames were shuffled."""
        runs = [(scene, len(list(run))) for scene, run in itertools.groupby(seen)]
        return cls(tuple(s for s, _ in runs), tuple(n for _, n in runs))

    @property
    def seen(self) -> list[Scene]:
        """The scene at each of the eight moments."""
        return [s for s, n in zip(self.scenes, self.moments, strict=True) for _ in range(n)]


def random_scene(rng: random.Random) -> Scene:
    """One scene in six is a single colour."""
    left, right = rng.choice(list(COLOURS)), rng.choice(list(COLOURS))
    return Scene(left, left) if rng.random() < 1 / 6 else Scene(left, right)


def random_clip(rng: random.Random) -> Clip:
    """One to four scenes with random lengths; no colour comes back to the half that it has left."""
    count = rng.choice((1, 2, 2, 3, 3, 3, 4, 4, 4))
    scenes: list[Scene] = []
    while len(scenes) < count:
        scene = random_scene(rng)
        if all(scene.left != before.left and scene.right != before.right for before in scenes):
            scenes.append(scene)
    cuts = [0, *sorted(rng.sample(range(1, MOMENTS), count - 1)), MOMENTS]
    return Clip(tuple(scenes), tuple(b - a for a, b in itertools.pairwise(cuts)))


# -- what is true of a clip ---------------------------------------------------------------------------------


def colours(clip: Clip) -> list[str]:
    """Each colour of a clip once."""
    return list(dict.fromkeys(colour for scene in clip.scenes for colour in (scene.left, scene.right)))


def scene_count(clip: Clip) -> str:
    """'one scene' to 'four scenes'."""
    n = len(clip.scenes)
    return f"{NUMBERS[n]} scene{'s' if n > 1 else ''}"


def describe(clip: Clip) -> str:
    """The description: how many scenes, then each in order; two paragraphs, as captions have."""
    first, *rest = clip.scenes
    lead = f"This advertisement has {scene_count(clip)}."
    if not rest:
        return f"{lead}\n\nIt shows {first}."
    *middle, last = rest
    said = [f"It opens with {first}."]
    said += [f"{word} {scene}." for word, scene in zip(("Then comes", "Next comes"), middle, strict=False)]
    return f"{lead}\n\n{' '.join(said)} It ends with {last}."


def tone(warmth: int) -> str:
    """What warm minus cool colours say: 'Positive', 'Negative' or 'Neutral'."""
    return "Positive" if warmth > 0 else "Negative" if warmth < 0 else "Neutral"


def temperature(warmth: int) -> str:
    """The same in the words of a designer."""
    return "warm" if warmth > 0 else "cool" if warmth < 0 else "neither warm nor cool"


def tags(clip: Clip) -> list[str]:
    """The number of scenes, then the colours of the opening and of the ending, each once."""
    opening, ending = clip.scenes[0], clip.scenes[-1]
    return [scene_count(clip), *dict.fromkeys((opening.left, opening.right, ending.left, ending.right))]


def sentiment(clip: Clip) -> str:
    """The ending decides: warm colours are positive, cool colours negative."""
    warmth = clip.scenes[-1].warmth
    return f"{tone(warmth)}. The ending is {temperature(warmth)}."


def ad(clip: Clip) -> str:
    """The creative analysis: pace and opening, then the end card; two paragraphs."""
    opening, ending = clip.scenes[0], clip.scenes[-1]
    pace = f"The pace is {PACES[len(clip.scenes)]}. The opening is {temperature(opening.warmth)}."
    return f"{pace}\n\nThe end card shows {ending}."


def count_answer(clip: Clip) -> str:
    """Answer to: how many scenes?"""
    return f"It has {scene_count(clip)}."


def opening_answer(clip: Clip) -> str:
    """Answer to: how does it open?"""
    return f"It opens with {clip.scenes[0]}."


def ending_answer(clip: Clip) -> str:
    """Answer to: how does it end?"""
    return f"It ends with {clip.scenes[-1]}."


def appears_answer(clip: Clip, colour: str) -> str:
    """Answer to: is there COLOUR in it?"""
    return f"Yes, there is {colour}." if colour in colours(clip) else f"No, there is no {colour}."


def frames_answer(clip: Clip) -> str:
    """Answer to: what is in each frame? Not a sentence of the world: it is asked in training only."""
    return ", ".join(f"{scene.left} {scene.right}" for scene in clip.seen)


def tags_text(clip: Clip) -> str:
    """The tags as the model writes them: a JSON array."""
    return json.dumps(tags(clip))


QUESTIONS = {
    "How many scenes are there?": count_answer,
    "How does it open?": opening_answer,
    "How does it end?": ending_answer,
}
"""Question -> the right answer of a clip. `appears_answer` covers 'Is there COLOUR in it?'."""


def all_sentences() -> list[str]:
    """Every English sentence and tag that the world can say: what the translation model must know."""
    scenes = [Scene(left, right) for left in COLOURS for right in COLOURS]
    counts = [f"{NUMBERS[n]} scene{'s' if n > 1 else ''}" for n in range(1, 5)]
    said = [f"This advertisement has {c}." for c in counts] + [f"It has {c}." for c in counts]
    for lead in (
        "It shows",
        "It opens with",
        "Then comes",
        "Next comes",
        "It ends with",
        "The top shows",
        "The bottom shows",
        "The end card shows",
    ):
        said += [f"{lead} {scene}." for scene in scenes]
    said += ["Positive.", "Negative.", "Neutral."]
    said += [
        f"The {what} is {how}."
        for what in ("opening", "ending", "picture", "palette")
        for how in ("warm", "cool", "neither warm nor cool")
    ]
    said += [f"The pace is {pace}." for pace in dict.fromkeys(PACES.values())]
    said += ["The layout has one part.", "The layout has two parts.", "This advertisement is a picture."]
    said += [f"The eye falls first on {colour}." for colour in COLOURS]
    for colour in COLOURS:
        said += [f"Yes, there is {colour}.", f"No, there is no {colour}."]
    return [*said, *counts, *COLOURS, "picture"]
