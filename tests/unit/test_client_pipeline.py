"""The pipeline: what it lets go, how it counts, and which error of several it ends with."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from batch_runs import ROOT, pictures, results, run
from fake_servers import error, what_is_seen

from client.errors import BabelviewError, LedgerError, ServiceLostError
from client.job import Jobs
from client.ledger.events import TimeSpent
from client.ledger.ledger import Ledger
from client.media.loaders import Loaders
from client.pipeline import FOUND_TOGETHER, GROUPS_AT_ONCE, Placed, Runner, _innermost
from client.stages.find import PICTURES_TOGETHER
from client.stages.stage import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from aiohttp import web
    from fake_servers import FakeServers

    from client.ledger.events import Event
    from client.media.sampling import Sampling


def test_contents_are_let_go_when_they_are_finished(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many files there are, few are held at a time: those in the queues and in the hands of workers."""
    pictures(tmp_path / "ads", 120)
    (tmp_path / "ads" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    held: list[int] = []
    finish = Jobs.finish

    async def finished(jobs: Jobs, job: Any) -> None:
        await finish(jobs, job)
        held.append(len(jobs))

    monkeypatch.setattr(Jobs, "finish", finished)
    options = ("--languages", "fra_Latn", "--concurrency", "2", "--loaders", "1")
    for expected in (1, 1):  # fresh, and all known
        held.clear()
        assert run(servers, "ads", *options, cwd=tmp_path).returncode == expected
        assert len(held) == 121
        assert max(held) <= FOUND_TOGETHER * GROUPS_AT_ONCE + 2 * PICTURES_TOGETHER + 2 + 3 * 2 + 2
        assert held[-1] == 0


@pytest.fixture
def few_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 40 files the last ones are looked at when the first ones are done."""
    monkeypatch.setattr("client.pipeline.FOUND_TOGETHER", 8)
    monkeypatch.setattr("client.stages.find.PICTURES_TOGETHER", 4)


@pytest.mark.usefixtures("few_together")
@pytest.mark.parametrize("status", [400, 404])
def test_a_copy_that_comes_late_is_answered_from_the_ledger(servers: FakeServers, tmp_path: Path, status: int) -> None:
    """And counts as work of this run, as its original does; so does one of a file that failed."""

    async def refuse(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        return error(status, "too strange") if what_is_seen(body) == "0" else None

    servers.on_ask = refuse
    folder = pictures(tmp_path / "ads", 40)
    for number in (0, 1):
        shutil.copy(folder / f"000{number}.png", folder / f"copy{number}.png")
    options = ("--languages", "fra_Latn", "--concurrency", "1", "--loaders", "1")
    assert (
        run(servers, *(str(folder / f"{n:04d}.png") for n in range(40)), "ads", *options, cwd=tmp_path).returncode == 1
    )
    assert len(servers.asked) == 40
    assert len(servers.translated) == 39
    stats = results(tmp_path)["stats"]
    assert (stats["done"], stats["done_earlier"], stats["failures"]) == (82 - 3, 0, 3)
    errors = {record["error"] for record in results(tmp_path)["files"]}
    assert errors == {None, f"describe: HTTP {status}: too strange"}


def copies_that_come_late(folder: Path) -> tuple[str, ...]:
    """The paths of 40 pictures, then of a folder that holds copies of five, too: their originals are let go by then."""
    pictures(folder, 40)
    for number in range(5):
        shutil.copy(folder / f"000{number}.png", folder / f"copy{number}.png")
    return (*(str(folder / f"{number:04d}.png") for number in range(40)), str(folder))


@pytest.mark.usefixtures("few_together")
def test_a_late_copy_of_what_was_refused_is_not_asked_again(servers: FakeServers, tmp_path: Path) -> None:
    async def refuse(*_: Any) -> web.StreamResponse | None:
        return error(400, "no")

    options = (*copies_that_come_late(tmp_path / "ads"), "--languages", "", "--concurrency", "1", "--loaders", "1")
    assert run(servers, *options, cwd=tmp_path).returncode == 0
    servers.on_ask = refuse
    assert run(servers, *options, "--redo", "all", cwd=tmp_path).returncode == 1
    assert len(servers.asked) == 80
    assert results(tmp_path)["stats"]["failures"] == 45


@pytest.mark.usefixtures("few_together")
def test_a_late_copy_of_what_was_not_translated_is_not_tried_again(servers: FakeServers, tmp_path: Path) -> None:
    async def refuse(*_: Any) -> web.StreamResponse | None:
        return error(400, "no")

    servers.on_translate = refuse
    options = ("--languages", "fra_Latn", "--concurrency", "1", "--loaders", "1")
    assert run(servers, *copies_that_come_late(tmp_path / "ads"), *options, cwd=tmp_path).returncode == 1
    assert len(servers.translated) == 40
    assert {record["error"] for record in results(tmp_path)["files"]} == {"translation: HTTP 400: no"}


@pytest.mark.usefixtures("few_together")
def test_a_late_copy_of_what_cannot_be_decoded_is_not_decoded_again(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = copies_that_come_late(tmp_path / "ads")
    for path in (*(tmp_path / "ads").glob("copy*"), tmp_path / "ads" / "0000.png"):
        path.write_bytes((tmp_path / "ads" / "0009.png").read_bytes()[:100])
    loaded: list[str] = []
    together = Loaders.together

    def note(loaders: Loaders, files: list[tuple[Path, Any]], sampling: Sampling) -> Any:
        loaded.extend(path.name for path, _ in files)
        return together(loaders, files, sampling)

    monkeypatch.setattr(Loaders, "together", note)
    options = ("--languages", "", "--concurrency", "1", "--loaders", "1")
    for redo in ((), ("--redo", "all")):
        loaded.clear()
        assert run(servers, *paths, *options, *redo, cwd=tmp_path).returncode == 1
        assert loaded.count("0000.png") == 1
        assert not [name for name in loaded if name.startswith("copy")]
        assert results(tmp_path)["stats"]["failures"] == 6


@pytest.mark.parametrize(("status", "state"), [(400, "failed"), (404, "pending")])
def test_only_what_would_fail_again_is_kept_as_failed(
    servers: FakeServers, tmp_path: Path, status: int, state: str
) -> None:
    async def refuse(*_: Any) -> web.StreamResponse | None:
        return error(status, "no")

    servers.on_ask = refuse
    pictures(tmp_path / "ads", 1)
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 1
    with sqlite3.connect(tmp_path / "captions" / "ledger.db") as connection:
        assert connection.execute("SELECT state FROM answers").fetchall() == [(state,)]
    connection.close()
    # So another run asks again, or does not.
    servers.on_ask = None
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == (1 if state == "failed" else 0)
    assert len(servers.asked) == (1 if state == "failed" else 2)


def test_the_time_of_asking_and_translating_counts_for_a_file(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slowly(*_: Any) -> None:
        await asyncio.sleep(0.2)

    spent: list[float] = []
    write = Ledger.write

    def written(ledger: Ledger, events: Sequence[Event]) -> None:
        write(ledger, events)
        spent.extend(event.seconds for event in events if isinstance(event, TimeSpent))

    monkeypatch.setattr(Ledger, "write", written)
    servers.on_ask = servers.on_translate = slowly
    pictures(tmp_path / "ads", 1)
    for languages in ("", "fra_Latn"):
        assert run(servers, "ads", "--languages", languages, cwd=tmp_path).returncode == 0
        assert spent.pop() >= 0.2
        assert spent == []
    with sqlite3.connect(tmp_path / "captions" / "ledger.db") as connection:
        assert connection.execute("SELECT spent_s FROM media").fetchone()[0] >= 0.4
    connection.close()


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([OSError("x"), LedgerError("full")], LedgerError),
        ([ExceptionGroup("", [ServiceLostError("gone")]), OSError("x")], ServiceLostError),
        ([ExceptionGroup("", [OSError("x")])], OSError),
        ([KeyError("x")], KeyError),
    ],
)
def test_a_run_ends_with_the_error_that_says_why(errors: list[Exception], expected: type[Exception]) -> None:
    assert type(_innermost(ExceptionGroup("", [ExceptionGroup("", errors)]))) is expected
    assert isinstance(_innermost(BabelviewError("alone")), BabelviewError)


# -- the runner ----------------------------------------------------------------------------------------------


class Number(int):
    """What the first stage takes."""


class Text(str):
    """What the last stage takes."""

    __slots__ = ()


class Spell(Stage):
    def __init__(self) -> None:
        self.ready = 0

    async def setup(self) -> None:
        self.ready += 1

    async def process(self, item: Number, /) -> AsyncGenerator[Text, None]:
        for _ in range(item):
            yield Text(item)


class Keep(Stage):
    def __init__(self, gate: asyncio.Event | None = None) -> None:
        self.kept: list[str] = []
        self.gate = gate

    async def process(self, item: Text, /) -> AsyncGenerator[Text, None]:
        if self.gate:
            await self.gate.wait()
        self.kept.append(item)
        for nothing in list[Text]():
            yield nothing


async def test_items_go_to_the_stage_that_takes_them_and_all_arrive() -> None:
    spell, keep = Spell(), Keep()
    levels = [[Placed(spell, Number, 3)], [Placed(keep, Text, 2, 1)]]
    async with asyncio.timeout(60):
        await Runner(levels, asyncio.Event(), lambda: None).run(map(Number, range(5)))
    assert sorted(keep.kept) == ["1", "2", "2", "3", "3", "3", "4", "4", "4", "4"]
    assert spell.ready == 1


async def test_a_stage_that_is_behind_holds_up_those_before_it() -> None:
    gate = asyncio.Event()
    spell, keep = Spell(), Keep(gate)
    given: list[int] = []

    class Counted(Spell):
        async def process(self, item: Number, /) -> AsyncGenerator[Text, None]:
            given.append(item)
            yield Text(item)

    runner = Runner([[Placed(Counted(), Number, 1)], [Placed(keep, Text, 1, 2)]], asyncio.Event(), lambda: None)
    running = asyncio.create_task(runner.run(map(Number, range(20))))
    await asyncio.sleep(0.1)
    assert len(given) == 4  # one in work, two waiting, one that finds no room
    gate.set()
    async with asyncio.timeout(60):
        await running
    assert len(keep.kept) == 20
    assert spell.ready == 0


async def test_a_worker_that_waits_keeps_no_item() -> None:
    """What it had may be the frames of a video."""

    class Frames:
        pass

    class Decode(Stage):
        async def process(self, item: Number, /) -> AsyncGenerator[Frames, None]:
            if item:
                yield Frames()
            else:
                await gate.wait()

    class Look(Stage):
        async def process(self, item: Frames, /) -> AsyncGenerator[Text, None]:
            seen.append(weakref.ref(item))
            yield Text("seen")

    gate, keep, seen = asyncio.Event(), Keep(), list[weakref.ref[Frames]]()
    levels = [[Placed(Decode(), Number, 1)], [Placed(Look(), Frames, 1)], [Placed(keep, Text, 1)]]
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(Runner(levels, asyncio.Event(), lambda: None).run([Number(1), Number(0)]))
        await asyncio.sleep(0.1)
        assert [ref() for ref in seen] == [None]
        gate.set()


async def test_nothing_is_begun_after_the_stop() -> None:
    stop, keep = asyncio.Event(), Keep()
    stop.set()
    async with asyncio.timeout(60):
        await Runner([[Placed(Spell(), Number, 2)], [Placed(keep, Text, 1)]], stop, lambda: None).run([Number(3)])
    assert keep.kept == []


def test_the_process_of_a_run_imports_no_decoders_and_nothing_of_terminals() -> None:
    """They are for the processes that decode, and for runs on a terminal, and take a fifth of a second to import."""
    others = ("av", "numpy", "PIL", "pi_heif", "simplejpeg", "rich", "psutil")
    script = f"import sys, client.cli.run; print([name for name in {others} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout == "[]\n"
