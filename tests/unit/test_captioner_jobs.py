"""Jobs of the captioner: kept over restarts, each the matter of one key; against the fake endpoint."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from batch_runs import pictures, seen_in
from captioners import JOBS, KEY, Running, captioner, encoded, events_of
from fake_servers import error
from media_files import write_video

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web
    from fake_servers import FakeServers


@pytest.fixture
def body(tmp_path: Path) -> dict[str, Any]:
    """A request about a video with three windows."""
    return {"video": encoded(write_video(tmp_path / "ad.mp4", frames=30, rate=10)), "task": "captions", "window": 1}


@pytest.fixture
def picture(tmp_path: Path) -> dict[str, Any]:
    """A request about a picture, number 7."""
    return {"image": encoded(pictures(tmp_path / "one", 1, first=7) / "0007.png")}


async def ended(running: Running, job: str, key: str | None = KEY) -> Any:
    """A job once it has ended."""
    while True:
        told = await running.ask(path=f"{JOBS}/{job}", method="GET", key=key)
        if told["status"] in ("done", "failed"):
            return told
        await asyncio.sleep(0.01)


class Gate:
    """Lets questions through one by one."""

    def __init__(self, servers: FakeServers, free: int = 0) -> None:
        """The first `free` ones pass."""
        self._loop = asyncio.get_running_loop()
        self.free, self.open = free, False
        self.waiting = asyncio.Event()
        servers.on_ask = self

    async def __call__(self, request: web.Request, body: dict[str, Any], count: int) -> web.StreamResponse | None:
        if count > self.free:
            self._loop.call_soon_threadsafe(self.waiting.set)
            while not self.open:  # noqa: ASYNC110  # in another thread
                await asyncio.sleep(0.01)
        return None


async def test_a_job_is_told_of_until_its_records_are_there(
    servers: FakeServers, tmp_path: Path, body: dict[str, Any]
) -> None:
    async with captioner(servers, tmp_path / "own") as running:
        gate = Gate(servers, free=1)
        async with running.http.post(f"{running.url}{JOBS}", json=body) as answer:
            job = await answer.json()
            assert answer.status == 202
            assert answer.headers["Location"] == f"{JOBS}/{job['id']}"
        assert (job["object"], job["status"], job["files"]) == ("captions.job", "queued", ["video"])
        await gate.waiting.wait()
        told: dict[str, Any] = {"progress": {"requests": 0}}
        while not told["progress"]["requests"]:
            told = await running.ask(path=f"{JOBS}/{job['id']}", method="GET", key=None)
        assert told["status"] == "running"
        assert 0 < told["progress"]["share"] < 1
        assert "records" not in told
        gate.open = True
        told = await ended(running, job["id"], None)
        assert told["status"] == "done"
        assert [part["start"] for part in told["records"][0]["tasks"]["captions"]["segments"]] == [0, 1, 2]
        assert told["progress"]["share"] == 1
        assert told["ended_at"] >= told["started_at"] >= told["created_at"]
        assert running.files == []


async def test_a_job_is_followed_to_its_end_and_after_it(
    servers: FakeServers, tmp_path: Path, picture: dict[str, Any]
) -> None:
    async with captioner(servers, tmp_path / "own") as running:
        gate = Gate(servers)
        job = await running.ask(picture, path=JOBS)
        headers = {"Authorization": f"Bearer {KEY}"}
        async with running.http.get(f"{running.url}{JOBS}/{job['id']}/events", headers=headers) as answer:
            await answer.content.readline()
            gate.open = True
            told = events_of("event: progress\n" + await answer.text())
        assert [told[0]["type"], told[-1]["type"]] == ["progress", "done"]
        (record,) = told[-1]["records"]
        assert record in [event["value"] for event in told if event["type"] == "record"]
        async with running.http.get(f"{running.url}{JOBS}/{job['id']}/events", headers=headers) as answer:
            assert events_of(await answer.text()) == [told[-1]]


async def test_a_job_belongs_to_the_key_that_made_it(
    servers: FakeServers, tmp_path: Path, picture: dict[str, Any]
) -> None:
    async with captioner(servers, tmp_path / "own") as running:
        job = (await running.ask(picture, path=JOBS))["id"]
        for key in ("bv-the-key-of-somebody-else", None):
            for method, path in (("GET", job), ("DELETE", job), ("GET", f"{job}/events")):
                status, said = await running.try_to_ask(path=f"{JOBS}/{path}", method=method, key=key)
                assert (status, said["error"]["code"]) == (404, "not_found")
            assert (await running.ask(path=JOBS, method="GET", key=key))["data"] == []
        assert [it["id"] for it in (await running.ask(path=JOBS, method="GET"))["data"]] == [job]
        assert (await ended(running, job))["status"] == "done"
    assert servers.headers[0]["Authorization"] == f"Bearer {KEY}"


async def test_a_job_that_is_deleted_ends_at_once_and_leaves_nothing(
    servers: FakeServers, tmp_path: Path, picture: dict[str, Any]
) -> None:
    async with captioner(servers, tmp_path / "own") as running:
        gate = Gate(servers)
        job = (await running.ask(picture, path=JOBS))["id"]
        await gate.waiting.wait()
        events = asyncio.create_task(follow(running, job))
        await asyncio.sleep(0.1)
        assert await running.ask(path=f"{JOBS}/{job}", method="DELETE") == {
            "id": job,
            "object": "captions.job",
            "deleted": True,
        }
        assert (await events)[-1]["error"]["code"] in ("deleted", "not_found")
        assert (await running.try_to_ask(path=f"{JOBS}/{job}", method="GET"))[0] == 404
        assert running.files == []
        gate.open = True
        again = (await running.ask(picture, path=JOBS))["id"]  # it has given its place back
        assert (await ended(running, again))["status"] == "done"


async def follow(running: Running, job: str) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with running.http.get(f"{running.url}{JOBS}/{job}/events", headers=headers) as answer:
        return events_of(await answer.text()) if answer.status == 200 else [await answer.json()]


async def test_after_a_restart_jobs_go_on_and_nothing_is_asked_twice(
    servers: FakeServers, tmp_path: Path, body: dict[str, Any], picture: dict[str, Any]
) -> None:
    async with captioner(servers, tmp_path / "own", jobs_at_once=1) as running:
        gate = Gate(servers, free=2)
        first = (await running.ask(body, path=JOBS))["id"]
        second = (await running.ask(picture, path=JOBS))["id"]
        told: dict[str, Any] = {"progress": {"requests": 0}}
        while told["progress"]["requests"] < 2:
            told = await running.ask(path=f"{JOBS}/{first}", method="GET")
    assert len(running.files) > 2
    asked = len(servers.asked)
    gate.open = True
    async with captioner(servers, tmp_path / "own") as running:
        segments = (await ended(running, first))["records"][0]["tasks"]["captions"]["segments"]
        assert [part["start"] for part in segments] == [0, 1, 2]
        assert (await ended(running, second))["records"][0]["tasks"]["describe"]["text"] == "I see 7"
        assert running.files == []
        assert {headers["Authorization"] for headers in servers.headers} == {f"Bearer {KEY}"}
    assert len(servers.asked) == asked + 2
    assert len(set(seen_in(servers.asked))) == 4


async def test_a_key_is_kept_no_longer_than_its_job_needs_it(
    servers: FakeServers, tmp_path: Path, picture: dict[str, Any]
) -> None:
    database = tmp_path / "own" / "jobs.db"
    async with captioner(servers, tmp_path / "own") as running:
        gate = Gate(servers)
        keys = [KEY, *(f"bv-the-key-of-number-{number}" for number in range(4))]
        jobs = [(await running.ask(picture, path=JOBS, key=key))["id"] for key in keys]
        await gate.waiting.wait()
        assert database.stat().st_mode & 0o777 == 0o600
        assert KEY.encode() in database.read_bytes()
        gate.open = True
        for job, key in zip(jobs, keys, strict=True):
            await ended(running, job, key)
        kept = [path.read_bytes() for path in (tmp_path / "own").rglob("*") if path.is_file()]
        assert kept
        assert not [key for key in keys if any(key.encode() in content for content in kept)]


async def test_a_job_that_fails_says_why(servers: FakeServers, tmp_path: Path, picture: dict[str, Any]) -> None:
    async def refuses(request: web.Request, body: dict[str, Any], count: int) -> web.StreamResponse:
        return error(400, "not this one")

    servers.on_ask = refuses
    async with captioner(servers, tmp_path / "own") as running:
        told = await ended(running, (await running.ask(picture, path=JOBS))["id"])
        assert (told["status"], told["error"]["code"]) == ("failed", "engine_error")
        assert "not this one" in told["error"]["message"]
        text = {"image": "anVzdCBzb21lIHRleHQK"}
        told = await ended(running, (await running.ask(text, path=JOBS))["id"])
        assert (told["status"], told["error"]["code"]) == ("failed", "invalid_media")
        status, said = await running.try_to_ask({**picture, "stream": True}, path=JOBS)
        assert (status, said["error"]["param"]) == (400, "stream")


async def test_a_job_that_ends_the_service_again_and_again_is_given_up(
    servers: FakeServers, tmp_path: Path, picture: dict[str, Any]
) -> None:
    async with captioner(servers, tmp_path / "own") as running:
        gate = Gate(servers)
        job = (await running.ask(picture, path=JOBS))["id"]
        await gate.waiting.wait()
    with closing(sqlite3.connect(tmp_path / "own" / "jobs.db")) as database, database:
        database.execute("UPDATE jobs SET starts = 10")
    async with captioner(servers, tmp_path / "own") as running:
        told = await ended(running, job)
    assert told["status"] == "failed"
    assert "killed 10 times" in told["error"]["message"]


async def test_jobs_are_bounded_and_forgotten_in_time(
    servers: FakeServers, tmp_path: Path, picture: dict[str, Any]
) -> None:
    async with captioner(servers, tmp_path / "own", key_jobs=2, jobs=3) as running:
        jobs = [(await running.ask(picture, path=JOBS))["id"] for _ in range(2)]
        status, said = await running.try_to_ask(picture, path=JOBS)
        assert (status, said["error"]["code"]) == (429, "rate_limit_exceeded")
        await running.ask(picture, path=JOBS, key="bv-another-key")
        assert (await running.try_to_ask(picture, path=JOBS, key="bv-a-third-key"))[0] == 429
        for job in jobs:
            await ended(running, job)
        await running.ask(path=f"{JOBS}/{jobs[0]}", method="DELETE")
        await ended(running, (await running.ask(picture, path=JOBS))["id"])
        assert running.files == []
    async with captioner(servers, tmp_path / "own", keep_jobs_s=-1) as running:
        while (await running.ask(path=JOBS, method="GET"))["data"]:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.01)
