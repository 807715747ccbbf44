"""What the demo video model is asked about clips in which somebody speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from client.tasks import transcript
from client.tasks.plan import HEARD
from client.tasks.prompt import TRANSCRIPT
from client.tasks.transcript import Said
from scripts.demo.models.conversation import SHIPPED_WEIGHT, Turn, shipped_prompt
from scripts.demo.world import lines, scenes
from scripts.demo.world.lines import Line, random_line

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from scripts.demo.world.scenes import Clip

MOST_LINES = 3
"""In a sample advertisement."""


def told(prompt: str, said: Sequence[Line]) -> str:
    """A prompt that hears, as the client sends it."""
    heard = [Said(line.start, line.end, line.text) for line in said]
    return prompt + HEARD.replace(TRANSCRIPT, transcript.lines(heard, None))


class SpokenTalk:
    """Draws what is said, and turns about clips in which it is."""

    def __init__(self, rng: random.Random) -> None:
        """`rng` draws the lots."""
        self.rng = rng
        self.describe, self.sentiment, self.ad = (
            shipped_prompt(task, "video") for task in ("describe", "sentiment", "ad")
        )

    def said(self) -> list[Line]:
        """Lines one after the other, as in a sample advertisement."""
        at, said = self.rng.uniform(0, 1), []
        for _ in range(self.rng.randint(1, MOST_LINES)):
            end = at + self.rng.uniform(0.8, 2.4)
            said.append(Line(random_line(self.rng), at, end))
            at = end + self.rng.uniform(0.8, 1.6)
        return said

    def turns(self, clip: Clip) -> list[Turn]:
        """The description, which names what is said, or what is the same whatever is said."""
        said = self.said()
        description = f"{scenes.describe(clip)}\n\n{lines.describe(said)}"
        turns = [Turn(told(self.describe, said), description)]
        if self.rng.random() < 0.5:
            prompt, answer = self.rng.choice(
                ((self.sentiment, scenes.sentiment(clip)), (self.ad, scenes.ad(clip))),
            )
            turns.append(Turn(told(prompt, said), answer))
        return turns

    def corpus(self) -> list[str]:
        """Every text that the tokenizer should know well; lines as they stand in prompts and answers."""
        asked = told(self.describe, [Line(random_line(self.rng), 0.5, 2.0)])
        return [*[asked] * SHIPPED_WEIGHT, lines.VOICE, *(f" {line}" for line in lines.all_lines())]
