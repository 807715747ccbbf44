"""What the demo picture model is asked without a picture: to make one answer of the notes on a film's parts."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from client.tasks.prompt import ANSWERS, read_prompt
from client.tasks.tasks import BUILT_IN, MERGE
from scripts.demo.models.conversation import SHIPPED_WEIGHT
from scripts.demo.world import films

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from scripts.demo.world.films import Note

MERGED: dict[str, Callable[[Sequence[Note]], str]] = {
    "chapters": films.chapters_text,
    "summary": films.summary,
    "abstract": films.abstract,
}
"""Task of `prompts/` -> the right answer to its merge."""
HARDER = ("chapters", "chapters", "summary", "abstract")
"""How often each is practised."""
LONGEST_S = 600
REPEAT_NOTES = 120
"""Steps, until notes are repeated."""
LESSONS = 600
"""Steps from then on, until films are as long as they mostly are."""
LONG_EVERY = 8
"""Steps, of which one is about the longest films then."""
NUMBERS = 660
"""Seconds up to this one are a token each: to copy a time is to copy a word then."""


class Cut(Enum):
    """How a film was cut into the parts that notes are about."""

    SCENES, TENS, OTHERS = "scenes", "windows of ten seconds", "windows of other lengths"


class MergeTurn(NamedTuple):
    """A prompt, with the notes in its middle, and the right answer."""

    before: str
    notes: str
    after: str
    answer: str

    @property
    def prompt(self) -> str:
        """All that is asked."""
        return f"{self.before}{self.notes}{self.after}"


def _repeat(text: str) -> MergeTurn:
    """A lesson: to say once more what was said."""
    return MergeTurn(text, "", "\n", text)


def merge_prompt(task: str) -> str:
    """The body of `prompts/<task>/merge.md`."""
    return read_prompt(BUILT_IN / task / f"{MERGE}.md").text


class MergeTalk:
    """Draws films, and what is to be made of the notes on them."""

    def __init__(self, rng: random.Random) -> None:
        """`rng` draws the lots."""
        self.rng = rng
        self.prompts = {task: merge_prompt(task) for task in MERGED}

    def turns(self, count: int, step: int) -> list[MergeTurn]:
        """Merges of films of about the same length; what is easy comes first.

        That is to repeat notes: all else is made of it. Then a few scenes are told one after the other. Then films get
        longer, and most go in windows, in which a scene is told many times.
        """
        rng = self.rng
        if step <= REPEAT_NOTES:
            length_s, cut = rng.uniform(15, 90), rng.choice((Cut.SCENES, Cut.TENS))
            return [_repeat("\n".join(map(str, self._notes(length_s, cut)))) for _ in range(count)]
        share = min(1.0, (step - REPEAT_NOTES) / LESSONS)
        if rng.random() < 0.8 - 0.55 * share:
            length_s = rng.uniform(20, 90 + 150 * share)
            return [self.turn(length_s, Cut.SCENES) for _ in range(count)]
        is_long = share == 1 and step % LONG_EVERY == 0
        length_s = rng.uniform(20, LONGEST_S if is_long else 40 + 180 * share)
        cut = Cut.TENS if rng.random() < 0.8 else Cut.OTHERS
        return [self.turn(length_s, cut) for _ in range(max(1, count // 4) if is_long else count)]

    def turn(self, length_s: float, cut: Cut) -> MergeTurn:
        """A merge of a film of about so many seconds."""
        rng = self.rng
        task = rng.choice(HARDER)
        before, _, after = self.prompts[task].partition(ANSWERS)
        taken = self._notes(length_s, cut)
        return MergeTurn(before, "\n".join(map(str, taken)), after, MERGED[task](taken))

    def _notes(self, length_s: float, cut: Cut) -> list[Note]:
        """Notes on the parts of a film, or of the middle of one, as if something had come before."""
        rng = self.rng
        film = films.random_film(rng, round(length_s * rng.uniform(0.8, 1) * films.RATE) / films.RATE)
        spans = film.spans()
        if cut is not Cut.SCENES:
            spans = film.windows(10 if cut is Cut.TENS else rng.choice((5, 8, 12, 15)))
        taken = films.notes(film, spans)
        if rng.random() < 0.5:
            room = NUMBERS * films.RATE - round(film.length_s * films.RATE) - 1
            later = rng.randrange(room) * 100_000 if cut is Cut.SCENES else rng.randrange(room // 10) * 1_000_000
            taken = [note.later(later) for note in taken]
        return taken

    def corpus(self) -> list[str]:
        """What the tokenizer should know well."""
        told = [f"{turn.notes}\n{turn.answer}" for turn in (self.turn(60, Cut.TENS) for _ in range(10))]
        numbers = [str(number) for number in range(NUMBERS) for _ in range(2)]
        return [*list(self.prompts.values()) * SHIPPED_WEIGHT, *films.all_sentences(), *told, *numbers]
