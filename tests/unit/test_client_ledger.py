"""The ledger: what it keeps, its versions, and what it does when it cannot write."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import old_ledgers
import pytest
from batch_runs import command, pictures, results, run

from client.endpoints.completion import Answer
from client.errors import LedgerError
from client.export.formats import export
from client.ledger.events import (
    AnswerStored,
    MediaLoaded,
    RequestFailed,
    RunEnded,
    TimeSpent,
    TranslationsStored,
)
from client.ledger.ledger import LEDGER, Ledger
from client.ledger.rows import StoredTranslation
from client.ledger.schema import MIGRATIONS
from client.ledger.writer import Writer
from client.media.content import Facts
from client.media.kinds import Kind
from client.media.load import Identity
from client.media.sampling import Sampling
from client.sources.source import KnownSource
from client.tasks.plan import UnitRequest, make_plan
from client.tasks.tasks import choose_tasks
from client.tasks.units import whole

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web
    from fake_servers import FakeServers

MODELS = {Kind.IMAGE: "looks", Kind.VIDEO: "watches"}


def answered(folder: Path) -> Identity:
    """A ledger with one answer and its translation."""
    identity = Identity("ab" * 32, Kind.VIDEO, None)
    (request,) = make_plan(choose_tasks(["describe"], []), MODELS, 0, Sampling(), ()).requests[Kind.VIDEO]
    ledger = Ledger(folder)
    ledger.write(
        [
            MediaLoaded(identity, 1.5, Facts(4, 3, 2.0, 1.0, 2), ("odd",)),
            AnswerStored(UnitRequest(whole(identity.sha256), request), Answer("Words.", "stop", 10, 2, 0.5, 81.5)),
            TranslationsStored(
                UnitRequest(whole(identity.sha256), request),
                {"fra_Latn": StoredTranslation(["Mots."], ["why"], {"doubtful": 1})},
            ),
        ]
    )
    ledger.close()
    return identity


def test_the_ledger_keeps_what_it_was_given(tmp_path: Path) -> None:
    identity = answered(tmp_path)
    requests = make_plan(choose_tasks(["describe"], []), MODELS, 0, Sampling(), ()).requests[Kind.VIDEO]
    ledger = Ledger(tmp_path)
    stored = ledger.files([(identity, requests)])[0]
    assert stored.facts == Facts(4, 3, 2.0, 1.0, 2)
    assert stored.warnings == ["odd"]
    answer = stored.answers.get((stored.sha256, *requests[0].identity))
    assert answer
    assert (answer.state, answer.text, answer.tokens_per_s, answer.translations) == (
        "done",
        "Words.",
        81.5,
        {"fra_Latn": StoredTranslation(["Mots."], ["why"], {"doubtful": 1})},
    )
    # Asked again in vain, the answer is still there.
    ask = UnitRequest(whole(identity.sha256), requests[0])
    ledger.apply(RequestFailed(ask, "no", final=True))
    assert ledger.answer(ask) == answer
    # A new answer does not keep the translations of the old one.
    ledger.apply(AnswerStored(ask, Answer("Other.", "stop", 1, 1, 0.1)))
    again = ledger.answer(ask)
    assert again
    assert (again.text, again.translations) == ("Other.", {})
    ledger.close()


def test_a_change_that_fails_takes_the_others_with_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    identity = Identity("cd" * 32, Kind.IMAGE, None)
    with pytest.raises(TypeError):
        ledger.write(
            [
                MediaLoaded(identity, 0.1, error="bad"),
                RunEnded({"impossible": b"bytes"}),
            ]
        )
    assert ledger.files([(identity, [])])[0].error is None
    ledger.close()


def test_every_version_of_the_ledger_opens(tmp_path: Path) -> None:
    for version in range(len(MIGRATIONS) + 1):
        folder = tmp_path / str(version)
        folder.mkdir()
        connection = sqlite3.connect(folder / LEDGER)
        for number, step in enumerate(MIGRATIONS[:version], 1):
            connection.executescript(f"{step} PRAGMA user_version = {number};")
        connection.close()
        answered(folder)
        connection = sqlite3.connect(folder / LEDGER)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        connection.close()


def test_what_lay_at_a_path_is_still_known_after_the_update(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / LEDGER)
    connection.executescript(f"{MIGRATIONS[0]} PRAGMA user_version = 1;")
    connection.execute("INSERT INTO paths VALUES ('/ads/a.mp4', 7, 123456789, 'ab', 'video', NULL)")
    connection.commit()
    connection.close()
    ledger = Ledger(tmp_path)
    assert ledger.known(["/ads/a.mp4", "/b"]) == [KnownSource("7 123456789", 7, Identity("ab", Kind.VIDEO, None)), None]
    ledger.close()


@pytest.mark.parametrize("version", old_ledgers.VERSIONS)
def test_a_ledger_of_an_earlier_version_goes_on(servers: FakeServers, tmp_path: Path, version: int) -> None:
    """Its answers, refusals and translations are known: nothing is asked or translated again."""
    old_ledgers.write_inputs(tmp_path)
    old_ledgers.write_ledger(version, tmp_path)
    done = run(servers, *old_ledgers.OPTIONS, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert (servers.asked, servers.translated) == ([], [])
    refused, first, _, video = results(tmp_path)["files"]
    assert refused["error"] == "list: HTTP 400: too strange (in an earlier run; --redo failed tries again)"
    assert first["error"] is None
    assert first["tasks"]["haiku"]["text"] == "I see 0"
    assert first["tasks"]["list"]["translations"]["fra_Latn"] == ["fra_Latn: red car", "fra_Latn: blue sky"]
    assert (video["frames"], video["duration_sec"]) == (10, 1.0)
    # What failed is tried again when told to; a picture that is new is asked about.
    (tmp_path / "ads" / "new.ppm").write_bytes((tmp_path / "ads" / "0001.ppm").read_bytes()[:-3] + b"new")
    assert run(servers, *old_ledgers.OPTIONS, "--redo", "failed", cwd=tmp_path).returncode == 0
    assert len(servers.asked) == 3
    with sqlite3.connect(tmp_path / "captions" / LEDGER) as connection:
        texts = set(connection.execute("SELECT task, text FROM prompts"))
    connection.close()
    assert texts == {("haiku", "Write a haiku."), ("list", "A JSON array of things.")}


@pytest.mark.parametrize("version", [3, 4, 5])
def test_a_ledger_of_an_earlier_version_is_exported_and_left_as_it_is(tmp_path: Path, version: int) -> None:
    old_ledgers.write_inputs(tmp_path)
    old_ledgers.write_ledger(version, tmp_path)
    ledger = tmp_path / "captions" / LEDGER
    before = ledger.read_bytes()
    export(tmp_path / "captions", ["json"])
    assert ledger.read_bytes() == before
    assert sorted(path.name for path in ledger.parent.iterdir()) == [LEDGER, "results.json"]
    assert results(tmp_path)["files"][1]["tasks"]["haiku"]["text"] == "I see 0"


def test_a_redo_that_an_earlier_version_began_goes_on(servers: FakeServers, tmp_path: Path) -> None:
    ads = old_ledgers.write_inputs(tmp_path)
    old_ledgers.write_ledger(5, tmp_path)
    connection = sqlite3.connect(tmp_path / "captions" / LEDGER)
    with connection:  # it had come through the first three answers
        connection.execute("UPDATE run SET round = 4")
        connection.executemany("INSERT INTO redo VALUES (?, 'all', 4)", [(str(path),) for path in ads.iterdir()])
        connection.execute("UPDATE answers SET round = 4 WHERE id IN (1, 2, 3)")
    connection.close()
    done = run(servers, *old_ledgers.OPTIONS, "--redo", "all", cwd=tmp_path)
    assert "--redo all goes on where it was interrupted" in done.stderr
    assert len(servers.asked) == 8 - 3


def test_the_texts_of_built_in_prompts_are_found_by_their_hashes(tmp_path: Path) -> None:
    plan = make_plan(choose_tasks(["describe"], []), MODELS, 0, Sampling(), ())
    connection = sqlite3.connect(tmp_path / LEDGER)
    for number, step in enumerate(MIGRATIONS[:5], 1):
        connection.executescript(f"{step} PRAGMA user_version = {number};")
    for number, digest in enumerate((plan.requests[Kind.VIDEO][0].prompt_hash, "unknown")):
        connection.execute(
            "INSERT INTO answers (sha256, task, prompt_hash, model, params, state, updated) "
            "VALUES (?, 'describe', ?, 'watches', '{}', 'done', 0)",
            (str(number), digest),
        )
    connection.commit()
    connection.close()
    Ledger(tmp_path).close()
    connection = sqlite3.connect(tmp_path / LEDGER)
    known = connection.execute("SELECT task, text, question FROM prompts").fetchall()
    connection.close()
    assert known == [("describe", plan.requests[Kind.VIDEO][0].prompt, None)]


def test_files_that_are_gone_are_kept_and_marked(servers: FakeServers, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "ads", 3)
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 0
    hidden = (folder / "0001.png").rename(tmp_path / "hidden.png")

    def rows() -> list[tuple[Any, ...]]:
        with sqlite3.connect(tmp_path / "captions" / LEDGER) as connection:
            found = connection.execute("SELECT name, run, position, finished, gone FROM sources ORDER BY id").fetchall()
        connection.close()
        return found

    assert run(servers, "ads/0002.png", "--languages", "", cwd=tmp_path).returncode == 0
    assert rows() == [("ads/0000.png", 1, 0, 1, 0), ("ads/0001.png", 1, 1, 1, 1), ("ads/0002.png", 2, 0, 1, 0)]
    hidden.rename(folder / "0001.png")
    assert run(servers, "ads/0002.png", "--languages", "", cwd=tmp_path).returncode == 0
    assert [gone for *_, gone in rows()] == [0, 0, 0]
    assert len(servers.asked) == 3


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(servers: FakeServers, tmp_path: Path) -> None:
    """As far as a process without rights can have one: no file may grow beyond a limit."""
    pictures(tmp_path / "ads", 150)
    line, environment = command(servers, "ads", "--languages", "", "--concurrency", "4")
    limited = ["sh", "-c", 'ulimit -f 1600; exec "$@"', "sh", *line]
    full = subprocess.run(
        limited, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert full.returncode == 1
    assert "ledger.db: disk I/O error: the disk is full or broken. What was answered before is kept" in full.stderr
    assert "Traceback" not in full.stderr
    asked = len(servers.asked)
    assert 0 < asked < 150
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 0
    assert len(results(tmp_path)["files"]) == 150
    assert len(servers.asked) <= 150 + 4  # those whose answers found no room


def test_a_damaged_ledger_is_told_with_what_to_do(servers: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 40)
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 0
    ledger = tmp_path / "captions" / "ledger.db"
    content = bytearray(ledger.read_bytes())
    content[4096:] = b"\x55" * (len(content) - 4096)
    ledger.write_bytes(content)
    done = run(servers, "ads", "--languages", "", cwd=tmp_path)
    assert done.returncode == 1
    assert "the file is damaged. Put it aside" in done.stderr
    assert "Traceback" not in done.stderr
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (tmp_path / "captions" / name).unlink(missing_ok=True)
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE media SET facts = '{'",
        "UPDATE media SET facts = '{\"wings\": 2}'",
        "UPDATE uris SET kind = 'smell'",
        "UPDATE uris SET kind = CAST(x'696d61676500ff' AS TEXT)",
    ],
)
def test_damage_that_sqlite_does_not_see_is_told_too(servers: FakeServers, tmp_path: Path, damage: str) -> None:
    pictures(tmp_path / "ads", 2)
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 0
    with sqlite3.connect(tmp_path / "captions" / "ledger.db") as connection:
        connection.execute(damage)
    connection.close()
    for more in ((), ("--dry-run",)):
        done = run(servers, "ads", "--languages", "", *more, cwd=tmp_path)
        assert done.returncode == 1
        assert "the file is damaged. Put it aside" in done.stderr


def test_a_ledger_that_is_deleted_under_a_run_is_missed(servers: FakeServers, tmp_path: Path) -> None:
    async def delete(_: web.Request, __: dict[str, Any], number: int) -> web.StreamResponse | None:
        if number == 5:
            (tmp_path / "captions" / "ledger.db").unlink()
        return None

    servers.on_ask = delete
    pictures(tmp_path / "ads", 20)
    done = run(servers, "ads", "--languages", "", "--concurrency", "1", cwd=tmp_path)
    assert done.returncode == 1
    assert "was deleted or replaced while the run went on" in done.stderr
    assert len(servers.asked) == 5


@pytest.mark.parametrize("output", ["/dev/null/captions", "/proc/captions"])
def test_a_place_that_cannot_be_written_is_told(servers: FakeServers, tmp_path: Path, output: str) -> None:
    pictures(tmp_path / "ads", 1)
    done = run(servers, "ads", "--output", output, cwd=tmp_path)
    assert done.returncode == 1
    assert f"cannot write to {output}" in done.stderr
    assert "choose another --output" in done.stderr


def test_a_place_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(LedgerError, match=r"cannot be locked .* on a local disk"):
        Ledger(tmp_path)


def test_a_ledger_of_the_future_or_of_something_else_is_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / LEDGER)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LedgerError, match="version 99"):
        Ledger(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / LEDGER).write_bytes(b"this is no database " * 100)
    with pytest.raises(LedgerError, match="not a database"):
        Ledger(tmp_path / "other")


async def test_those_who_wait_for_a_commit_hear_of_every_failure(tmp_path: Path) -> None:
    ledger, thread = Ledger(tmp_path), ThreadPoolExecutor(1)
    writer = Writer(ledger, thread)

    surprise = TimeSpent("ab", 1 << 70)  # type: ignore[arg-type]  # an int too large for SQLite

    async with asyncio.timeout(30):
        outcomes = await asyncio.gather(writer.write(surprise), writer.write(), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [OverflowError, OverflowError]
        await writer.write(RunEnded({"files": 1}))  # and it goes on
        await writer.flush()
    thread.shutdown()
    ledger.close()
