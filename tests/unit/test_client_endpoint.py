"""Runs of the batch client against model servers that misbehave, die, or are not ours."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from batch_runs import pictures, results, run, seen_in, start, wait_until
from behaviours import answering
from fake_servers import FakeServers, completion, error, what_is_seen

from client.endpoints.http import JsonServer
from client.errors import FailedError
from client.record import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Callable
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
    servers.on_ask = answering(lambda: error(401, "invalid key"))
    done = run(servers, pictures(tmp_path / "ads", 40), "--concurrency", "2", cwd=tmp_path)
    assert done.returncode == 1
    reason = "does not let us in (HTTP 401: invalid key); is BABELVIEW_API_KEY, or else OPENAI_API_KEY, set and right?"
    assert reason in done.stderr
    assert len(servers.asked) < 10


def test_a_picture_that_is_forbidden_fails_alone_even_if_it_is_the_first(servers: FakeServers, tmp_path: Path) -> None:
    async def forbid(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        if what_is_seen(body) == "0":
            return error(403, "flagged")
        await asyncio.sleep(0.3)
        return None

    servers.on_ask = forbid
    done = run(servers, pictures(tmp_path / "ads", 12), "--languages", "", cwd=tmp_path)
    assert done.returncode == 1
    errors = [record["error"] for record in results(tmp_path)["files"]]
    assert "HTTP 403: flagged" in errors[0]
    assert errors[1:] == [None] * 11


def test_an_endpoint_that_forbids_everything_ends_the_run(servers: FakeServers, tmp_path: Path) -> None:
    servers.on_ask = answering(lambda: error(403, "not for you"))
    options = ("--languages", "", "--concurrency", "2")
    done = run(servers, pictures(tmp_path / "ads", 60), *options, cwd=tmp_path)
    assert done.returncode == 1
    last, again = done.stderr.splitlines()[-2:]
    assert "does not let us in (HTTP 403: not for you)" in last
    assert again.startswith("to go on: BABELVIEW_BASE_URL=")
    assert " babelview batch " in again
    assert len(servers.asked) < 30


def test_a_server_that_does_not_listen_yet_behind_a_proxy_is_waited_for(servers: FakeServers, tmp_path: Path) -> None:
    """Docker's proxy takes connections at once and closes them until the server in the container listens."""
    servers.stop()
    with socket.create_server(("127.0.0.1", servers.port)) as proxy:
        pictures(tmp_path / "ads", 3)
        process = start(servers, "ads", "--languages", "", cwd=tmp_path)
        assert process.stderr
        proxy.settimeout(60)
        for _ in range(8):  # more than the attempts of a request
            proxy.accept()[0].close()
        assert "closes connections without an answer; waiting up to 10 min for it" in process.stderr.readline()
    servers.start()
    output = process.communicate(timeout=60)[1]
    assert process.returncode == 0, output
    assert len(servers.asked) == 3


def test_a_secure_port_spoken_to_in_plain_text_is_told() -> None:
    alert = b"\x15\x03\x01\x00\x02\x02\x46"  # of TLS (RFC 8446, 6): what it answers to anything else

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(alert)
        await writer.drain()
        writer.close()

    async def ask() -> None:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            secure = JsonServer(f"http://127.0.0.1:{port}", deadline_s=10, api_key=None, key_variable="KEY")
            try:
                await secure.get("/models")
            finally:
                await secure.close()

    with pytest.raises(FailedError, match="is not HTTP; is it an address for https"):
        asyncio.run(ask())


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


def test_a_server_that_is_not_there_yet_is_waited_for(servers: FakeServers, tmp_path: Path) -> None:
    servers.stop()
    pictures(tmp_path / "ads", 3)
    process = start(servers, "ads", "--languages", "fra_Latn", cwd=tmp_path)
    assert process.stderr
    line = process.stderr.readline()
    assert "cannot be reached (Connection refused); waiting up to 10 min for it" in line
    servers.start()
    output = process.communicate(timeout=60)[1]
    assert process.returncode == 0, output
    assert "back after" in output


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
    assert [record["error"] for record in found["files"] if not record["tasks"]] == [UNFINISHED] * 7
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


