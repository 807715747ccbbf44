"""What the demo picture model is asked without a picture: to make one answer of the notes on a film's parts."""

from __future__ import annotations

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
LESSONS = 200
"""Steps, until films are as long as they get."""
NUMBERS = 660
"""Seconds up to this one are a token each: to copy a time is to copy a word then."""


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


def merge_prompt(task: str) -> str:
    """The body of `prompts/<task>/merge.md`."""
    return read_prompt(BUILT_IN / task / f"{MERGE}.md").text


class MergeTalk:
    """Draws films, and what is to be made of the notes on them."""

    def __init__(self, rng: random.Random) -> None:
        """`rng` draws the lots."""
        self.rng = rng
        self.prompts = {task: merge_prompt(task) for task in MERGED}

    def turn(self, length_s: float) -> MergeTurn:
        """A merge of a film of about so many seconds."""
        rng = self.rng
        task = rng.choice(HARDER)
        before, _, after = self.prompts[task].partition(ANSWERS)
        taken = self._notes(length_s)
        return MergeTurn(before, "\n".join(map(str, taken)), after, MERGED[task](taken))

    def _notes(self, length_s: float) -> list[Note]:
        """Notes on windows of ten seconds, of other lengths, or on scenes; on the middle of a film now and then."""
        rng = self.rng
        film = films.random_film(rng, round(length_s * rng.uniform(0.8, 1) * films.RATE) / films.RATE)
        way = rng.random()
        spans = film.spans() if way < 0.25 else film.windows(10 if way < 0.85 else rng.choice((5, 8, 12, 15)))
        taken = films.notes(film, spans)
        if rng.random() < 0.5:
            room = NUMBERS * films.RATE - round(film.length_s * films.RATE) - 1
            later = rng.randrange(room) * 100_000 if way < 0.25 else rng.randrange(room // 10) * 1_000_000
            taken = [note.later(later) for note in taken]
        return taken

    def corpus(self) -> list[str]:
        """What the tokenizer should know well."""
        told = [f"{turn.notes}\n{turn.answer}" for turn in (self.turn(60) for _ in range(10))]
        numbers = [str(number) for number in range(NUMBERS) for _ in range(2)]
        return [*list(self.prompts.values()) * SHIPPED_WEIGHT, *films.all_sentences(), *told, *numbers]
