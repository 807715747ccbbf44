"""A model server that does everything wrong: every file ends done, or failed with the reason."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from batch_runs import pictures, results, run
from fake_servers import answer_to, completion, error, what_is_seen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from fake_servers import FakeServers


async def cut(request: web.Request) -> web.StreamResponse:
    """Half of an answer, then the connection breaks."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"choices": [')
    assert request.transport
    request.transport.abort()
    return response


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


async def drip(request: web.Request) -> web.StreamResponse:
    """A byte now and then: never idle, never done."""
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(600):
        await response.write(b" ")
        await asyncio.sleep(0.1)
    return response


async def flood(request: web.Request) -> web.StreamResponse:
    """More than anybody asked for."""
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(100):
        await response.write(b" " * (1 << 20))
    return response


async def say_goodbye(request: web.Request) -> web.StreamResponse:
    """A good answer, and the connection that was to be kept is closed right after it."""
    response = completion(answer_to(await request.json()))
    await response.prepare(request)
    await response.write_eof()
    assert request.transport
    request.transport.close()
    return response


async def vanish(request: web.Request) -> web.StreamResponse:
    assert request.transport
    request.transport.abort()
    return web.Response()


def soon() -> str:
    return email.utils.formatdate(time.time() + 1, usegmt=True)


def move(_: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "http://other/"})


def page(_: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>It works!</html>", content_type="text/html")


PASSING: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse] | web.StreamResponse]] = {
    "too many": lambda _: error(429, "too many", {"Retry-After": "0.05"}),
    "too many until": lambda _: error(429, "too many", {"Retry-After": soon()}),
    "too many, forever": lambda _: error(429, "too many", {"Retry-After": "nonsense"}),
    "time-out": lambda _: error(408, "you are slow"),
    "conflict": lambda _: error(409, "conflict"),
    "broken": lambda _: error(500, "oops"),
    "restarting": lambda _: error(503, "restarting"),
    "bad gateway": lambda _: web.Response(status=502, text="<html>Bad Gateway</html>", content_type="text/html"),
    "cut": cut,
    "vanish": vanish,
    "hang": hang,
    "drip": drip,
    "flood": flood,
    "goodbye": say_goodbye,
    "not JSON": lambda _: web.Response(body=b'{"choices": [', content_type="application/json"),
    "page": page,
    "nothing": lambda _: web.Response(),
    "no choices": lambda _: web.json_response({"choices": []}),
    "an error in disguise": lambda _: web.json_response({"error": {"message": "overloaded", "code": 502}}),
    "no object": lambda _: web.json_response([1, 2]),
    "no text": lambda _: completion(None),
    "empty": lambda _: completion(" \n"),
}
"""What may be better at the next try."""

LASTING = {
    "400": (lambda _: error(400, "the picture is too large"), "HTTP 400: the picture is too large", 1),
    "401": (lambda _: error(401, "no"), "does not let us in", 1),
    "403": (lambda _: error(403, "flagged"), "does not let us in (HTTP 403: flagged)", 1),
    "404": (lambda _: error(404, "no such model"), "HTTP 404: no such model", 1),
    "moved": (
        lambda _: web.Response(status=302, headers={"Location": "http://other/"}),
        "redirects to http://other/",
        1,
    ),
    "500": (lambda _: error(500, "oops"), "HTTP 500: oops (5 attempts)", 5),
    "cut": (cut, "the connection broke (5 attempts)", 5),
    "flood": (flood, "the answer is longer than 16 MiB (5 attempts)", 5),
    "disguise": (
        lambda _: web.json_response({"error": {"message": "overloaded", "code": 502}}),
        "the answer is an error: overloaded (5 attempts)",
        5,
    ),
    "empty": (lambda _: completion(""), "the answer holds no text (finish_reason stop) (5 attempts)", 5),
    "filtered": (lambda _: completion("", "content_filter"), "the model refuses to answer: content_filter", 1),
    "later": (lambda _: error(429, "quota", {"Retry-After": "86400"}), "the server asks to wait 1440 min", 1),
}
"""What stays as it is: the reason that is told, and how often it is tried."""


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are as long as ever in their proportions, and short."""
    monkeypatch.setattr("client.endpoints.retry.FIRST_PAUSE_S", 0.02)


async def behave(request: web.Request, how: Any) -> web.StreamResponse:
    answer = how(request)
    response: web.StreamResponse = await answer if asyncio.iscoroutine(answer) else answer
    return response


def test_what_passes_costs_nothing_and_what_lasts_fails_alone(servers: FakeServers, tmp_path: Path) -> None:
    """Every misbehaviour twice, each for a file of its own, while others are answered."""
    passing, lasting = list(PASSING.values()), list(LASTING.values())
    first_lasting = 100
    tries: Counter[int] = Counter()

    async def misbehave(request: web.Request, body: dict[str, Any], _: int) -> web.StreamResponse | None:
        number = int(what_is_seen(body))
        tries[number] += 1
        if number < len(passing) and tries[number] <= 2:
            return await behave(request, passing[number])
        if number >= first_lasting:
            return await behave(request, lasting[number - first_lasting][0])
        return None

    servers.on_ask = misbehave
    pictures(tmp_path / "ads", 60)
    pictures(tmp_path / "ads", len(lasting), first_lasting)
    options = ("ads", "--timeout", "3", "--concurrency", "16", "--languages", "", "--log-file", "run.log")
    done = run(servers, *options, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    records = {int(record["file"][4:8]): record for record in results(tmp_path)["files"]}
    for number in range(60):
        assert records[number]["tasks"]["describe"]["text"] == f"I see {number}", list(PASSING)[number]
        assert records[number]["error"] is None
    for number, (_, reason, times) in enumerate(lasting, first_lasting):
        assert reason in records[number]["error"]
        assert tries[number] == times
    log = (tmp_path / "run.log").read_text()
    # More, where a request met a connection that was just being closed: that one never arrived.
    assert log.count("trying again in") >= sum(tries.values()) - 60 - len(lasting)
    assert log.count("describe: answered in") == 60
    assert "ads/0106.png: failed: describe: the connection broke (5 attempts)" in log
    assert "base64" not in log
    assert "secret" not in log