@pytest.mark.parametrize(
    "answer",
    [
        lambda: error(402, "Insufficient balance"),
        lambda: web.json_response({"error": {"message": "Check your plan.", "code": "insufficient_quota"}}, status=429),
    ],
)
def test_a_quota_that_is_used_up_is_not_waited_for(
    servers: FakeServers, tmp_path: Path, answer: Callable[[], web.Response]
) -> None:
    servers.on_ask = answering(answer)
    pictures(tmp_path / "ads", 3)
    done = run(servers, "ads", "--languages", "", "--concurrency", "1", cwd=tmp_path)
    assert done.returncode == 1
    assert "the quota is used up" in done.stderr
    assert "to go on" in done.stderr
    assert len(servers.asked) == 1
    servers.on_ask = None
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 0


def test_json_that_is_none_to_the_letter_is_read(servers: FakeServers, tmp_path: Path) -> None:
    bodies = [
        b'\xef\xbb\xbf{"choices": [{"message": {"content": "A red car."}}]}',
        b'{"choices": [{"message": {"content": "A red car."}, "logprob": NaN}], "usage": {"prompt_tokens": -Infinity}}',
        b'{"choices": [{"message": {"content": "A red \\ud83d car \\ud83d\\ude97."}}]}',
        b'{"choices": [{"message": {"content": "A r\xe9d car."}}]}',
    ]

    async def oddly(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        return web.Response(body=bodies[int(what_is_seen(body))], content_type="application/json")

    servers.on_ask = oddly
    pictures(tmp_path / "ads", 4)
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 0
    texts = [record["tasks"]["describe"]["text"] for record in results(tmp_path)["files"]]
    assert texts == ["A red car.", "A red car.", "A red \ufffd car \U0001f697.", "A r\ufffdd car."]


def test_an_answer_in_parts_is_its_text(servers: FakeServers, tmp_path: Path) -> None:
    async def apart(*_: Any) -> web.StreamResponse | None:
        thoughts = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
        parts = [thoughts, {"type": "text", "text": "A red "}, {"type": "text", "text": "car."}]
        return web.json_response({"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]})

    servers.on_ask = apart
    pictures(tmp_path / "ads", 1)
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 0
    assert results(tmp_path)["files"][0]["tasks"]["describe"]["text"] == "A red car."


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        ({"metrics": {"tokens_per_second": 150.2, "queue_time_ms": 3.1}}, 150.2),
        ({"metrics": {"tokens_per_second": None}}, None),
        ({"metrics": {"tokens_per_second": "fast"}}, None),
        ({"metrics": {"tokens_per_second": -1}}, None),
        ({"metrics": None}, None),
        ({}, None),
    ],
)
def test_the_speed_is_what_the_server_tells(
    servers: FakeServers, tmp_path: Path, metrics: dict[str, Any], told: float | None
) -> None:
    async def tell(*_: Any) -> web.StreamResponse | None:
        choice = {"message": {"content": "Words."}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice], "usage": {"completion_tokens": 7}, **metrics})

    servers.on_ask = tell
    pictures(tmp_path / "ads", 1)
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 0
    assert results(tmp_path)["files"][0]["tasks"]["describe"]["tokens_per_sec"] == told


def test_odd_answers_are_kept_as_they_are(servers: FakeServers, tmp_path: Path) -> None:
    texts = ["a\0b", "\U0001f600 \u202eabc", "x" * 1_000_000, "</s>\n\n<|im_end|>"]
    usages: list[Any] = [{"prompt_tokens": 10**30, "completion_tokens": -5}, None, {"prompt_tokens": "7"}, {}]

    async def oddly(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        number = int(what_is_seen(body))
        choice = {"message": {"content": texts[number]}, "finish_reason": None}
        return web.json_response({"choices": [choice], "usage": usages[number]})

    servers.on_ask = oddly
    pictures(tmp_path / "ads", 4)
    done = run(servers, "ads", "--languages", "", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [record["tasks"]["describe"]["text"] for record in results(tmp_path)["files"]] == texts
    assert results(tmp_path)["stats"]["prompt_tokens"] == 0
