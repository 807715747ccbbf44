"""Records as a flat table: a row for each file, for spreadsheets and data frames.

The columns are the file and its kind, those of the manifest, then for each task its question if it has one, its answer
(`describe`), what was found in it (`sentiment_label`), the verdict on it and the reasons, its parts
(`describe_segments`) and its translations, each with the translator's verdict (`describe_spa_Latn`,
`describe_spa_Latn_verdict`), then the facts about the file and the run, and at last where each answer came from. All
of them are in docs/output.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from client.record import worst_verdict
from client.tasks.readers import reader_of
from client.tasks.schemas import is_structured
from client.timed_record import joined

if TYPE_CHECKING:
    from collections.abc import Callable

    from client.ledger.results import Results
    from client.ledger.topics import Topic
    from client.record import Record


class Cell(Enum):
    """What the cells of a column hold, if they hold anything."""

    TEXT = "text"
    LIST = "list of texts"
    WHOLE = "whole number"
    NUMBER = "number"
    TRUTH = "true or false"
    ANY = "text, or JSON"


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and how its cell is taken from a record."""

    name: str
    cell: Cell
    take: Callable[[Record], Any]


ORIGIN = ("model", "prompt", "answered_at")
"""Of each answer."""


def columns_of(results: Results) -> list[Column]:
    """The columns of the table; one whose name is taken gets `manifest_` (of a manifest) or `_` before it.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    topics = results.topics()
    first = [_field("file", Cell.TEXT), _field("kind", Cell.TEXT)]
    timed = results.tasks_in_segments()
    edited = results.edited_tasks()
    answers = [
        column
        for topic in topics
        for column in _answer(topic, segments=topic.task in timed, edited=topic.task in edited)
    ]
    last = [
        _field("live_photo_of", Cell.TEXT),
        _field("error", Cell.TEXT),
        *([_review("review", "state"), _review("review_note", "note")] if results.is_reviewed() else []),
        Column("gone", Cell.TRUTH, lambda record: record.get("gone", False)),
        _field("warnings", Cell.LIST),
        _field("sha256", Cell.TEXT),
        _field("size_mb", Cell.NUMBER),
        _field("width", Cell.WHOLE),
        _field("height", Cell.WHOLE),
        _field("duration_sec", Cell.NUMBER),
        _field("fps", Cell.NUMBER),
        _field("frames", Cell.WHOLE),
        Column("generated_tokens", Cell.WHOLE, _generated_tokens),
        _field("total_processing_time_sec", Cell.NUMBER),
    ]
    origins = [_said(f"{topic.key}_{name}", Cell.TEXT, topic.key, _getter(name)) for topic in topics for name in ORIGIN]
    taken = {column.name for column in (*first, *last)}
    answers = [_unique(column, "_", taken) for column in answers]
    origins = [_unique(column, "_", taken) for column in origins]
    carried = [_unique(_carried(name), "manifest_", taken) for name in results.columns()]
    return [*first, *carried, *answers, *last, *origins]


def _unique(column: Column, prefix: str, taken: set[str]) -> Column:
    name = column.name
    while name.lower() in taken:  # DuckDB does not tell cases apart
        name = f"{prefix}{name}"
    taken.add(name.lower())
    return Column(name, column.cell, column.take)


def _field(name: str, cell: Cell) -> Column:
    return Column(name, cell, lambda record: record.get(name))


def _review(name: str, field: str) -> Column:
    return Column(name, Cell.TEXT, lambda record: record.get("review", {}).get(field))


def _carried(name: str) -> Column:
    # pandas writes an index without a name
    return Column(name or "manifest", Cell.ANY, lambda record: record.get("manifest", {}).get(name))


def _answer(topic: Topic, *, segments: bool, edited: bool) -> list[Column]:
    key, task = topic.key, topic.task
    readings = [reader_of(reader)('["one", "two"]') for reader in topic.readers]
    cell = Cell.LIST if any(reading.items for reading in readings) else Cell.TEXT
    cell = Cell.ANY if any(map(is_structured, topic.readers)) else cell
    columns = []
    if topic.question:
        columns.append(_said(f"{key}_question", Cell.TEXT, key, _getter("question")))
    text = _getter("text")  # a task of an old ledger may be called like any field of an answer
    takes: dict[Cell, Callable[[dict[str, Any]], Any]] = {
        Cell.LIST: lambda answer: answer.get(task, text(answer)),
        Cell.ANY: lambda answer: answer.get("data", answer.get(task, text(answer))),
    }
    take = takes.get(cell, text)
    columns.append(_said(key, cell, key, lambda answer: _or_joined(take(answer), answer)))
    facts = dict.fromkeys(fact for reading in readings for fact in reading.facts)
    columns += [_said(f"{key}_{fact}", Cell.TEXT, key, _getter(fact)) for fact in facts]
    columns.append(_said(f"{key}_verdict", Cell.TEXT, key, _getter("verdict")))
    if edited:
        columns.append(_said(f"{key}_edited", Cell.LIST, key, _edited))
    columns.append(_said(f"{key}_reasons", Cell.LIST, key, _getter("reasons")))
    if segments:
        columns.append(_said(f"{key}_segments", Cell.ANY, key, _getter("segments")))
    for code in topic.languages:
        columns += [_translation(key, cell, code), _verdict(key, code)]
    return columns


def _edited(answer: dict[str, Any]) -> list[str]:
    """The languages in which a person changed the answer, or a part of it."""
    parts = (answer, *answer.get("segments", ()))
    return list(dict.fromkeys(language for part in parts for language in part.get("edited", ())))


def _getter(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda answer: answer.get(name)


def _or_joined(said: Any, answer: dict[str, Any], language: str | None = None) -> Any:
    """What is said about the whole, or else what the parts say."""
    return joined(answer, language) if said is None else said


def _translation(key: str, cell: Cell, code: str) -> Column:
    return _said(f"{key}_{code}", cell, key, lambda answer: _or_joined(answer["translations"].get(code), answer, code))


def _verdict(key: str, code: str) -> Column:
    return _said(
        f"{key}_{code}_verdict",
        Cell.TEXT,
        key,
        lambda answer: worst_verdict(answer.get("translation_verdicts", {}).get(code)),
    )


def _said(name: str, cell: Cell, key: str, take: Callable[[dict[str, Any]], Any]) -> Column:
    def taken(record: Record) -> Any:
        answer = record["tasks"].get(key)
        value = take(answer) if answer else None
        # An answer that should be a list and is none stays whole.
        return [value] if cell is Cell.LIST and isinstance(value, str) else value

    return Column(name, cell, taken)


def _generated_tokens(record: Record) -> int | None:
    tasks = record["tasks"].values()
    return sum(task["generated_tokens"] for task in tasks) if tasks else None
