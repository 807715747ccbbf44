"""What the demo video model is asked about windows of a film's time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from client.media.content import Span
from client.tasks.prompt import END, START, read_prompt
from client.tasks.tasks import BUILT_IN, WINDOW
from scripts.demo.models.conversation import SHIPPED_WEIGHT, Turn, reworded
from scripts.demo.world import films
from scripts.demo.world.scenes import MOMENTS, Clip, random_clip

if TYPE_CHECKING:
    import random

LENGTH_S = 10
"""Of the client's windows, if no other length is asked for: the model tells when things happen in these alone."""
LATEST_S = 600
EVENTS = 3
"""Times that are asked about what is shown: looking costs more than answering, and to tell times is hard."""


def window_prompt(task: str) -> str:
    """The body of `prompts/<task>/window.md`."""
    return read_prompt(BUILT_IN / task / f"{WINDOW}.md").text


def about(prompt: str, span: Span) -> str:
    """A prompt that says which time of the film is shown, as the client fills it in."""
    start, end = (f"{at / 1e6:.1f}".removesuffix(".0") + " s" for at in span)
    return prompt.replace(START, start).replace(END, end)


class WindowTalk:
    """Draws what windows show, and turns about it."""

    def __init__(self, rng: random.Random) -> None:
        """`rng` draws the lots."""
        self.rng = rng
        self.captions, self.events = window_prompt("captions"), window_prompt("events")

    def clip(self) -> Clip:
        """What a window shows: mostly one scene, or a change from one to another."""
        rng = self.rng
        if rng.random() < 0.1:
            return random_clip(rng)
        scenes = films.random_scenes(rng, rng.choice((1, 2)))
        first = rng.randint(1, MOMENTS - 1)
        return Clip(scenes, (first, MOMENTS - first) if len(scenes) > 1 else (MOMENTS,))

    def turns(self, clip: Clip) -> list[Turn]:
        """What is seen, and what happens when at several times of a film, in any order."""
        asked = [self._caption(clip), *(self._events(clip) for _ in range(EVENTS))]
        return self.rng.sample(asked, len(asked))

    def _caption(self, clip: Clip) -> Turn:
        return Turn(reworded(about(self.captions, self.any_span()), self.rng), films.caption(clip))

    def _events(self, clip: Clip) -> Turn:
        start = self.rng.randrange(0, LATEST_S, LENGTH_S) * 1_000_000
        span = Span(start, start + LENGTH_S * 1_000_000)
        return Turn(reworded(about(self.events, span), self.rng), films.events_text(clip, span))

    def any_span(self) -> Span:
        """Some time of a film."""
        start = self.rng.randrange(LATEST_S * films.RATE)
        whole = films.RATE if self.rng.random() < 0.3 else 1
        start, length = start // whole * whole, self.rng.randint(1, 60 * films.RATE // whole) * whole
        return Span(start * 100_000, (start + length) * 100_000)

    def corpus(self) -> list[str]:
        """Every text that the tokenizer should know well."""
        span, change = Span(0, 5_000_000), Clip(films.random_scenes(self.rng, 2), (4, 4))
        asked = [about(prompt, span) for prompt in (self.captions, self.events)]
        numbers = [f"{' ' * (at % LENGTH_S == 0)}{at}" for at in range(LATEST_S + LENGTH_S + 1)]
        numbers += [str(at) for at in range(0, LATEST_S + LENGTH_S + 1, LENGTH_S)]
        return [*asked * SHIPPED_WEIGHT, *films.all_sentences(), films.events_text(change, span), *numbers]
