"""Finished runs in one output folder, and the records that come of them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledgers import write_run

from client.ledger.ledger import LEDGER
from client.ledger.results import Results
from client.media.kinds import Kind
from client.media.sampling import Sampling
from client.record import records
from client.tasks.plan import Plan, make_plan
from client.tasks.tasks import choose_tasks

if TYPE_CHECKING:
    from pathlib import Path

QUESTIONS = ("Why?", "Who?", "When?")
TEXTS = {
    "describe": "Words.",
    "tags": '["Red Car", "blue sky"]',
    "sentiment": "Positive.",
    **dict.fromkeys(("ask", "ask-1", "ask-2", "ask-3"), "So."),
}


@dataclass(frozen=True)
class Run:
    """What a run is about, all of which is answered."""

    names: tuple[str, ...] = ("a.png",)
    tasks: tuple[str, ...] = ("describe",)
    questions: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    model: str = "first"

    @property
    def plan(self) -> Plan:
        models = dict.fromkeys(Kind, self.model)
        return make_plan(choose_tasks(list(self.tasks), list(self.questions)), models, 0, Sampling(), self.languages)

    def topics(self) -> list[tuple[str, str | None]]:
        return [(task, None) for task in self.tasks] + [("ask", question) for question in self.questions]


def write(folder: Path, *runs: Run) -> None:
    for it in runs:
        write_run(folder, it.plan, it.names, TEXTS)


def read(folder: Path, *, only_run: bool = False) -> list[dict[str, Any]]:
    with Results(folder, only_run=only_run) as results:
        return list(records(results))


def sql(folder: Path, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(folder / LEDGER)
    with connection:
        rows = connection.execute(statement, values).fetchall()
    connection.close()
    return rows
