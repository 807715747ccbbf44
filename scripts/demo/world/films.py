"""Films of the drawn world: minutes of scenes that follow each other, and what is truly said of their time.

A film is asked about in windows. What is said of one is short ("First red and blue. Then green."), so that what is
made of many of them, its chapters and its summary, is made of the same words.
"""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from client.media.content import Span
from scripts.demo.world.scenes import COLOURS, MOMENTS, Clip, Scene, random_scene

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

RATE = 10
"""Frames a second of every film; scenes change at a frame, so at tenths of a second."""
SHORTEST_S, LONGEST_S = 25, 60
"""Of a scene: never two changes in a window of ten seconds, and three to seven scenes in three minutes."""
MOST_TIMES = 2
"""That a scene comes in a film: one that is told three times looks like a loop to the client, and it is right."""


@dataclass(frozen=True)
class Film:
    """Scenes in order, and how many frames each of them is shown."""

    scenes: tuple[Scene, ...]
    frames: tuple[int, ...]

    @property
    def cuts(self) -> list[int]:
        """The first frame of each scene but the first, and how many frames there are."""
        return list(itertools.accumulate(self.frames))

    @property
    def length_s(self) -> float:
        """Seconds."""
        return sum(self.frames) / RATE

    def scene_at(self, frame: int) -> Scene:
        """The scene that a frame shows."""
        return next(scene for scene, end in zip(self.scenes, self.cuts, strict=True) if frame < end)

    def spans(self) -> list[Span]:
        """The time of each scene."""
        return [_span(start, end) for start, end in itertools.pairwise([0, *self.cuts])]

    def windows(self, length_s: float) -> list[Span]:
        """The windows in which the client goes through the film; the last one may be shorter."""
        step, end = round(length_s * RATE), sum(self.frames)
        return [_span(start, min(start + step, end)) for start in range(0, end, step)]

    def seen(self, span: Span) -> Clip:
        """What the eight frames show that the client takes of a span of time."""
        first, end = (math.ceil(at * RATE / 1e6) for at in span)
        frames = first + np.linspace(0, end - first - 1, MOMENTS).astype(int)
        return Clip.from_moments([self.scene_at(int(frame)) for frame in frames])


