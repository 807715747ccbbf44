"""What goes wrong around the captioner: keys, a full disk, folders and sockets that are not its own."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from batch_runs import pictures
from captioners import JOBS, KEY, captioner, encoded, events_of, taken_place
from fake_servers import error

from client.captioner import jobs
from client.captioner.config import Limits
from client.captioner.job_store import JobStore
from client.captioner.serve import listen_at
from client.captioner.uploads import Uploads
from client.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from captioners import Running
    from fake_servers import FakeServers

REFUSED = [(401, "invalid_api_key"), (429, "insufficient_quota")]


@pytest.fixture
def picture(tmp_path: Path) -> dict[str, Any]:
    """A request about a picture."""
    return {"image": encoded(pictures(tmp_path / "one", 1) / "0000.png")}


async def until(running: Running, job: str, *statuses: str) -> Any:
    """A job once its status is one of these."""
    while True:
        told = await running.ask(path=f"{JOBS}/{job}", method="GET")
        if told["status"] in statuses:
            return told
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(("status", "code"), REFUSED)
async def test_a_key_that_the_models_refuse_is_told_as_they_tell_it(
    servers: FakeServers, tmp_path: Path, picture: dict[str, Any], status: int, code: str
) -> None:
    async def refuses(*_: Any) -> web.StreamResponse:
        body = {"error": {"message": "no", "code": code}}
        return web.json_response(body, status=status) if status == 429 else error(status, "no")

    servers.on_ask = refuses
    async with captioner(servers, tmp_path / "own") as running:
        got, said = await running.try_to_ask(picture)
        assert (got, said["error"]["code"]) == (status, code)
        headers = {"Authorization": f"Bearer {KEY}"}
        async with running.http.post(
            f"{running.url}/v1/captions", json={**picture, "stream": True}, headers=headers
        ) as answer:
            assert events_of(await answer.text())[-1]["error"]["code"] == code
        told = await until(running, (await running.ask(picture, path=JOBS))["id"], "done", "failed")
        assert (told["status"], told["error"]["code"]) == ("failed", code)


async def test_who_hangs_up_is_one_line_of_the_log_with_the_id(
    servers: FakeServers,
    tmp_path: Path,
    picture: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def breaks(*_: Any) -> None:
        raise ConnectionResetError("Cannot write to closing transport")

    told: list[str] = []
    monkeypatch.setattr("client.captioner.app.logger.info", lambda line, *of: told.append(line % of))
    monkeypatch.setattr("client.captioner.sse.send", breaks)
    async with captioner(servers, tmp_path / "own") as running:
        with pytest.raises(aiohttp.ClientError):
            await running.try_to_ask({**picture, "stream": True}, headers={"X-Request-Id": "mine-7"})
        await running.until(files=False)
    assert [line for line in told if line.startswith("mine-7 POST /v1/captions gone ")], told
    assert not [record for record in caplog.records if "Error handling request" in record.getMessage()]


class FullDisk:
    """A method of the store, while the disk is full: SQLite says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
        """The disk is full for this method."""
        self.full, self.tried, self._true = True, 0, getattr(JobStore, method)

        def call(store: JobStore, *given: Any) -> Any:
            return self.call(store, *given)

        monkeypatch.setattr(JobStore, method, call)

    def call(self, store: JobStore, *given: Any) -> Any:
        self.tried += 1
        if self.full:
            problem = sqlite3.OperationalError("database or disk is full")
            problem.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise problem
        return self._true(store, *given)


async def test_a_job_whose_end_finds_the_disk_full_ends_once_there_is_room(
    servers: FakeServers, tmp_path: Path, picture: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "STORE_PAUSE_S", 0.01)
    disk = FullDisk(monkeypatch, "end")
    async with captioner(servers, tmp_path / "own") as running:
        job = (await running.ask(picture, path=JOBS))["id"]
        while disk.tried < 2:  # noqa: ASYNC110  # in a thread
            await asyncio.sleep(0.01)
        assert (await running.ask(path=f"{JOBS}/{job}", method="GET"))["status"] == "running"
        follower = asyncio.create_task(_followed(running, job))
        disk.full = False
        assert (await until(running, job, "done", "failed"))["records"][0]["error"] is None
        assert (await follower)[-1]["type"] == "done"
        assert running.files == []


async def _followed(running: Running, job: str) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with running.http.get(f"{running.url}{JOBS}/{job}/events", headers=headers) as answer:
        return events_of(await answer.text())


