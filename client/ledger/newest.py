"""Which of several answers to the same task stands in a record, and the parts that it was made of.

It is the one that the last run which named the file asks for: after a way back to earlier settings, the earlier one.
Where that run asks something else, it is the newest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from client.tasks.units import UnitKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from client.ledger.rows import StoredTranslation
    from client.ledger.topics import Topic, Topics

RequestIdentity = tuple[str, str, str, str]
"""The `Request.identity` of an answer: task, prompt hash, model, parameters."""


@dataclass(slots=True)
class ResultAnswer:
    """A row of the table `answers`, with its translations by language."""

    id: int
    unit: str
    task: str
    prompt_hash: str
    model: str
    params: str
    state: str
    text: str
    finish_reason: str | None
    generated_tokens: int
    request_s: float
    tokens_per_s: float | None
    """As the server told it; None where it did not."""
    error: str | None
    verdict: str | None
    """`ok`, `retried` or `doubtful`."""
    reasons: str | None
    """JSON: why it is doubtful, or was asked for again."""
    reasoning: str | None
    """What the model thought; None where it did not say."""
    updated: float
    """When it was answered: seconds since 1970."""
    reader: str = ""
    """The name of what reads it; empty until it stands in a record."""
    translations: dict[str, StoredTranslation] = field(default_factory=dict)
    edits: dict[str, list[str]] = field(default_factory=dict)
    """By language, what a person wrote instead: the text, or the items of the list."""
    outdated_edits: list[str] = field(default_factory=list)
    """Languages in which a person changed an earlier answer to the same."""

    @property
    def identity(self) -> RequestIdentity:
        """What the request was, whatever unit it was about."""
        return self.task, self.prompt_hash, self.model, self.params


class Segment(NamedTuple):
    """The answer about a part of a video's time: microseconds on its own clock, half open."""

    start_us: int
    end_us: int
    answer: ResultAnswer


class Failure(NamedTuple):
    """Why there is no answer; `final` if the server would refuse again."""

    error: str
    final: bool


class UnitRow(NamedTuple):
    """A row of the table `units`: what a request was about, where that was not a whole file."""

    id: str
    content: str
    kind: str
    start_us: int | None
    end_us: int | None
    inputs: str | None
    """JSON: of a merge, the ids of the units whose answers it is made of."""


@dataclass(slots=True)
class TopicResult:
    """The answer to a topic: about the whole file, in segments, or both (the one merged of the others)."""

    topic: Topic
    whole: ResultAnswer | None = None
    segments: list[Segment] = field(default_factory=list)
    digests: list[ResultAnswer] = field(default_factory=list)
    """What was merged of some segments on the way to the whole."""

    def answers(self) -> list[ResultAnswer]:
        """All answers that it consists of: those of the segments, what was merged of them, the one about the whole."""
        said = [segment.answer for segment in self.segments]
        return [*said, *self.digests, *([self.whole] if self.whole else [])]


@dataclass(slots=True)
class _Found:
    """All done answers to a topic about a content, the one that stands last."""

    whole: ResultAnswer | None = None
    inputs: frozenset[str] | None = None
    """If `whole` is merged: of these units."""
    parts: list[tuple[str, Segment]] = field(default_factory=list)
    """With their units, since the last answer about the whole that is not merged."""
    digests: dict[str, tuple[ResultAnswer, frozenset[str]]] = field(default_factory=dict)
    """By their units, each with its inputs."""
    failure: Failure | None = None

    def result(self, topic: Topic) -> TopicResult | None:
        if not self.whole and not self.parts:
            return None
        if self.whole and self.inputs is not None:
            inputs, digests = set(self.inputs), list[ResultAnswer]()
            for unit, (answer, of) in reversed(self.digests.items()):
                if unit in inputs:
                    digests.append(answer)
                    inputs |= of
            segments = {unit: segment for unit, segment in self.parts if unit in inputs}
            return TopicResult(topic, self.whole, _in_order(segments), digests)
        if not self.parts:
            return TopicResult(topic, self.whole)
        identity = self.parts[-1][1].answer.identity
        return TopicResult(
            topic, None, _in_order({unit: part for unit, part in self.parts if part.answer.identity == identity})
        )


class ContentAnswers:
    """The answers about one content."""

    def __init__(
        self, topics: Topics, answers: Iterable[tuple[ResultAnswer, UnitRow | None]], asked: Collection[RequestIdentity]
    ) -> None:
        """`answers`, and failures, the oldest first, each with its unit, None for the whole file.

        `topics` are those to be shown; `asked` is what the last run asks that named the file.
        """
        self._topics = topics
        self._found: dict[str, _Found] = {}
        self.requests: set[RequestIdentity] = set()
        """Of all answers about it or a part of it, also of those that do not stand."""
        answers = list(answers)
        if len(answers) > 1:
            units = _asked_units(answers, asked)
            answers.sort(key=lambda it: it[0].identity in asked and it[0].unit in units)
        for answer, unit in answers:
            self._add(answer, unit)

    def _add(self, answer: ResultAnswer, unit: UnitRow | None) -> None:
        identity = answer.identity
        known = self._topics.find(*identity)
        if known is None:
            return
        topic, answer.reader = known
        found = self._found.setdefault(topic.key, _Found())
        if answer.state != "done":
            found.failure = Failure(answer.error or "", answer.state == "failed")
            return
        self.requests.add(identity)
        if unit is None:
            found.whole, found.inputs, found.parts = answer, None, []
        elif unit.kind == UnitKind.MERGE:
            found.whole, found.inputs = answer, _inputs(unit)
        elif unit.kind == UnitKind.DIGEST:
            found.digests.pop(unit.id, None)
            found.digests[unit.id] = answer, _inputs(unit)
        else:
            found.parts.append((unit.id, Segment(unit.start_us or 0, unit.end_us or 0, answer)))

    def results(self) -> list[TopicResult]:
        """What stands in the record, in the order of the topics."""
        found = ((topic, self._found.get(topic.key)) for topic in self._topics.all)
        return [result for topic, some in found if some and (result := some.result(topic))]

    def failures(self) -> list[tuple[Topic, Failure]]:
        """The topics that were asked and have no answer, and why."""
        found = ((topic, self._found.get(topic.key)) for topic in self._topics.all)
        return [(topic, it.failure) for topic, it in found if it and it.failure and not it.whole and not it.parts]


def _inputs(unit: UnitRow | None) -> frozenset[str]:
    """The units whose answers it is made of."""
    return frozenset(json.loads(unit.inputs or "[]")) if unit else frozenset()


def _asked_units(
    answers: Iterable[tuple[ResultAnswer, UnitRow | None]], asked: Collection[RequestIdentity]
) -> set[str]:
    """The units that a run asks about. A merge does not say which windows it is of, but what it is made of does."""
    units: set[str] = set()
    made = {answer.unit: _inputs(unit) for answer, unit in answers if answer.identity in asked}
    while more := {unit for unit, inputs in made.items() if inputs <= units} - units:
        units |= more
    return units


def _in_order(segments: dict[str, Segment]) -> list[Segment]:
    return sorted(segments.values(), key=attrgetter("start_us", "end_us"))
