"""What the demo video model is asked about clips in which somebody speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from client.tasks import transcript
from client.tasks.plan import HEARD
from client.tasks.prompt import TRANSCRIPT
from client.tasks.transcript import Said
from scripts.demo.models.conversation import ASKED, SHIPPED_WEIGHT, Conversations, Turn, reworded, shipped_prompt
from scripts.demo.models.windows import WindowTalk, about
from scripts.demo.world import films, lines, scenes
from scripts.demo.world.lines import Line, random_line
from scripts.demo.world.scenes import random_clip

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from scripts.demo.world.scenes import Clip

MOST_LINES = 3
"""In a sample advertisement."""
OF_WINDOWS = 0.15
"""Share of what is drawn that is a window of a film."""
QUOTE = (
    "What is said?",
    "What is said in this {it}?",
    "What does the voice say?",
    "What do they say?",
    "Quote what is said.",
)
"""Answered by what is said alone: the shortest way to learn to copy it."""
OTHERS = ("sentiment", "ad", "count", "opening", "ending")
"""Answered from what is seen, whatever is said."""


def told(prompt: str, said: Sequence[Line]) -> str:
    """A prompt that hears, as the client sends it."""
    heard = [Said(line.start, line.end, line.text) for line in said]
    return prompt + HEARD.replace(TRANSCRIPT, transcript.lines(heard, None))


class SpokenTalk:
    """Draws clips, what is said in them, and turns about both."""

    def __init__(self, rng: random.Random) -> None:
        """`rng` draws the lots."""
        self.rng = rng
        self.talk, self.windows = Conversations("video", rng), WindowTalk(rng)

    def drawn(self) -> tuple[Clip, list[Turn]]:
        """A clip, or what a window of a film shows, and turns about it."""
        if self.rng.random() >= OF_WINDOWS:
            clip = random_clip(self.rng)
            return clip, self.turns(clip)
        clip, span = self.windows.clip(), self.windows.any_span()
        said = self.said(span.start_us / 1e6)
        caption = Turn(told(reworded(about(self.windows.captions, span), self.rng), said), films.caption(clip))
        return clip, [caption, self._quote(said)]

    def said(self, begin_s: float = 0.0) -> list[Line]:
        """Lines one after the other, as in a sample advertisement, from so many seconds on."""
        at, said = begin_s + self.rng.uniform(0, 1), []
        for _ in range(self.rng.randint(1, MOST_LINES)):
            end = at + self.rng.uniform(0.8, 2.4)
            said.append(Line(random_line(self.rng), at, end))
            at = end + self.rng.uniform(0.8, 1.6)
        return said

    def turns(self, clip: Clip) -> list[Turn]:
        """The description, which quotes what is said, a question for that, and one for what is seen, in any order."""
        said = self.said()
        seen = self.talk.turn(clip, self.rng.choice(OTHERS), shipped=0.75)
        turns = [self._describe(clip, said), self._quote(said), Turn(told(seen.prompt, said), seen.answer)]
        return self.rng.sample(turns, len(turns))

    def _describe(self, clip: Clip, said: Sequence[Line]) -> Turn:
        prompt = self.talk.turn(clip, "describe", shipped=0.75).prompt
        return Turn(told(prompt, said), f"{scenes.describe(clip)}\n\n{lines.describe(said)}")

    def quote(self, begin_s: float) -> Turn:
        """A question for what is said from so many seconds on."""
        return self._quote(self.said(begin_s))

    def _quote(self, said: Sequence[Line]) -> Turn:
        question = self.rng.choice(QUOTE).format(it="video")
        way = self.talk.ask if self.rng.random() < 0.5 else self.rng.choice(ASKED)
        return Turn(told(way.format(it="video", question=question), said), lines.describe(said))

    def corpus(self) -> list[str]:
        """Every text that the tokenizer should know well; lines as they stand in prompts and answers."""
        asked = told(shipped_prompt("describe", "video"), [Line(random_line(self.rng), 0.5, 2.0)])
        return [*[asked] * SHIPPED_WEIGHT, lines.VOICE, *(f" {line}" for line in lines.all_lines())]