def _span(start: int, end: int) -> Span:
    """From one frame to another."""
    return Span(start * 1_000_000 // RATE, end * 1_000_000 // RATE)


def random_film(rng: random.Random, length_s: float, scene_s: tuple[int, int] = (SHORTEST_S, LONGEST_S)) -> Film:
    """A film of that length, with scenes of so many seconds, shortest and longest; some of them come back."""
    left = round(length_s * RATE)
    least, most = (limit * RATE for limit in scene_s)
    frames: list[int] = []
    while left > 0:
        # What is left after it must be enough for another scene, or nothing.
        longest = left if left <= most else min(most, left - least)
        frames.append(left if left < 2 * least else rng.randint(least, longest))
        left -= frames[-1]
        if 0 < left < least:
            frames[-1] += left
            left = 0
    return Film(random_scenes(rng, len(frames)), tuple(frames))


def random_scenes(rng: random.Random, count: int) -> tuple[Scene, ...]:
    """Scenes of which each differs on both halves from the one before; one in twelve was there already."""
    scenes: list[Scene] = []
    while len(scenes) < count:
        known = [scene for scene in scenes if scenes.count(scene) < MOST_TIMES]
        again = bool(known) and rng.random() < 1 / 12
        scene = rng.choice(known) if again else random_scene(rng)
        fits = not scenes or (scene.left != scenes[-1].left and scene.right != scenes[-1].right)
        if fits and scenes.count(scene) < MOST_TIMES:
            scenes.append(scene)
    return tuple(scenes)


# -- what is true of a film -----------------------------------------------------------------------------------


def name(scene: Scene) -> str:
    """A scene in few words: 'red and blue', from left to right."""
    return scene.left if scene.left == scene.right else f"{scene.left} and {scene.right}"


def title(scene: Scene) -> str:
    """The title of a chapter that shows this scene."""
    return name(scene).capitalize()


def in_order(scenes: Sequence[Scene]) -> str:
    """What is seen after what: a sentence for each scene."""
    first, *rest = scenes
    if not rest:
        return f"{title(first)}."
    return " ".join([f"First {name(first)}.", *(f"Then {name(scene)}." for scene in rest)])


def caption(clip: Clip) -> str:
    """What is said of a window."""
    return in_order(clip.scenes)


def events(clip: Clip, span: Span) -> list[dict[str, object]]:
    """What happens in a window, and when, to the second: a change lies between the two moments around it."""
    length_s = (span.end_us - span.start_us) / 1e6
    between = (length_s - 1 / RATE) / (MOMENTS - 1)
    changes = [(shown - 0.5) * between for shown in itertools.accumulate(clip.moments[:-1])]
    start, end = (_number(at / 1e6) for at in span)
    times = [start, *(round(span.start_us / 1e6 + change) for change in changes), end]
    told = [f"{sentence.strip()}." for sentence in caption(clip).split(".") if sentence]
    return [
        {"start": begins, "end": ends, "what": what, "confidence": 1}
        for what, (begins, ends) in zip(told, itertools.pairwise(times), strict=True)
    ]


def _number(time_s: float) -> float | int:
    """As the prompts write it: without the fraction if there is none."""
    return int(time_s) if time_s == int(time_s) else round(time_s, 1)


def events_text(clip: Clip, span: Span) -> str:
    """The events as the model writes them."""
    return compact({"events": events(clip, span)})


def compact(value: object) -> str:
    """JSON without spaces: numbers are the same tokens then wherever they stand."""
    return json.dumps(value, separators=(",", ":"))


@dataclass(frozen=True)
class Note:
    """What was seen in a part of a film."""

    span: Span
    scenes: tuple[Scene, ...]

    def __str__(self) -> str:
        """The line that the client makes of it for a merge."""
        return f"[{self.span}] {in_order(self.scenes)}"

    def later(self, by_us: int) -> Note:
        """The same of a part that begins later."""
        return Note(Span(self.span.start_us + by_us, self.span.end_us + by_us), self.scenes)


def notes(film: Film, spans: Iterable[Span]) -> list[Note]:
    """What is seen in each span of a film."""
    return [Note(span, film.seen(span).scenes) for span in spans]


def _new_scenes(taken: Sequence[Note]) -> list[tuple[Span, Scene]]:
    """Each scene that was not there just before, and the span in which it is seen first."""
    shown = [(note.span, scene) for note in taken for scene in note.scenes]
    return [new for new, before in zip(shown, [None, *shown], strict=False) if before is None or new[1] != before[1]]


def chapters(taken: Sequence[Note]) -> list[dict[str, object]]:
    """A chapter begins with the part of the film in which its scene is seen first."""
    at = {span.start_us: title(scene) for span, scene in _new_scenes(taken)}
    return [{"start": start / 1e6, "title": said} for start, said in at.items()]


def chapters_text(taken: Sequence[Note]) -> str:
    """The chapters as the model writes them."""
    return compact({"chapters": chapters(taken)})


def summary(taken: Sequence[Note]) -> str:
    """All scenes in order, each when it comes."""
    return in_order([scene for _, scene in _new_scenes(taken)])


def abstract(taken: Sequence[Note]) -> str:
    """How it begins and how it ends."""
    return beginning_and_end([scene for _, scene in _new_scenes(taken)])


def beginning_and_end(scenes: Sequence[Scene]) -> str:
    """The first and the last of scenes, if there are several."""
    return in_order(scenes) if len(scenes) == 1 else f"First {name(scenes[0])}. At last {name(scenes[-1])}."


def all_sentences() -> list[str]:
    """Every English sentence and title that is said of films."""
    scenes = [Scene(left, right) for left in COLOURS for right in COLOURS]
    sentences = [f"{lead} {name(scene)}." for lead in LEADS for scene in scenes]
    return [*sentences, *(f"{title(scene)}." for scene in scenes), *map(title, scenes)]


_NAME = rf"(?:{'|'.join(COLOURS)})(?: and (?:{'|'.join(COLOURS)}))?"
_TITLE = rf"(?:{'|'.join(map(str.capitalize, COLOURS))})(?: and (?:{'|'.join(COLOURS)}))?"
LEADS = ("First", "Then", "At last")
SAID = rf" ?(?:{'|'.join(LEADS)}) {_NAME}\.| ?{_TITLE}\.?"
"""Pattern of `all_sentences`."""