async def test_a_job_is_not_told_done_before_its_files_are_gone(
    servers: FakeServers, tmp_path: Path, picture: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    true_end, written, go_on = JobStore.end, threading.Event(), threading.Event()

    def end(*given: Any) -> None:
        true_end(*given)
        written.set()
        go_on.wait(60)

    monkeypatch.setattr(JobStore, "end", end)
    async with captioner(servers, tmp_path / "own") as running:
        job = (await running.ask(picture, path=JOBS))["id"]
        await asyncio.to_thread(written.wait, 60)
        told = await running.ask(path=f"{JOBS}/{job}", method="GET")
        go_on.set()
        assert (told["status"], told["ended_at"]) == ("running", None)
        await until(running, job, "done")
        assert running.files == []


async def test_a_job_that_cannot_be_forgotten_is_not_half_forgotten(
    servers: FakeServers, tmp_path: Path, picture: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "STORE_PAUSE_S", 1000)
    end, remove = FullDisk(monkeypatch, "end"), FullDisk(monkeypatch, "remove")
    async with captioner(servers, tmp_path / "own") as running:
        job = (await running.ask(picture, path=JOBS))["id"]
        while not end.tried:  # noqa: ASYNC110  # in a thread
            await asyncio.sleep(0.01)
        status, said = await running.try_to_ask(path=f"{JOBS}/{job}", method="DELETE")
        assert (status, said["error"]["code"]) == (503, "no_room")
        assert running.files
        remove.full = False
        await running.ask(path=f"{JOBS}/{job}", method="DELETE")
        assert running.files == []


async def test_old_jobs_are_forgotten_after_an_error_too(
    servers: FakeServers, tmp_path: Path, picture: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CLEANED_EVERY_S", 0.01)
    disk = FullDisk(monkeypatch, "remove")
    async with captioner(servers, tmp_path / "own", keep_jobs_s=-1) as running:
        await running.ask(picture, path=JOBS)
        while disk.tried < 2:  # noqa: ASYNC110  # in a thread
            await asyncio.sleep(0.01)
        disk.full = False
        while (await running.ask(path=JOBS, method="GET"))["data"]:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.01)


async def test_jobs_that_come_together_are_bounded_too(
    servers: FakeServers, tmp_path: Path, picture: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    count = JobStore.all

    def slow(store: JobStore) -> Any:
        counted = count(store)
        time.sleep(0.1)  # the others count meanwhile
        return counted

    monkeypatch.setattr(JobStore, "all", slow)
    async with captioner(servers, tmp_path / "own", key_jobs=1) as running:
        got = await asyncio.gather(*(running.try_to_ask(picture, path=JOBS) for _ in range(2)))
        assert sorted(status for status, _ in got) == [202, 429]


async def test_a_restart_does_not_count_against_a_job(
    servers: FakeServers, tmp_path: Path, picture: dict[str, Any]
) -> None:
    asked, loop = asyncio.Event(), asyncio.get_running_loop()

    async def waits(*_: Any) -> None:
        loop.call_soon_threadsafe(asked.set)
        await asyncio.sleep(1000)

    servers.on_ask = waits
    async with captioner(servers, tmp_path / "own") as running:
        await running.ask(picture, path=JOBS)
        await asked.wait()
    store = JobStore(tmp_path / "own" / "jobs.db")
    assert [(job.status, job.starts) for job in store.all()] == [("running", 0)]
    store.close()


def test_a_file_in_the_sockets_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text("of somebody")
    with pytest.raises(UsageError, match="cannot listen"):
        listen_at(path)
    assert path.read_text() == "of somebody"
    for _ in range(2):  # the second finds the socket of the first
        listen_at(tmp_path / "socket").close()


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "requests" / "letter"
    other.parent.mkdir()
    other.write_text("of somebody")
    mode = tmp_path.stat().st_mode
    with pytest.raises(UsageError, match="has other files"):
        Uploads(tmp_path, Limits()).open()
    assert other.read_text() == "of somebody"
    assert tmp_path.stat().st_mode == mode
    for _ in range(2):  # its own folder it knows again
        own = Uploads(tmp_path / "own", Limits())
        own.open()
        own.close()


async def test_a_place_is_not_given_to_one_that_is_about_to_go() -> None:
    slots, first, waiting = await taken_place()
    waiting.cancel()  # its future is cancelled now, and it has not yet left the queue
    await first.__aexit__(None, None, None)
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(60), slots.one("c"):
        assert slots.working == 1
