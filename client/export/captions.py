"""The caption of each file, for formats that have one text for each: of which task, in which language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from client.endpoints.language_names import known_codes
from client.errors import UsageError
from client.hints import did_you_mean
from client.ledger.edits import ENGLISH
from client.record import record_of
from client.sources.source import local_path
from client.timed_record import joined

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from client.ledger.results import Results
    from client.record import Record

DESCRIBE = "describe"
_OTHER_LISTS = ("original_order", "segments")


class Choice(NamedTuple):
    """What formats with one text for each file take for it, and where those go that are files beside it."""

    task: str | None = None
    """The key of a task; None: `describe`, or the first one where that was not asked."""
    language: str = ENGLISH
    """FLORES code."""
    beside: bool = False
    """Beside the pictures and videos, not in a folder of their own."""


class Captioned(NamedTuple):
    """A file with a caption."""

    record: Record
    answer: Mapping[str, Any]
    """The one of the record that the caption is of."""
    language: str
    """FLORES code."""
    caption: str
    uri: str
    """Its URL or absolute path."""
    path: Path | None
    """Where it is on this machine; None if it is not."""


def captioned(results: Results, choice: Choice, left_out: Counter[str]) -> Iterator[Captioned]:
    """The files that have a caption; why others have none is counted in `left_out`.

    Raises:
        UsageError: no such task was ever asked, or its answers are not in that language.
        LedgerError: the ledger cannot be read.
    """
    _check(results, choice)
    for file in results.files():
        record = record_of(file, results)
        answer = _answer(record, choice.task)
        if answer and (caption := as_text(in_language(answer, choice.language))):
            path = None if file.gone else local_path(file.uri)
            path = path if path and path.is_file() else None
            yield Captioned(record, answer, choice.language, caption, file.uri, path)
        else:
            left_out["without a caption"] += 1


def _check(results: Results, choice: Choice) -> None:
    topics = {topic.key: topic for topic in results.topics()}
    if choice.task is not None and choice.task not in topics:
        hint = did_you_mean(choice.task, list(topics))
        raise UsageError(f"--caption {choice.task}{hint}: no such task was asked; there are: {', '.join(topics)}")
    languages = {language for topic in topics.values() for language in topic.languages} | {ENGLISH}
    if choice.language not in languages:
        raise UsageError(
            f"--caption-language {choice.language}: nothing was translated into it; there are: "
            f"{', '.join(sorted(languages))}"
        )


def _answer(record: Record, task: str | None) -> Mapping[str, Any] | None:
    tasks = record["tasks"]
    found: Mapping[str, Any] | None = tasks.get(task or (DESCRIBE if DESCRIBE in tasks else next(iter(tasks), None)))
    return found


def in_language(answer: Mapping[str, Any], language: str) -> Any:
    """What an answer of a record says in a language; None if nothing."""
    segments = answer.get("segments") or ()
    if any(language_of(segment) != ENGLISH for segment in segments):
        return "\n".join(filter(None, (_heard(segment, language) for segment in segments))) or None
    return english(answer) if language == ENGLISH else translations(answer).get(language)


def language_of(segment: Mapping[str, Any]) -> str:
    """The language of a segment's own text: English, or the one that was heard."""
    data = segment.get("data")
    heard: str | None = data.get("language") if isinstance(data, dict) else None
    return heard if heard in known_codes() else ENGLISH


def _heard(segment: Mapping[str, Any], language: str) -> str:
    own = language_of(segment) == language
    return as_text(segment.get("text") if own else segment.get("translations", {}).get(language))


def as_text(said: Any) -> str:
    """A text, a list of texts or data as one text."""
    if said is None:
        return ""
    if isinstance(said, list) and all(isinstance(item, str) for item in said):
        said = ", ".join(said)
    return said.strip() if isinstance(said, str) else orjson.dumps(said).decode()


def english(answer: Mapping[str, Any]) -> Any:
    """The text, the items of a list, data, or what the segments say, each on a line of its own."""
    if "data" in answer:
        return answer["data"]
    if "text" in answer or "raw" in answer:
        items = (value for name, value in answer.items() if isinstance(value, list) and name not in _OTHER_LISTS)
        return answer.get("text", next(items, None))
    return joined(answer) or ""


def translations(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The same by language."""
    parts = () if answer["translations"] else answer.get("segments", ())
    languages = dict.fromkeys(code for part in parts for code in part.get("translations", ()))
    return {**answer["translations"], **{code: joined(answer, code) for code in languages}}
