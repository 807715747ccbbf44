"""What the demo vision models are asked and what they should answer.

A model sees the prompts of `prompts/`, other wordings of them, and questions; so that it still answers when a user
rewords a prompt, wordings are varied and words are left out at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import frontmatter
from demo_world import scenes

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from demo_world.scenes import Clip

PROMPTS = Path(__file__).resolve().parents[2] / "prompts"

WORDINGS: dict[str, tuple[str, ...]] = {
    "describe": (
        "Describe this video.",
        "Describe the video in detail.",
        "Describe what happens, in order.",
        "Describe this advertisement.",
        "What is shown in this video?",
        "What happens in this video?",
        "What do you see?",
        "What is in this video?",
        "Write a description of the video.",
        "Write a caption.",
        "Caption this clip.",
    ),
    "tags": (
        "List the tags of this video.",
        "Give me tags as a JSON array.",
        "Tags?",
        "Tag this video.",
        "List short keywords for this clip.",
        "Keywords for this video, as JSON.",
    ),
    "sentiment": (
        "What is the sentiment of this video?",
        "Sentiment: positive, negative or neutral?",
        "Is the mood positive, negative or neutral?",
        "What mood does it leave?",
        "Give the sentiment and say why.",
    ),
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
    "appears": (
        "Is there {colour} in it?",
        "Is there {colour} in the video?",
        "Is there any {colour}?",
        "Does {colour} appear?",
        "Does the colour {colour} appear in the video?",
        "Can you see {colour}?",
    ),
}
"""Task or kind of question -> ways to ask."""

ANSWERS: dict[str, Callable[[Clip], str]] = {
    "describe": scenes.describe,
    "tags": scenes.tags_text,
    "sentiment": scenes.sentiment,
    "count": scenes.count_answer,
    "opening": scenes.opening_answer,
    "ending": scenes.ending_answer,
    "frames": scenes.frames_answer,
}
"""Task or kind of question -> the right answer (`appears` also takes a colour)."""

POLITE = ("Please", "You are a media analyst.", "Look closely.", "Watch the video.", "Hello!")
AFTER = ("Be brief.", "Use plain English.", "Thank you.", "Answer in English.", "Do not guess.")
QUESTIONS = ("count", "opening", "ending", "appears")
OTHERS = ("tags", "tags", "sentiment", *QUESTIONS, "appears", "appears")
"""The harder ones are practised more often."""


@dataclass(frozen=True)
class Turn:
    """One question and its right answer."""

    prompt: str
    answer: str


def shipped_prompt(task: str, kind: str) -> str:
    """The body of `prompts/<task>/<kind>.md`."""
    return str(frontmatter.load(str(PROMPTS / task / f"{kind}.md")).content).strip()


def reworded(prompt: str, rng: random.Random) -> str:
    """The prompt with something polite around it, now and then."""
    if rng.random() < 0.15:
        prompt = f"{rng.choice(POLITE)} {prompt}"
    if rng.random() < 0.15:
        prompt = f"{prompt} {rng.choice(AFTER)}"
    return prompt


class Conversations:
    """Draws turns about clips."""

    def __init__(self, kind: str, rng: random.Random) -> None:
        """`kind` is 'video' or 'image': which prompt files are used."""
        self.rng = rng
        self.tasks = {task: shipped_prompt(task, kind) for task in ("describe", "tags", "sentiment")}
        self.question = shipped_prompt("question", kind)

    def turn(self, clip: Clip, kind: str) -> Turn:
        """A prompt of one kind about a clip, with its right answer."""
        rng = self.rng
        if kind == "appears":
            colour = self._colour(clip)
            prompt = rng.choice(WORDINGS[kind]).format(colour=colour)
            answer = scenes.appears_answer(clip, colour)
        else:
            prompt, answer = rng.choice(WORDINGS[kind]), ANSWERS[kind](clip)
        if kind in self.tasks and rng.random() < 0.6:
            prompt = self.tasks[kind]
        elif kind in QUESTIONS and rng.random() < 0.7:
            prompt = self.question.format(question=prompt)
        return Turn(reworded(prompt, rng), answer)

    def turns(self, clip: Clip) -> list[Turn]:
        """The description and two other turns about a clip, in any order."""
        others = dict.fromkeys(self.rng.sample(OTHERS, len(OTHERS)))
        turns = [self.turn(clip, kind) for kind in ("describe", *list(others)[:2])]
        self.rng.shuffle(turns)
        return turns

    def _colour(self, clip: Clip) -> str:
        """A colour to ask for: half of the time one that is there."""
        shown = sorted({colour for scene in clip.scenes for colour in (scene.left, scene.right)})
        absent = sorted(set(scenes.COLOURS) - set(shown))
        return self.rng.choice(shown if self.rng.random() < 0.5 or not absent else absent)

    def corpus(self) -> list[str]:
        """Every text that the tokenizer should know well."""
        wordings = [wording.format(colour="red") for ways in WORDINGS.values() for wording in ways]
        tags = ['["one scene", "red", "blue"]', '["two scenes", "black", "white", "green", "pink"]']
        return [
            *self.tasks.values(),
            self.question,
            *wordings,
            *POLITE,
            *AFTER,
            *scenes.all_sentences(),
            *tags,
        ]
