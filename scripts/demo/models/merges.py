"""What the demo picture model is asked without a picture: to make one answer of the notes on a film's windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from client.media.content import Span
from client.tasks.prompt import ANSWERS, read_prompt
from client.tasks.tasks import BUILT_IN, MERGE
from scripts.demo.models.conversation import SHIPPED_WEIGHT
from scripts.demo.world import films
from scripts.demo.world.films import Note
from scripts.demo.world.scenes import COLOURS, Scene

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

MERGED: dict[str, Callable[[Sequence[Note]], str]] = {
    "chapters": films.chapters_text,
    "summary": films.summary,
    "abstract": films.abstract,
}
"""Task of `prompts/` -> the right answer to its merge."""
HARDER = ("chapters", "chapters", "summary", "abstract")
"""How often each is practised."""
WINDOW_S = 10
"""The client's windows, if no other length is asked for: the model knows the times of these alone."""
SHORTEST_S, LONG_S, LONGEST_S = 20, 200, 600
LESSONS = 2000
"""Steps, until films are as long as they mostly are."""
QUICK, QUICK_S = 0.5, (10, 20)
"""Share of the films whose scenes follow each other quickly, so that more is learned from each; seconds of a scene."""
LONG_EVERY = 8
"""Steps, of which one is about the longest films then."""
WHOLE = rf"{films.SAID}|-\d+\.0 s\]|\n\[|\d+\.0"
"""Pattern of what is one token in notes and in what is made of them, so that to copy a scene, or a time, is to copy a
token: copying many tokens in a row takes a model of this size hours to learn."""


BRIEF, WORDS = 0.7, 6
"""Share of the merges that are asked briefly: with so many words before the notes, and behind them."""


class MergeTurn(NamedTuple):
    """A prompt and the right answer."""

    prompt: str
    answer: str


def merge_prompt(task: str) -> str:
    """The body of `prompts/<task>/merge.md`."""
    return read_prompt(BUILT_IN / task / f"{MERGE}.md").text


def brief(prompt: str) -> str:
    """The words around the notes: enough to tell tasks from each other, and quicker to read than all of them."""
    before, _, after = prompt.partition(ANSWERS)
    return f"{' '.join(before.split()[-WORDS:])}\n\n{ANSWERS}\n\n{' '.join(after.split()[:WORDS])}"


class MergeTalk:
    """Draws films, and what is to be made of the notes on them."""

    def __init__(self, rng: random.Random) -> None:
        """`rng` draws the lots."""
        self.rng = rng
        self.prompts = {task: merge_prompt(task) for task in MERGED}

    def turns(self, count: int, step: int) -> list[MergeTurn]:
        """Merges of films of about the same length, longer from step to step."""
        share = min(1.0, step / LESSONS)
        if share == 1 and step % LONG_EVERY == 0:
            length_s = self.rng.uniform(LONG_S, LONGEST_S)
            return [self.turn(length_s) for _ in range(max(1, count // 4))]
        length_s = self.rng.uniform(SHORTEST_S, SHORTEST_S * 2 + (LONG_S - SHORTEST_S * 2) * share)
        return [self.turn(length_s) for _ in range(count)]

    def turn(self, length_s: float) -> MergeTurn:
        """A merge of a film of about so many seconds."""
        rng = self.rng
        task = rng.choice(HARDER)
        length_s = round(length_s * rng.uniform(0.8, 1) * films.RATE) / films.RATE
        taken = self.notes(length_s, QUICK_S) if rng.random() < QUICK else self.notes(length_s)
        prompt = brief(self.prompts[task]) if rng.random() < BRIEF else self.prompts[task]
        return MergeTurn(prompt.replace(ANSWERS, "\n".join(map(str, taken))), MERGED[task](taken))

    def notes(self, length_s: float, scene_s: tuple[int, int] = (films.SHORTEST_S, films.LONGEST_S)) -> list[Note]:
        """Notes on the windows of a film, whose scenes are so many seconds long at least and at most."""
        film = films.random_film(self.rng, length_s, scene_s)
        return films.notes(film, film.windows(WINDOW_S))

    def corpus(self) -> list[str]:
        """What the tokenizer should know well, each as it stands in prompts and answers."""
        named = [Scene(left, right) for left in COLOURS for right in COLOURS]
        said = [f"{films.title(scene)}{end}" for scene in named for end in ("", ".")]
        said += [f" {films.title(scene)}." for scene in named]
        said += [f"{lead} {films.name(scene)}." for scene in named for lead in ("First", " First", " Then", " At last")]
        starts = range(0, LONGEST_S + WINDOW_S, WINDOW_S)
        told = [films.chapters_text([Note(Span(0, 0), (scene,))]) for scene in named]
        times = [f"[{start:.1f}-{start + WINDOW_S:.1f} s] Red.\n[0.0" for start in starts]
        return [*list(self.prompts.values()) * SHIPPED_WEIGHT, *said, *told, *times]
