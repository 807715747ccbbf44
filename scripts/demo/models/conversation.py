"""What the demo vision models are asked and what they should answer.

A model sees the prompts of `prompts/`, other wordings of them, and questions; so that it still answers when a user
rewords a prompt, wordings are varied and something polite is said around them at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from client.tasks.prompt import read_prompt
from client.tasks.tasks import ASK, BUILT_IN
from scripts.demo.world import pictures, scenes
from scripts.demo.world.score import TASKS

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

POLITE = ("Please", "You are a media analyst.", "Look closely.", "Hello!")
AFTER = ("Be brief.", "Use plain English.", "Thank you.", "Answer in English.", "Do not guess.")
FIRST_LESSON = 150
"""Steps."""
DRILLS, LONG = 0.15, 0.4
"""Shares of conversations."""
LONGEST = 10
"""Turns of a long one."""
SHIPPED_WEIGHT = 10
"""How often the shipped prompts stand in the tokenizer's corpus: enough for their words to be a token each."""

DESCRIBE = (
    "Describe this {it}.",
    "Describe the {it} in detail.",
    "Describe this advertisement.",
    "What is shown in this {it}?",
    "What do you see?",
    "What is in this {it}?",
    "Write a description of the {it}.",
    "Write a caption.",
)
TAGS = (
    "List the tags of this {it}.",
    "Give me tags as a JSON array.",
    "Tags?",
    "Tag this {it}.",
    "List short keywords for this {it}.",
    "Keywords for this {it}, as JSON.",
)
SENTIMENT = (
    "What is the sentiment of this {it}?",
    "Sentiment: positive, negative or neutral?",
    "Is the mood positive, negative or neutral?",
    "What mood does it leave?",
    "Give the sentiment and say why.",
)
AD = (
    "Analyse this {it}.",
    "Analyse this advertisement.",
    "Analyse this {it} as an advertisement.",
    "What does an expert in advertising say?",
    "Give a creative analysis.",
    "Write a creative analysis of this {it}.",
)
ASKED = (
    "Answer this question about the {it}: {question}",
    "Question: {question}",
    "{question}",
)
"""Ways to put a question beside that of `prompts/ask`."""
APPEARS = (
    "Is there {colour} in it?",
    "Is there {colour} in the {it}?",
    "Is there any {colour}?",
    "Does {colour} appear?",
    "Does the colour {colour} appear in the {it}?",
    "Can you see {colour}?",
)


@dataclass(frozen=True)
class Topic:
    """What can be asked about one kind of media, by name of the task or question."""

    word: str
    """What people call it."""
    wordings: Mapping[str, tuple[str, ...]]
    answers: Mapping[str, Callable[[Any], str]]
    colours: Callable[[Any], list[str]]
    appears: Callable[[Any, str], str]
    first: str
    """What the first lesson asks: to name all that is seen, piece by piece."""
    practised: tuple[str, ...]
    """Two of these are asked beside the description; the harder ones stand here more than once."""


VIDEO = Topic(
    word="video",
    wordings={
        "describe": (
            *DESCRIBE,
            "Describe what happens, in order.",
            "What happens in this video?",
            "Caption this clip.",
        ),
        "tags": TAGS,
        "sentiment": SENTIMENT,
        "ad": AD,
        "appears": APPEARS,
        "count": (
            "How many scenes are there?",
            "How many scenes does the video have?",
            "How many scenes does it have?",
            "Count the scenes.",
        ),
        "opening": (
            "How does it open?",
            "How does the video open?",
            "How does the video start?",
            "How does it begin?",
            "What is shown at the beginning?",
            "What is shown first?",
            "Which colours does it open with?",
            "What comes first?",
        ),
        "ending": (
            "How does it end?",
            "How does the video end?",
            "What is shown at the end?",
            "What is shown last?",
            "Which colours does it end with?",
            "What comes last?",
        ),
        "frames": ("Frame by frame.",),
    },
    answers={
        "describe": scenes.describe,
        "tags": scenes.tags_text,
        "sentiment": scenes.sentiment,
        "ad": scenes.ad,
        "count": scenes.count_answer,
        "opening": scenes.opening_answer,
        "ending": scenes.ending_answer,
        "frames": scenes.frames_answer,
    },
    colours=scenes.colours,
    appears=scenes.appears_answer,
    first="frames",
    practised=("tags", "tags", "sentiment", "ad", "ad", "count", "opening", "ending", "appears", "appears"),
)

