"""Records as a flat table: a row for each file, for spreadsheets and data frames.

The columns are the file and its kind, those of the manifest, then for each task its question if it has one, its answer
(`describe`), what was found in it (`sentiment_label`) and its translations (`describe_spa_Latn`), and at last the facts
about the file and the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from client.tasks.answers import READERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from client.ledger.results import Results
    from client.record import Record
    from client.tasks.plan import Plan


class Cell(Enum):
    """What the cells of a column hold, if they hold anything."""

    TEXT = "text"
    LIST = "list of texts"
    WHOLE = "whole number"
    NUMBER = "number"
    ANY = "whatever a manifest says"


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and how its cell is taken from a record."""

    name: str
    cell: Cell
    take: Callable[[Record], Any]


def columns_of(results: Results) -> list[Column]:
    """The columns of the table; a manifest's column whose name is taken gets `manifest_` before it."""
    first = [_field("file", Cell.TEXT), _field("kind", Cell.TEXT)]
    answers = [column for key in _keys(results.plan) for column in _task(results.plan, key)]
    last = [
        _field("error", Cell.TEXT),
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
    taken = {column.name.lower() for column in (*first, *answers, *last)}
    carried: list[Column] = []
    for name in results.columns():
        free = name or "manifest"  # pandas writes an index without a name
        while free.lower() in taken:  # DuckDB does not tell cases apart
            free = f"manifest_{free}"
        taken.add(free.lower())
        carried.append(_carried(name, free))
    return [*first, *carried, *answers, *last]


def _field(name: str, cell: Cell) -> Column:
    return Column(name, cell, lambda record: record.get(name))


def _carried(name: str, free: str) -> Column:
    return Column(free, Cell.ANY, lambda record: record.get("manifest", {}).get(name))


def _keys(plan: Plan) -> list[str]:
    return list(dict.fromkeys(request.key for requests in plan.requests.values() for request in requests))


def _task(plan: Plan, key: str) -> list[Column]:
    requests = [request for requests in plan.requests.values() for request in requests if request.key == key]
    readings = [READERS[request.answer]('["one", "two"]') for request in requests]
    cell = Cell.LIST if any(reading.items for reading in readings) else Cell.TEXT
    columns = []
    if any(request.question for request in requests):
        columns.append(_said(f"{key}_question", Cell.TEXT, key, lambda task: task.get("question")))
    columns.append(_said(key, cell, key, lambda task: task.get(requests[0].task, task.get("text"))))
    facts = dict.fromkeys(fact for reading in readings for fact in reading.facts)
    columns += [_fact(key, fact) for fact in facts]
    columns += [_translation(key, cell, code) for code in plan.languages]
    return columns


def _fact(key: str, fact: str) -> Column:
    return _said(f"{key}_{fact}", Cell.TEXT, key, lambda task: task.get(fact))


def _translation(key: str, cell: Cell, code: str) -> Column:
    return _said(f"{key}_{code}", cell, key, lambda task: task["translations"].get(code))


def _said(name: str, cell: Cell, key: str, take: Callable[[dict[str, Any]], Any]) -> Column:
    def taken(record: Record) -> Any:
        task = record["tasks"].get(key)
        value = take(task) if task else None
        # An answer that should be a list and is none stays whole.
        return [value] if cell is Cell.LIST and isinstance(value, str) else value

    return Column(name, cell, taken)


def _generated_tokens(record: Record) -> int | None:
    tasks = record["tasks"].values()
    return sum(task["generated_tokens"] for task in tasks) if tasks else None
