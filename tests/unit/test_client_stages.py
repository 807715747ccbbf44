"""Stages at work: what they hand on, when, and what a failure on the way leaves."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import two_steps
from batch_runs import pictures, results, run, seen_in, wait_until
from fake_servers import FakeServers, error
from ledgers import identity_of, plan_of
from media_files import write_video
from test_client_steps import tell

from client.counters import Counters
from client.endpoints.completion import Answer
from client.errors import MediaError, UsageError
from client.job import Job
from client.ledger.events import AnswerStored
from client.ledger.ledger import Ledger
from client.media.kinds import Kind
from client.media.loaders import Loaders
from client.media.sampling import Sampling
from client.sources import fetch
from client.sources.source import Source
from client.stages.ask import Ask
from client.stages.items import Question, Untranslated
from client.tasks.plan import UnitRequest, make_plan
from client.tasks.prompt import Prompt
from client.tasks.steps import Step, merge, windows
from client.tasks.tasks import Task
from client.tasks.units import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from aiohttp import web

OPTIONS = ("ads", "--frames", "2", "--languages", "fra_Latn", "--concurrency", "1")


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch, servers: FakeServers, tmp_path: Path) -> FakeServers:
    """One video of three windows, and a task of two steps."""
    monkeypatch.setattr("client.api.options.choose_tasks", two_steps.choose)
    (tmp_path / "ads").mkdir()
    write_video(tmp_path / "ads" / "a.mp4", 100)
    servers.on_ask = tell
    return servers


def before_each_unit(monkeypatch: pytest.MonkeyPatch, do: Callable[[int], None]) -> None:
    """Have loaders call `do` with the number of each unit before they load it."""
    load = Loaders.load

    def loading(loaders: Loaders, *arguments: Any) -> Generator[Any, None, None]:
        for number, content in enumerate(load(loaders, *arguments)):
            do(number)
            yield content

    monkeypatch.setattr(Loaders, "load", loading)


def test_what_was_answered_is_translated_though_the_rest_cannot_be_loaded(
    story: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(number: int) -> None:
        if number == 2:
            wait_until(lambda: len(story.asked) == 2)
            time.sleep(1)  # until they are answered
            raise MediaError("broken at the end")

    before_each_unit(monkeypatch, fail)
    assert run(story, *OPTIONS, cwd=tmp_path).returncode == 1
    assert [len(body["texts"]) for body in story.translated] == [2]
    record = results(tmp_path)["files"][0]
    assert record["error"] == "broken at the end"
    segments = record["tasks"]["story"]["segments"]
    assert [part["translations"] for part in segments] == [
        {"fra_Latn": f"fra_Latn: {part['text']}"} for part in segments
    ]


def test_the_time_of_loading_counts_once(story: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the first window is asked about while the others are loaded."""
    before_each_unit(monkeypatch, lambda _: time.sleep(0.7))
    began = time.monotonic()
    assert run(story, *OPTIONS, cwd=tmp_path).returncode == 0
    took_s = time.monotonic() - began
    assert 2.1 <= results(tmp_path)["files"][0]["total_processing_time_sec"] <= took_s


def test_a_merge_that_was_refused_is_not_asked_again_untold(story: FakeServers, tmp_path: Path) -> None:
    async def refuse(request: web.Request, body: dict[str, Any], number: int) -> web.StreamResponse | None:
        return error(400, "no") if await tell(request, body, number) else None

    story.on_ask = refuse
    assert run(story, *OPTIONS, cwd=tmp_path).returncode == 1
    with closing(sqlite3.connect(tmp_path / "captions" / "ledger.db")) as connection, connection:
        connection.execute("DELETE FROM answers WHERE id = 2")
    assert run(story, *OPTIONS, cwd=tmp_path).returncode == 1
    assert len(story.asked) == 5
    assert seen_in(story.asked[4:]) == seen_in(story.asked[1:2])
    assert "story: HTTP 400: no (in an earlier run" in results(tmp_path)["files"][0]["error"]
    assert run(story, *OPTIONS, "--redo", "failed", cwd=tmp_path).returncode == 1
    assert len(story.asked) == 6


async def test_an_answer_is_written_before_its_file_goes_on() -> None:
    written: list[Any] = []

    async def write(*events: Any) -> None:
        written.extend(events)

    async def ask(*_: Any) -> Answer:
        return Answer("A car", "stop", 10, 2, 0.5)

    plan = plan_of(["describe"])

    async def followers(*_: Any) -> list[Any]:
        return []

    jobs = SimpleNamespace(plan=plan, progress=Counters(), ledger=SimpleNamespace(write=write), count=lambda _: None)
    jobs.followers = followers
    job = Job(identity_of("a.png"), [Source.local("a.png")], asked=1, pending=1)
    request = UnitRequest(whole(job.identity.sha256), plan.requests[Kind.IMAGE][0])
    stage = Ask(cast("Any", jobs), cast("Any", SimpleNamespace(ask=ask)), at_once=1)
    async for item in stage.process(Question(job, request, b"")):
        assert item == Untranslated(job)
        assert [event.ask for event in written if isinstance(event, AnswerStored)] == [request]
    assert written


@pytest.mark.parametrize("step", ["scenes", "all", ""])
def test_merges_are_of_steps_that_ask(step: str) -> None:
    steps = (
        Step(Prompt("What happens?"), windows(2), "moments"),
        Step(Prompt("Tell it:\n{answers}"), merge("moments"), "all"),
        Step(Prompt("Shorter:\n{answers}"), merge(step)),
    )
    task = Task("story", "story", {Kind.VIDEO: steps})
    with pytest.raises(UsageError, match=f"task story: a step merges the answers to '{step}'.*moments"):
        make_plan([task], dict.fromkeys(Kind, "m"), 0, Sampling(), ())


def test_bugs_are_not_told_as_damage(servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistake(*_: Any) -> None:
        raise ValueError("our own")

    monkeypatch.setattr("client.ledger.ledger.apply", mistake)
    with closing(Ledger(tmp_path / "captions")) as ledger, pytest.raises(ValueError, match="our own"):
        ledger.write([cast("Any", "event")])
    pictures(tmp_path / "ads", 1)
    with pytest.raises(ValueError, match="our own"):
        run(servers, "ads", cwd=tmp_path)


def test_large_files_hold_up_no_others(servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than are found at a time, before all others; they are read while those are asked about."""
    pictures(tmp_path / "ads", 12)
    for number in range(10):
        with (tmp_path / "ads" / f"{number:04d}.png").open("ab") as file:
            file.truncate(100_000)
    monkeypatch.setattr(fetch, "LARGE_BYTES", 90_000)
    identify, order = fetch.identify, list[int]()

    def slowly(path: Path, *more: Any) -> Any:
        if path.stat().st_size == 100_000:
            wait_until(lambda: len(servers.asked) >= 2)
            order.append(int(path.stem))
        return identify(path, *more)

    monkeypatch.setattr(fetch, "identify", slowly)
    done = run(servers, "ads", "--languages", "", cwd=tmp_path)
    assert done.returncode == 0
    assert sorted(order) == list(range(10))
    assert sorted(seen_in(servers.asked[:2])) == ["10", "11"]
    assert [record["tasks"]["describe"]["text"] for record in results(tmp_path)["files"]] == [
        f"I see {number}" for number in range(12)
    ]
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 0
    assert len(order) == 10  # what is known is not read again