PICTURE = Topic(
    word="picture",
    wordings={
        "describe": (*DESCRIBE, "Describe this image.", "What is in the image?"),
        "tags": TAGS,
        "sentiment": SENTIMENT,
        "ad": AD,
        "appears": APPEARS,
        "top": ("What is at the top?", "What does the top show?", "Which colours are at the top?", "What is above?"),
        "bottom": (
            "What is at the bottom?",
            "What does the bottom show?",
            "Which colours are at the bottom?",
            "What is below?",
        ),
        "quarters": ("Quarter by quarter.",),
    },
    answers={
        "describe": pictures.describe,
        "tags": pictures.tags_text,
        "sentiment": pictures.sentiment,
        "ad": pictures.ad,
        "top": pictures.top_answer,
        "bottom": pictures.bottom_answer,
        "quarters": pictures.quarters_answer,
    },
    colours=lambda picture: picture.colours,
    appears=pictures.appears_answer,
    first="quarters",
    practised=("tags", "tags", "sentiment", "sentiment", "ad", "ad", "top", "bottom", "appears", "appears"),
)


@dataclass(frozen=True)
class Turn:
    """One question and its right answer."""

    prompt: str
    answer: str


def shipped_prompt(task: str, kind: str) -> str:
    """The body of `prompts/<task>/<kind>.md`."""
    return read_prompt(BUILT_IN / task / f"{kind}.md").text


def reworded(prompt: str, rng: random.Random) -> str:
    """The prompt with something polite around it, now and then."""
    if rng.random() < 0.15:
        prompt = f"{rng.choice(POLITE)} {prompt}"
    if rng.random() < 0.15:
        prompt = f"{prompt} {rng.choice(AFTER)}"
    return prompt


class Conversations:
    """Draws turns about clips or pictures."""

    def __init__(self, kind: str, rng: random.Random) -> None:
        """`kind` is 'video' or 'image', as in `prompts/`."""
        self.rng = rng
        self.topic = VIDEO if kind == "video" else PICTURE
        self.tasks = {task: shipped_prompt(task, kind) for task in TASKS}
        self.ask = shipped_prompt(ASK, kind)

    def turn(self, shown: Any, kind: str, *, shipped: float, colour: str | None = None) -> Turn:
        """A prompt of one kind about what is shown, with its right answer.

        `shipped` is the chance that a task is asked as `prompts/` does, `colour` the one to ask for.
        """
        rng, topic = self.rng, self.topic
        colour = colour or self._colour(shown)
        prompt = rng.choice(topic.wordings[kind]).format(it=topic.word, colour=colour)
        answer = topic.appears(shown, colour) if kind == "appears" else topic.answers[kind](shown)
        if kind in self.tasks and rng.random() < shipped:
            prompt = self.tasks[kind]
        elif kind not in self.tasks:
            way = self.ask if rng.random() < 0.5 else rng.choice(ASKED)
            prompt = way.format(it=topic.word, question=prompt)
        return Turn(reworded(prompt, rng), answer)

    def lesson(self, shown: Any) -> list[Turn]:
        """The turn of the first lesson."""
        return [Turn(self.topic.wordings[self.topic.first][0], self.topic.answers[self.topic.first](shown))]

    def drill(self, shown: Any) -> list[Turn]:
        """Colour after colour: is it there? What stands in other answers is no help, so it must be looked for."""
        there = self.topic.colours(shown)
        absent = sorted(set(scenes.COLOURS) - set(there))
        asked = self.rng.sample(there, min(2, len(there))) + self.rng.sample(absent, min(2, len(absent)))
        self.rng.shuffle(asked)
        return [self.turn(shown, "appears", shipped=0, colour=colour) for colour in asked]

    def turns(self, shown: Any) -> list[Turn]:
        """A drill or a long conversation now and then; else the description and two other turns, in any order.

        The shipped prompts are long and come right after the media when they are served, so they mostly do here.
        """
        lot, practised = self.rng.random(), self.topic.practised
        if lot < DRILLS:
            return self.drill(shown)
        if lot < DRILLS + LONG:
            kinds = self.rng.choices(("describe", *practised), k=self.rng.randint(4, LONGEST))
            return [self.turn(shown, kind, shipped=0.5) for kind in kinds]
        others = list(dict.fromkeys(self.rng.sample(practised, len(practised))))
        kinds = ["describe", *others[:2]]
        self.rng.shuffle(kinds)
        return [self.turn(shown, kind, shipped=0.75 if at == 0 else 0) for at, kind in enumerate(kinds)]

    def _colour(self, shown: Any) -> str:
        """A colour to ask for: half of the time one that is there."""
        there = self.topic.colours(shown)
        absent = sorted(set(scenes.COLOURS) - set(there))
        return self.rng.choice(there if self.rng.random() < 0.5 or not absent else absent)

    def corpus(self) -> list[str]:
        """Every text that the tokenizer should know well."""
        ways = [wording for wordings in self.topic.wordings.values() for wording in wordings]
        wordings = [wording.format(it=self.topic.word, colour="red") for wording in ways]
        shipped = [*self.tasks.values(), self.ask] * SHIPPED_WEIGHT
        tags = ['["one scene", "red", "blue"]', '["picture", "black", "white", "green", "pink"]']
        return [*shipped, *ASKED, *wordings, *POLITE, *AFTER, *scenes.all_sentences(), *tags]
