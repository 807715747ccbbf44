"""Runs of the batch client against model servers that misbehave, die, or are not ours."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from batch_runs import pictures, results, run, seen_in, start, wait_until
from behaviours import answering
from fake_servers import FakeServers, completion, error, free_port, listing, what_is_seen

from client.cli.settings import read_settings
from client.endpoints import proxy
from client.endpoints.http import JsonServer
from client.errors import FailedError
from client.record import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fake_servers import Behaviour


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


def test_nobody_there_at_all(tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 1)
    done = run(f"http://127.0.0.1:{free_port()}", "ads", "--wait", "0.5", cwd=tmp_path)
    assert done.returncode == 1
    said = "cannot be reached (Connection refused), for 0.5 s; gave up waiting (is it running? babelview up starts it)"
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_towards_another_endpoint_frames_are_pictures(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    servers.on_models = answering(lambda: listing("openai", "gpt-4o"))
    options = ("ads", "--model", "gpt-4o", "--languages", "")
    assert run(servers, *options, cwd=tmp_path).returncode == 0
    by_name = {body["messages"][0]["content"][0]["type"] for body in servers.asked}
    assert by_name == {"image_url"}
    contents = [body["messages"][0]["content"] for body in servers.asked]
    assert sorted(len(content) for content in contents) == [2, 6, 9, 9]  # a picture; 5 and 8 frames; and a question
    assert all(content[-1]["type"] == "text" for content in contents)
    frames = [part["image_url"]["url"] for content in contents for part in content[:-1]]
    assert all(frame.startswith("data:image/jpeg;base64,") and "," not in frame[23:] for frame in frames)
    assert {body["model"] for body in servers.asked} == {"gpt-4o"}
    # How frames are sent is no new question.
    assert run(servers, *options, "--frames-as", "video", cwd=tmp_path).returncode == 0
    assert len(servers.asked) == 4
    assert run(servers, *options, "--frames-as", "video", "--redo", "all", cwd=tmp_path).returncode == 0
    assert sum(body["messages"][0]["content"][0]["type"] == "video_url" for body in servers.asked) == 3


def test_a_model_that_is_neither_listed_nor_known_ends_the_run(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    servers.on_ask = answering(lambda: error(404, "The model `gpt-5` does not exist."))
    done = run(servers, "ads", "--model", "gpt-5", cwd=tmp_path)
    assert done.returncode == 2
    assert "does not serve gpt-5" in done.stderr
    assert "it lists llama-3.2-11b-vision, llava-next-video-7b" in done.stderr
    servers.on_ask = None
    # Who looks at no picture needs no model for pictures.
    (ads / "d.png").unlink()
    assert run(servers, "ads", "--image-model", "none", "--languages", "", cwd=tmp_path).returncode == 0


def test_a_model_that_is_not_listed_is_warned_about_and_tried(servers: FakeServers, tmp_path: Path) -> None:
    servers.on_models = answering(lambda: listing("litellm", "openai/*", "llava:latest", "models/gemini-2.0-flash"))
    pictures(tmp_path / "ads", 1)
    for model, warned in (("gpt-5", True), ("openai/gpt-5", False), ("gemini-2.0-flash", False), ("llava", False)):
        done = run(servers, "ads", "--model", model, "--languages", "", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (f"does not list {model}, which is tried all the same" in done.stderr) == warned


@pytest.mark.parametrize("status", [403, 404, 501])
def test_an_endpoint_that_does_not_list_its_models_is_asked_all_the_same(
    servers: FakeServers, tmp_path: Path, status: int
) -> None:
    servers.on_models = answering(lambda: web.Response(status=status))
    pictures(tmp_path / "ads", 2)
    assert run(servers, "ads", "--model", "mine", "--languages", "", cwd=tmp_path).returncode == 0
    assert len(servers.asked) == 2


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (404, "<h1>Not Found</h1>", "HTTP 404"),
        (405, '{"detail": "Method Not Allowed"}', "HTTP 405"),
        (
            404,
            '{"error": {"message": "POST /v1/chat/completions: Not Found"}}',
            "HTTP 404",
        ),  # as our translator says it
        (200, "<h1>Welcome</h1>", "no JSON"),
        (200, '{"status": "ok"}', "no chat completion"),
    ],
)
def test_an_address_that_is_no_endpoint_is_told_before_anything_is_decoded(
    servers: FakeServers, tmp_path: Path, status: int, body: str, reason: str
) -> None:
    servers.on_models = answering(lambda: web.Response(status=404))
    servers.on_probe = answering(lambda: web.Response(status=status, text=body))
    (tmp_path / "ads").mkdir()
    (tmp_path / "ads" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    done = run(servers, "ads", "--languages", "", cwd=tmp_path)
    assert done.returncode == 2
    assert f"--base-url {servers.url}/v1: no OpenAI endpoint there (/chat/completions: {reason})" in done.stderr
    assert "broken.jpg" not in done.stderr
    assert "is /v1 missing?" not in done.stderr  # it is not
    assert servers.asked == []


def test_an_address_that_redirects_is_told_with_the_right_one(servers: FakeServers, tmp_path: Path) -> None:
    moved = {"Location": "https://elsewhere.example/v1/"}
    servers.on_models = servers.on_probe = answering(lambda: web.Response(status=308, headers=moved))
    done = run(servers, pictures(tmp_path / "ads", 1), "--languages", "", cwd=tmp_path)
    assert done.returncode == 2
    assert f"HTTP 308: {servers.url}/v1 redirects to https://elsewhere.example/v1/: give that address" in done.stderr
    assert servers.asked == []


@pytest.mark.parametrize(("status", "words"), [(404, "The model does not exist"), (500, "?"), (401, "Who?")])
def test_an_endpoint_that_refuses_in_openais_words_is_one(
    servers: FakeServers, tmp_path: Path, status: int, words: str
) -> None:
    servers.on_models = answering(lambda: web.Response(status=404))
    servers.on_probe = answering(lambda: error(status, words))
    pictures(tmp_path / "ads", 1)
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 0


def limits(**of_llava: int) -> Behaviour:
    """A gateway of ours that says how much LLaVA takes."""

    models = [
        {"id": "llama-3.2-11b-vision", "owned_by": "babelview", "max_frames": 0, "max_images": 1},
        {"id": "llava-next-video-7b", "owned_by": "babelview", **of_llava},
    ]
    return answering(lambda: web.json_response({"object": "list", "data": models}))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--frames", "17"], "llava-next-video-7b takes at most 16 frames of a video, not 17 (--frames, or"),
        (["--every", "1", "--max-frames", "17"], "llava-next-video-7b takes at most 16 frames of a video, not 17"),
        (["--frames-as", "images"], "llava-next-video-7b takes at most 4 pictures in a request, and frames are sent"),
        (["--model", "llama-3.2-11b-vision"], "llama-3.2-11b-vision takes no videos (--model, --video-model"),
        (["--frames", "16"], None),
        (["--frames-as", "images", "--frames", "4"], None),
    ],
)
def test_more_frames_than_the_model_takes_are_told_before_anything_is_decoded(
    servers: FakeServers, ads: Path, tmp_path: Path, options: list[str], reason: str | None
) -> None:
    servers.on_models = limits(max_frames=16, max_images=4)
    done = run(servers, "ads", "--languages", "", *options, cwd=tmp_path)
    if reason is None:
        assert done.returncode == 0
        return
    assert done.returncode == 2
    assert reason in done.stderr
    assert servers.asked == []
    # Pictures alone have no frames.
    (tmp_path / "pictures").mkdir()
    (ads / "d.png").rename(tmp_path / "pictures" / "d.png")
    assert run(servers, "pictures", "--languages", "", *options, cwd=tmp_path).returncode == 0


def test_a_model_that_takes_no_pictures_is_told(servers: FakeServers, tmp_path: Path) -> None:
    servers.on_models = limits(max_frames=16, max_images=0)
    pictures(tmp_path / "ads", 1)
    done = run(servers, "ads", "--languages", "", "--model", "llava-next-video-7b", cwd=tmp_path)
    assert done.returncode == 2
    assert "llava-next-video-7b takes no pictures (--model, --image-model" in done.stderr


def test_newer_models_want_another_name_for_the_limit(servers: FakeServers, tmp_path: Path) -> None:
    async def particular(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        if "max_tokens" not in body:
            return None
        return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")

    servers.on_ask = particular
    pictures(tmp_path / "ads", 6)
    assert run(servers, "ads", "--concurrency", "2", "--languages", "", cwd=tmp_path).returncode == 0
    assert 7 <= len(servers.asked) <= 8  # each slot learns it once
    assert servers.asked[-1]["max_completion_tokens"] > 0


def test_when_nothing_is_to_be_done_nobody_need_be_there(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    assert run(servers, "ads", cwd=tmp_path).returncode == 0
    servers.stop()
    done = run(servers, "ads", "--wait", "0.1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 files done (4 by an earlier run)" in done.stderr


def test_https_where_none_is_spoken_is_told_at_once(servers: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 3)
    base_url = f"https://127.0.0.1:{servers.port}/v1"
    done = run(servers, "ads", "--languages", "", "--base-url", base_url, cwd=tmp_path)
    assert done.returncode == 1
    assert f"no secure connection to {base_url}" in done.stderr


def test_a_proxy_of_the_environment_is_used(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", servers.url)
    monkeypatch.delenv("no_proxy", raising=False)
    proxy._proxy_of_host.cache_clear()
    pictures(tmp_path / "ads", 2)
    options = ("ads", "--languages", "", "--base-url", "http://models.invalid/v1")
    assert run(servers, *options, cwd=tmp_path).returncode == 0
    assert {headers["Host"] for headers in servers.headers} == {"models.invalid"}
    # What is on this machine is not asked for through a proxy.
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    assert run(servers, "ads", "--languages", "", "--redo", "all", cwd=tmp_path).returncode == 0


def test_messages_name_the_proxy_and_not_its_password(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    proxy._proxy_of_host.cache_clear()
    pictures(tmp_path / "ads", 1)
    options = ("ads", "--languages", "", "--base-url", "http://models.invalid/v1", "--wait", "0.2")
    monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{free_port()}")
    done = run(servers, *options, cwd=tmp_path)
    assert "the proxy http://127.0.0.1:" in done.stderr
    assert "cannot be reached" in done.stderr
    assert "secret" not in done.stderr
    proxy._proxy_of_host.cache_clear()
    monkeypatch.setenv("http_proxy", servers.url)
    servers.on_ask = answering(lambda: error(404, "no such thing"))
    assert f"no such thing (through the proxy {servers.url})" in run(servers, *options, cwd=tmp_path).stderr
    proxy._proxy_of_host.cache_clear()
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1080")
    done = run(servers, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert "names the proxy socks5://127.0.0.1:1080 for models.invalid" in done.stderr
    proxy._proxy_of_host.cache_clear()


@pytest.mark.parametrize(
    ("no_proxy", "excepted", "others"),
    [
        ("10.0.0.0/8", ["http://10.1.2.3:8000"], ["http://11.1.2.3:8000", "http://10.example.org"]),
        ("*.corp.local", ["http://gpu.corp.local:8000", "https://a.b.corp.local"], ["http://evilcorp.local"]),
        (".corp.local", ["http://corp.local", "http://gpu.corp.local."], ["http://corp.local.org"]),
        ("gpu.corp.local:8000", ["http://gpu.corp.local:8000"], ["http://gpu.corp.local", "http://gpu.corp.local:80"]),
        ("10.1.2.3:8000 other", ["http://10.1.2.3:8000", "http://other"], ["http://10.1.2.3"]),
        ("fd00::/8,[2001:db8::1]:443", ["http://[fd12::1]:8000", "https://[2001:db8::1]"], ["http://[2001:db8::1]"]),
        ("*", ["http://anything"], []),
    ],
)
def test_no_proxy_is_read_as_curl_does(
    no_proxy: str, excepted: list[str], others: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "proxy:3128")
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("no_proxy", no_proxy)
    proxy._proxy_of_host.cache_clear()
    assert [proxy.proxy_of(url) for url in excepted] == [None] * len(excepted)
    assert [proxy.proxy_of(url) for url in others] == ["http://proxy:3128"] * len(others)
    proxy._proxy_of_host.cache_clear()


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


def test_the_address_of_an_endpoint_may_carry_a_query_that_no_log_shows(servers: FakeServers, tmp_path: Path) -> None:
    queries: list[str] = []

    async def refuse(request: web.Request, *_: Any) -> web.StreamResponse | None:
        queries.append(request.query_string)
        return error(400, f"{request.path_qs} is not for us") if request.headers["api-key"] == "secret" else None

    servers.on_ask = servers.on_probe = refuse
    servers.on_models = answering(lambda: web.Response(status=404))
    pictures(tmp_path / "ads", 1)
    address = f"{servers.url}/v1?api-version=2026-10-01-preview&subscription=topsecret"
    options = ("ads", "--languages", "", "--base-url", address, "--log-file", "log.txt")
    done = run(servers, *options, cwd=tmp_path)
    assert done.returncode == 1
    assert set(queries) == {"api-version=2026-10-01-preview&subscription=topsecret"}
    files = [path.read_bytes() for path in (tmp_path / "captions").rglob("*")] + [(tmp_path / "log.txt").read_bytes()]
    assert b"topsecret" not in b"".join(files) + done.stderr.encode()
    assert read_settings(list(options)).command_line.endswith("/v1?...' --log-file log.txt")


def test_an_answer_may_say_the_date_that_is_the_version_of_an_api(servers: FakeServers, tmp_path: Path) -> None:
    async def tell(*_: Any) -> web.StreamResponse | None:
        return completion("A poster of 2024-10-21, and topsecret.")

    servers.on_ask = tell
    pictures(tmp_path / "ads", 1)
    address = f"{servers.url}/v1?api-version=2024-10-21&subscription=topsecret"
    assert run(servers, "ads", "--languages", "", "--base-url", address, cwd=tmp_path).returncode == 0
    text = results(tmp_path)["files"][0]["tasks"]["describe"]["text"]
    assert text == "A poster of 2024-10-21, and ***."


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
