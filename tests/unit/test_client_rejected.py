"""Runs that come to nothing: they leave the results of an output folder as they were."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from batch_runs import pictures, run, start, wait_until
from behaviours import answering, slowly
from fake_servers import error
from ledgers import plan_of, write_run

from client.errors import LedgerError
from client.export.formats import export
from client.ledger import ledger as ledgers
from client.ledger.events import SourceCompleted, TimeSpent
from client.ledger.ledger import Ledger
from client.ledger.results import Results
from client.media.kinds import Kind
from client.record import records
from client.sources.source import Source
from client.tasks.plan import Plan, Turn

if TYPE_CHECKING:
    from pathlib import Path

    from fake_servers import FakeServers

OPTIONS = ("ads", "--languages", "fra_Latn", "--format", "json,csv")


def exported(folder: Path) -> tuple[bytes, bytes, bytes]:
    """What `babelview export` makes of a folder now: all files in two formats, and those of the last run."""
    captions = folder / "captions"
    export(captions, ["json", "csv"])
    everything = (captions / "results.json").read_bytes(), (captions / "results.csv").read_bytes()
    export(captions, ["json"], only_run=True)
    return *everything, (captions / "results.json").read_bytes()


@pytest.mark.parametrize(
    "wrong",
    [
        ("--question", "Who?", "--model", "nosuch"),
        ("--question", "Where?", "--languages", "fra_Latn,xxx_Latn"),
        ("--redo", "all", "--model", "nosuch"),
    ],
)
def test_a_rejected_run_leaves_a_finished_folder_as_it_was(
    servers: FakeServers, tmp_path: Path, wrong: tuple[str, ...]
) -> None:
    pictures(tmp_path / "ads", 3)
    assert run(servers, *OPTIONS, "--tasks", "describe", "--question", "Where?", cwd=tmp_path).returncode == 0
    before = exported(tmp_path)
    pictures(tmp_path / "ads", 2, first=3)
    (tmp_path / "ads" / "broken.png").write_bytes(b"no picture")  # is finished before the servers are asked for
    (tmp_path / "ads" / "0000.png").unlink()
    servers.on_ask = answering(lambda: error(404, "The model does not exist."))
    assert run(servers, *OPTIONS, "--tasks", "describe", *wrong, cwd=tmp_path).returncode == 2
    assert exported(tmp_path) == before
    assert len([body for body in servers.asked if body["model"] != "nosuch"]) == 6
    with closing(sqlite3.connect(tmp_path / "captions" / "ledger.db")) as connection:
        assert [connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone() for table in ("runs", "plans")] == [
            (1,)
        ] * 2
        assert connection.execute("SELECT COUNT(*) FROM redo").fetchone() == (0,)


def test_so_does_one_that_is_interrupted_before_its_first_request(servers: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 3)
    assert run(servers, *OPTIONS, cwd=tmp_path).returncode == 0
    before = exported(tmp_path)
    servers.on_models = slowly(5)
    checked = servers.checked
    process = start(servers, *OPTIONS, "--question", "Who?", cwd=tmp_path)
    wait_until(lambda: servers.checked > checked)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert exported(tmp_path) == before


def test_a_run_that_asked_something_is_kept(tmp_path: Path) -> None:
    plan = plan_of(["describe"])
    write_run(tmp_path, plan, ["a.png"], {"describe": "A car"})
    with closing(Ledger(tmp_path)) as ledger:
        assert not ledger.undo_run()
        ledger.begin_run(plan, [Source.local("b.png")])
        assert ledger.unchanged
        ledger.write([TimeSpent("0" * 64, 1.0), SourceCompleted(0, None, "gone")])
        assert ledger.unchanged
        assert ledger.undo_run()
        assert ledger.run is None
    write_run(tmp_path, plan, ["b.png"], {"describe": "A dog"})
    with Results(tmp_path) as found:
        assert [record["file"] for record in records(found)] == ["a.png", "b.png"]


def test_what_a_manifest_said_stays_after_a_run_without_it(tmp_path: Path) -> None:
    plan = plan_of(["describe"])
    for columns in ({"brand": "Acme"}, None):
        write_run(tmp_path, plan, ["a.png"], {"describe": "A car"}, columns)
        with Results(tmp_path) as found:
            assert [record["manifest"] for record in records(found)] == [{"brand": "Acme"}]
            assert found.columns() == ["brand"]
    write_run(tmp_path, plan, ["a.png"], {"describe": "A car"}, {"maker": "Acme"})
    with Results(tmp_path) as found:
        assert [record["manifest"] for record in records(found)] == [{"maker": "Acme"}]


def test_a_plan_is_kept_once_for_all_its_runs(tmp_path: Path) -> None:
    for languages in (("fra_Latn",), ("spa_Latn",), ("fra_Latn",), ("fra_Latn",)):
        write_run(tmp_path, plan_of(["describe"], languages), ["a.png"], {"describe": "A car"})
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        assert connection.execute("SELECT plan FROM runs ORDER BY id").fetchall() == [(1,), (2,), (1,), (1,)]
        assert connection.execute("SELECT COUNT(*) FROM plans").fetchone() == (2,)
    with Results(tmp_path) as found:
        plan = found.plan_of(2)
        assert plan == replace(plan_of(["describe"]), languages=("spa_Latn",))
        assert found.topics()[0].languages == ["fra_Latn", "spa_Latn"]


def test_a_ledger_that_cannot_be_opened_is_closed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[sqlite3.Connection] = []

    def refuse(connection: sqlite3.Connection) -> Any:
        opened.append(connection)
        raise LedgerError("too new")

    monkeypatch.setattr(ledgers, "migrate", refuse)
    with pytest.raises(LedgerError, match="too new"):
        Ledger(tmp_path)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


def test_a_plan_with_earlier_questions_is_read_as_it_was() -> None:
    plan = plan_of(["describe"])
    request = replace(plan.requests[Kind.IMAGE][0], earlier=(Turn("What is it?", "A car."),))
    asked = replace(plan, requests=plan.requests | {Kind.IMAGE: [request]})
    assert Plan.from_json(asked.to_json()) == asked
