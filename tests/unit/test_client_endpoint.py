"""Runs of the batch client against model servers that misbehave, die, or are not ours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web
from batch_runs import pictures, results, run, seen_in, start, wait_until
from fake_servers import FakeServers, completion, error, free_port, what_is_seen

if TYPE_CHECKING:
    from pathlib import Path


def test_errors_that_pass_are_tried_again(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    """One after the other: 429 with Retry-After, 500, a cut connection, garbage, no choices, no text, 503."""

    async def misbehave(request: web.Request, _: dict[str, Any], number: int) -> web.StreamResponse | None:
        assert request.transport
        if number == 1:
            return error(429, "too many", {"Retry-After": "0.1"})
        if number == 2:
            return error(500, "oops")
        if number == 3:
            request.transport.abort()
        if number == 4:
            return web.Response(body=b"{not json", content_type="application/json")
        if number == 5:
            return web.json_response({"choices": []})
        if number == 6:
            return completion(None)
        if number == 7:
            return error(503, "restarting")
        if number == 8:
            return web.Response(text="<html>hello</html>", content_type="text/html")
        return None

    servers.on_ask = misbehave
    done = run(servers, "ads", "--concurrency", "4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(servers.asked) == 4 + 8
    assert all(record["error"] is None for record in results(tmp_path)["files"])


def test_what_is_refused_is_not_asked_again_unless_told(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    async def refuse(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        return error(400, "the prompt is too long") if what_is_seen(body).startswith("0 4") else None

    servers.on_ask = refuse
    done = run(servers, "ads", cwd=tmp_path)
    assert done.returncode == 1
    assert len(servers.asked) == 4
    record = results(tmp_path)["files"][0]
    assert "the prompt is too long" in record["error"]
    assert "failed: ads/a.mp4: describe: HTTP 400: the prompt is too long" in done.stderr
    assert run(servers, "ads", cwd=tmp_path).returncode == 1
    assert len(servers.asked) == 4
    servers.on_ask = None
    assert run(servers, "ads", "--redo", "failed", cwd=tmp_path).returncode == 0
    assert len(servers.asked) == 5


def test_a_hanging_server_meets_the_deadline(servers: FakeServers, tmp_path: Path) -> None:
    async def hang(_: web.Request, __: dict[str, Any], number: int) -> web.StreamResponse | None:
        if number <= 2:
            await asyncio.sleep(60)
        return None

    servers.on_ask = hang
    pictures(tmp_path / "ads", 3)
    done = run(servers, "ads", "--timeout", "0.7", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(servers.asked) == 5


def test_a_wrong_key_ends_the_run_at_once(servers: FakeServers, tmp_path: Path) -> None:
    async def keep_out(*_: Any) -> web.StreamResponse | None:
        return error(401, "invalid key")

    servers.on_ask = keep_out
    done = run(servers, pictures(tmp_path / "ads", 40), "--concurrency", "2", cwd=tmp_path)
    assert done.returncode == 1
    assert "BABELVIEW_API_KEY" in done.stderr
    assert len(servers.asked) < 10


def test_a_killed_model_server_is_waited_for(servers: FakeServers, tmp_path: Path) -> None:
    async def slowly(*_: Any) -> web.StreamResponse | None:
        await asyncio.sleep(0.1)
        return None

    servers.on_ask = slowly
    pictures(tmp_path / "ads", 40)
    process = start(servers, "ads", "--concurrency", "4", cwd=tmp_path)
    wait_until(lambda: len(servers.asked) > 12)
    servers.stop()
    assert process.stderr
    lines: list[str] = []
    while not any("waiting up to 10 min" in line for line in lines):
        lines.append(process.stderr.readline())
        assert lines[-1], "".join(lines)
    servers.start()
    output = "".join(lines) + process.communicate(timeout=60)[1]
    assert process.returncode == 0, output
    assert "back after" in output
    records = results(tmp_path)["files"]
    assert [record["tasks"]["describe"]["text"] for record in records] == [f"I see {n}" for n in range(40)]
    assert results(tmp_path)["stats"]["failures"] == 0


def test_a_server_that_stays_away_ends_the_run_and_loses_nothing(servers: FakeServers, tmp_path: Path) -> None:
    async def then_die(*_: Any) -> web.StreamResponse | None:
        return error(503, "engine is dead") if len(servers.asked) > 5 else None

    servers.on_ask = then_die
    pictures(tmp_path / "ads", 12)
    done = run(servers, "ads", "--concurrency", "1", "--wait", "1", cwd=tmp_path)
    assert done.returncode == 1
    assert "gave up waiting" in done.stderr
    found = results(tmp_path)
    assert sum("describe" in record["tasks"] for record in found["files"]) == 5
    servers.on_ask = None
    assert run(servers, "ads", cwd=tmp_path).returncode == 0
    assert sorted(set(seen_in(servers.asked)), key=int) == [str(n) for n in range(12)]
    assert results(tmp_path)["stats"]["done_earlier"] == 5


def test_concurrency_is_the_number_of_requests_in_flight(servers: FakeServers, tmp_path: Path) -> None:
    async def slowly(*_: Any) -> web.StreamResponse | None:
        await asyncio.sleep(0.2)
        return None

    servers.on_ask = slowly
    pictures(tmp_path / "ads", 30)
    assert run(servers, "ads", "--concurrency", "6", "--languages", "", cwd=tmp_path).returncode == 0
    assert servers.most_in_flight == 6


def test_nobody_there_at_all(tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 1)
    done = run(f"http://127.0.0.1:{free_port()}", "ads", "--wait", "0.5", cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot be reached (Connection refused), for 0.5 s; gave up waiting" in done.stderr
    assert "Traceback" not in done.stderr
