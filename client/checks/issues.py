"""What can be seen to be wrong with an answer without looking at the picture.

Every check is a cheap heuristic, a fraction of a millisecond an answer; docs/batch.md says how often they are wrong.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from client.checks.emptiness import find_echo, find_emptiness
from client.checks.language import find_wrong_language
from client.checks.loops import find_loop
from client.checks.reasoning import reads_like_reasoning, split_reasoning
from client.checks.refusals import find_refusal
from client.checks.words import words
from client.tasks import structured
from client.tasks.answers import READERS
from client.tasks.schemas import is_structured

if TYPE_CHECKING:
    from collections.abc import Sequence

OK, RETRIED, DOUBTFUL = VERDICTS = ("ok", "retried", "doubtful")
"""On an answer, as on a translated sentence, from the best to the worst."""


_LOOKED_AT = 20_000
"""Characters of an answer: more than is ever asked for."""
_MOST_TEXTS = 200
"""Texts of an answer that is data: parts of a long video."""


class IssueKind(StrEnum):
    """What is wrong, the worst first."""

    REASONING_ONLY = "nothing but reasoning"
    INVALID = "invalid"
    REFUSAL = "refusal"
    EMPTY = "empty"
    LOOP = "loop"
    ECHO = "echo"
    NOT_SAID = "not said"
    """Of a transcript: text where nobody speaks."""
    REASONING = "reasoning"
    LANGUAGE = "language"


WORST = tuple(IssueKind)
ASKED_AGAIN = frozenset(IssueKind) - {IssueKind.LANGUAGE}
"""What another try may mend: a model that answers in its own language does so again."""


class Issue(NamedTuple):
    """Something that is wrong with an answer."""

    kind: IssueKind
    detail: str

    def __str__(self) -> str:
        """As a reason for the user: `loop: 'red' 6 times in a row`."""
        return f"{self.kind}: {self.detail}"


def find_issues(text: str, prompt: str, question: str | None, reader: str, *, merged: bool = False) -> list[Issue]:
    """What speaks against an answer, the worst first; nothing where it is a caption, as far as can be told.

    Args:
        text: the answer, without reasoning in marks (`split_reasoning`).
        prompt: what the model was asked.
        question: the user's own part of the prompt, where the task takes one.
        reader: how the answer is read: see `client.tasks.readers`.
        merged: the prompt holds answers that the model had to put together, and may repeat.
    """
    if is_structured(reader):
        data, problem = structured.read(reader, text)
        if problem:
            return [Issue(IssueKind.INVALID, problem)]
        return _issues_within([part[:_LOOKED_AT] for part in structured.texts_in(reader, data)][:_MOST_TEXTS])
    text = text[:_LOOKED_AT]
    items = _items(text, reader)
    takes_question = question is not None
    found = {
        IssueKind.REFUSAL: find_refusal(text),
        IssueKind.EMPTY: find_emptiness(text, takes_question=takes_question, may_be_empty=reader == "list"),
        IssueKind.LOOP: find_loop(text),
        IssueKind.ECHO: None if merged else find_echo(text, prompt, question, items),
        IssueKind.REASONING: "it reads like thoughts, not like an answer" if reads_like_reasoning(text) else None,
    }
    issues = [Issue(kind, detail) for kind, detail in found.items() if detail]
    if not issues and (language := find_wrong_language(text, prompt, question, items)):
        issues.append(Issue(IssueKind.LANGUAGE, language))
    return issues


def _issues_within(texts: list[str]) -> list[Issue]:
    """What speaks against the texts of an answer that is data: loops in any, refusals where they are most of it."""
    said = sum(len(words(text)) for text in texts)
    refusals = [(text, refusal) for text in texts if (refusal := find_refusal(text))]
    issues: list[Issue] = []
    if refusals and 2 * sum(len(words(text)) for text, _ in refusals) > said:
        issues.append(Issue(IssueKind.REFUSAL, refusals[0][1]))
    if loop := next(filter(None, map(find_loop, texts)), None):
        issues.append(Issue(IssueKind.LOOP, loop))
    return issues


def check_stored(text: str, prompt: str, question: str | None, reader: str) -> tuple[str, list[str]]:
    """Verdict and reasons on an answer that was stored before answers were checked."""
    split = split_reasoning(text)
    issues = find_issues(split.text, prompt, question, reader) if split.text else []
    if split.reasoning is not None:
        issues.append(Issue(IssueKind.REASONING, "it holds the model's thoughts"))
    return (DOUBTFUL if issues else OK), [str(issue) for issue in issues]


def _items(text: str, reader: str) -> Sequence[str] | None:
    return READERS[reader](text).items if reader != "text" and reader in READERS else None
