"""How much of what the stack wrote about drawn advertisements, and heard in them, is exactly right."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scripts.demo.world import lines, pictures, scenes
from scripts.demo.world.pictures import Picture
from scripts.demo.world.translations import translate, translate_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scripts.demo.world.lines import Line
    from scripts.demo.world.scenes import Clip

TRANSCRIPT = "transcript"
LINES = ("lines", "times of lines")
"""What is looked at in a transcript."""
SWAPPED = "-swapped"
"""Behind the name of a video that has the words of another."""
FOLLOWS = "descriptions that follow the sound"
CLOSE_S = 0.3
"""A line may seem to begin or end so much sooner or later."""
TASKS = ("describe", "tags", "sentiment", "ad")
"""Of `prompts/`, those to which the world has an answer."""


@dataclass
class Share:
    """Right answers among all; the wrong ones are kept to be looked at."""

    right: int = 0
    total: int = 0
    wrong: list[str] = field(default_factory=list)

    def count(self, *, expected: object, got: object, where: str) -> None:
        """Count one answer, right or wrong."""
        self.total += 1
        if expected == got:
            self.right += 1
        else:
            self.wrong.append(f"{where}: expected {expected!r}, got {got!r}")

    @property
    def value(self) -> float:
        """Share of right answers, 0 to 1; 0 when there are none at all."""
        return self.right / self.total if self.total else 0.0


@dataclass
class Score:
    """Captions by task, translations by language."""

    captions: defaultdict[str, Share] = field(default_factory=lambda: defaultdict(Share))
    translations: defaultdict[str, Share] = field(default_factory=lambda: defaultdict(Share))
    failed: list[str] = field(default_factory=list)

    @property
    def caption_share(self) -> float:
        """Exactly right captions among all of them; a file that failed counts as wrong."""
        return _merged(self.captions, len(self.failed))

    @property
    def translation_share(self) -> float:
        """Exactly right translations among all of them."""
        return _merged(self.translations, 0)


def _merged(shares: Mapping[str, Share], missing: int) -> float:
    total = sum(share.total for share in shares.values()) + missing
    return sum(share.right for share in shares.values()) / total if total else 0.0


def expected_answer(shown: Clip | Picture, task: str, question: str | None) -> str | list[str] | None:
    """The right answer about a clip or a picture to a task of `prompts/` or to a question; None: the world has none."""
    world: Any = pictures if isinstance(shown, Picture) else scenes
    if question is None:
        answers = {"describe": world.describe, "tags": world.tags, "sentiment": world.sentiment, "ad": world.ad}
        if task not in answers:
            return None
        answer: str | list[str] = answers[task](shown)
        return sorted(answer) if isinstance(answer, list) else answer  # as the client does
    for colour in scenes.COLOURS:
        if question == appears_question(colour):
            seen: str = world.appears_answer(shown, colour)
            return seen
    right: str | None = world.QUESTIONS[question](shown) if question in world.QUESTIONS else None
    return right


def appears_question(colour: str) -> str:
    """How a user asks whether a colour is there."""
    return f"Is there {colour} in it?"


def expected_translation(english: str | list[str], language: str) -> str | list[str] | None:
    """What a right translation says of the English text that was written; None where that was not of the world."""
    try:
        if isinstance(english, list):
            return [translate(tag, language) for tag in english]
        return translate_text(english, language)
    except KeyError:
        return None


def score(
    records: list[dict[str, Any]],
    truth: Mapping[str, Clip | Picture],
    said: Mapping[str, Sequence[Line]] | None = None,
) -> Score:
    """Compare the records of `results.json` with the truth (file name -> clip or picture, and what is said in it).

    A description that was told what is said ends with that. A translation is held against the English text that was
    really written, so that a wrong caption does not count twice; a text that the world does not say has no right
    translation.
    """
    result = Score()
    for record in records:
        name = record["file"].rsplit("/", 1)[-1]
        if name not in truth:
            continue
        if record["error"]:
            result.failed.append(f"{name}: {record['error']}")
            continue
        spoken = said.get(name, ()) if said else ()
        for task, answer in record["tasks"].items():
            if task == TRANSCRIPT:
                _score_transcript(result, name, spoken, answer["segments"])
                continue
            english = answer.get("tags", answer.get("text"))
            question = answer.get("question")
            kind = f"{record['kind']} {question or task}"
            expected = expected_answer(truth[name], task, question)
            if expected is None:
                continue  # a task or a question of the user's own
            if task == "describe" and spoken and answer.get("heard"):
                expected = f"{expected}\n\n{lines.describe(spoken)}"
            result.captions[kind].count(expected=expected, got=english, where=f"{name} {question or task}")
            for language, text in answer.get("translations", {}).items():
                right = expected_translation(english, language)
                result.translations[language].count(expected=right, got=text, where=f"{name} {task} {language}")
    return result


def score_swaps(result: Score, records: list[dict[str, Any]], said: Mapping[str, Sequence[Line]]) -> None:
    """Count the pairs of the same pictures with other words whose descriptions quote each its own, and no others."""
    told = {
        record["file"].rsplit("/", 1)[-1]: record["tasks"].get("describe", {}).get("text", "") for record in records
    }
    for name, spoken in said.items():
        other = name.replace(".", f"{SWAPPED}.")
        if other not in said:
            continue
        expected = [lines.describe(spoken), lines.describe(said[other])]
        quoted = [told.get(each, "").partition(f"\n\n{lines.VOICE}") for each in (name, other)]
        got = [f"{voice.strip()}{words}" for _, voice, words in quoted]
        result.captions[FOLLOWS].count(expected=expected, got=got, where=name)


def _score_transcript(result: Score, name: str, spoken: Sequence[Line], segments: Sequence[dict[str, Any]]) -> None:
    """Line by line: what is said, and of what is right, whether the times are."""
    for line, part in itertools.zip_longest(spoken, segments):
        right, got = line and line.text, part and part["text"]
        result.captions[LINES[0]].count(expected=right, got=got, where=f"{name} line")
        if right == got:
            close = abs(part["start"] - line.start) <= CLOSE_S and abs(part["end"] - line.end) <= CLOSE_S
            where = f"{name} {line}, told {part['start']} to {part['end']}"
            result.captions[LINES[1]].count(expected=True, got=close, where=where)
    for part in segments:
        for language, text in part.get("translations", {}).items():
            expected = expected_translation(part["text"], language)
            if expected is not None:  # else it was misheard, which counts once
                result.translations[language].count(expected=expected, got=text, where=f"{name} line {language}")
