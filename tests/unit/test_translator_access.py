"""Who may ask, what is counted, and how many connections there may be."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client.parser import text_string_to_metric_families
from translator_toy import Client, Engine, serving

from translator.http import Limits, State, make_app
from translator.http.server import Listener
from translator.service import make_state
from translator.settings import Settings

ASK = {"q": "Red. Blue.", "source": "en", "target": "fr"}
NATIVE = {"texts": ["a"], "targets": ["fr"]}


async def status_of(client: Client, method: str, path: str, **call: Any) -> int:
    async with client.request(method, path, **call) as response:
        return response.status


async def test_a_key_is_needed_where_keys_are_set() -> None:
    async with serving(Engine(), State("toy", keys=("first", "zweiter-schlüssel"))) as client:
        for key in ("first", "zweiter-schlüssel"):
            assert await status_of(client, "POST", "/translate", json=ASK | {"api_key": key}) == 200
            assert await status_of(client, "POST", "/translate", data=ASK | {"api_key": key}) == 200
            bearer = {"Authorization": f"Bearer {key}"}
            for call in ({"path": "/translate", "json": ASK}, {"path": "/v1/translations", "json": NATIVE}):
                assert await status_of(client, "POST", headers=bearer, **call) == 200
            assert await status_of(client, "GET", "/metrics", headers=bearer) == 200
        for wrong in ("", "firs", "first ", "FIRST", "first,zweiter-schlüssel"):
            assert await status_of(client, "POST", "/translate", json=ASK | {"api_key": wrong}) == 403
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic first"}):
            assert await status_of(client, "POST", "/v1/translations", json=NATIVE, headers=headers) == 401
            assert await status_of(client, "GET", "/metrics", headers=headers) == 403
        async with client.post("/detect", json={"q": "a"}) as response:
            assert (response.status, "needs an API key" in (await response.json())["error"]) == (403, True)
        assert await status_of(client, "GET", "/health") == 200
        assert await status_of(client, "GET", "/languages") == 200
        async with client.get("/frontend/settings") as response:
            assert (await response.json())["keyRequired"] is True


async def test_no_key_comes_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    key = "bv-canary-0123456789abcdef"
    async with serving(Engine(), State("toy", keys=(key,))) as client:
        for field in ("q", "source", "target", "format", "api_key"):
            await status_of(client, "POST", "/translate", json=ASK | {"api_key": key} | {field: key})
        for path in (f"/{key}", f"/languages?api_key={key}", f"/v1/{key}"):
            await status_of(client, "GET", path, headers={"X-Request-Id": key, "Authorization": f"Bearer {key}"})
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("translator")]
    assert len(ours) >= 8  # aiohttp's own log of requests is off in the service
    assert not [line for line in ours if key in line]


async def test_pages_of_other_origins_only_if_they_are_named() -> None:
    page = {"Origin": "https://a.example"}
    preflight = page | {"Access-Control-Request-Method": "POST"}
    for origins, allowed in (
        ((), None),
        (("https://b.example",), None),
        (("https://a.example",), page["Origin"]),
        (("*",), "*"),
    ):
        async with serving(Engine(), State("toy", origins=origins)) as client:
            async with client.post("/translate", json=ASK, headers=page) as response:
                assert response.status == 200
                assert response.headers.get("Access-Control-Allow-Origin") == allowed
            async with client.post("/translate", json={}, headers=page) as response:
                assert response.headers.get("Access-Control-Allow-Origin") == allowed
            async with client.options("/translate", headers=preflight) as response:
                assert response.status == (204 if allowed else 405)
                assert ("Content-Type" in response.headers.get("Access-Control-Allow-Headers", "")) == bool(allowed)


async def test_what_prometheus_is_told() -> None:
    async with serving(Engine()) as client:
        assert await status_of(client, "POST", "/translate", json=ASK) == 200
        assert await status_of(client, "POST", "/translate", json=ASK | {"q": ["Red.", "An endless one."]}) == 200
        assert await status_of(client, "POST", "/translate", json=ASK | {"target": "xx"}) == 400
        assert await status_of(client, "GET", "/no/such/path") == 404
        async with client.get("/metrics") as response:
            assert response.content_type == "text/plain"
            text = await response.text()
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    name = "babelview_translator_"
    assert samples[f"{name}requests_total", "/translate", "200"] == 2
    assert samples[f"{name}requests_total", "/translate", "400"] == 1
    assert samples[f"{name}requests_total", "404", "other"] == 1
    assert samples[f"{name}request_seconds_count", "/translate"] == 3
    assert samples[f"{name}sentences_total", "fra_Latn", "ok"] == 3
    assert samples[f"{name}sentences_total", "doubtful", "fra_Latn"] == 1
    assert samples[f"{name}texts_total",] == 3
    assert samples[f"{name}requests_in_flight",] == 1
    assert samples[f"{name}batch_sentences_count",] >= 2
    assert samples[f"{name}source_tokens_total",] >= len("Red.Blue.An endless one.")
    assert samples[f"{name}queue_sentences",] == 0
    assert samples[f"{name}cache_hits_total",] >= 1


async def test_a_slow_body_is_given_up() -> None:
    async with serving(Engine(), State("toy", limits=Limits(body_timeout_s=0.1))) as client:
        for kind in ("application/json", "multipart/form-data; boundary=x"):
            reader, writer = await asyncio.open_connection(client.host, client.port)
            head = f"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\n--x"
            writer.write(head.encode())
            answer = await asyncio.wait_for(reader.readuntil(b"}"), 60)
            assert b" 408 " in answer
            assert b"Connection: close" in answer
            assert b"did not arrive within 0.1 s" in answer
            writer.close()


async def test_one_connection_too_many_is_told_so() -> None:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    async with TestServer(app) as server:
        assert server.runner
        assert server.runner.server
        listener = Listener(server.runner.server, connections=1)
        host, port = await listener.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"200"
        refused, _ = await asyncio.open_connection(host, port)
        answer = await asyncio.wait_for(refused.read(), 60)
        assert answer.split()[1] == b"503"
        assert b"too many connections" in answer
        writer.close()
        await listener.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(host, port)


async def test_connections_on_which_nothing_comes_make_room() -> None:
    async with TestServer(make_app(State("toy"))) as server:
        assert server.runner
        assert server.runner.server
        listener = Listener(server.runner.server, connections=1, idle_s=0.1)
        address = await listener.start("127.0.0.1", 0)
        idle, _ = await asyncio.open_connection(*address)
        assert await asyncio.wait_for(idle.read(), 60) == b""
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET /spec HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"200"
        writer.close()
        await listener.stop()


POST = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (POST % b"/translate" + b"Expect: 200-ok\r\n\r\n{}", 417),
        (POST % b"/v1/translations" + b"Expect: 200-ok\r\n\r\n{}", 417),
        (POST % b"/nowhere" + b"Expect: 200-ok\r\n\r\n{}", 417),
        (POST % b"/v1/translations" + b"Content-Length: 3\r\n\r\n{}", 400),
        (POST % b"/translate" + b"X secret: 1\r\n\r\n{}", 400),
        (POST % b"/translate" + b"X: " + b"secret" * 2000 + b"\r\n\r\n{}", 400),
        (b"POST /translate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n", 400),
        (b"POST /translate HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\0\1\0secret", 400),
    ],
)
async def test_what_is_no_request_is_refused_in_our_shape(sent: bytes, status: int) -> None:
    """aiohttp's own answers are plain text, and repeat what came."""
    async with TestServer(make_app(State("toy"))) as server:
        assert server.runner
        assert server.runner.server
        listener = Listener(server.runner.server, connections=1)
        reader, writer = await asyncio.open_connection(*await listener.start("127.0.0.1", 0))
        writer.write(sent)
        head, _, body = (await asyncio.wait_for(reader.read(), 60)).partition(b"\r\n\r\n")
        writer.close()
        await listener.stop()
    assert int(head.split()[1]) == status
    error = json.loads(body)["error"]
    assert isinstance(error, dict if b"/v1/" in sent and status == 417 else str)
    assert b"secret" not in body


def test_the_state_is_what_the_settings_ask_for() -> None:
    settings = Settings(
        model="demo",
        max_body_mib=3,
        max_texts=5,
        max_chars=70,
        body_timeout_s=1.5,
        origins=("https://a", "https://b"),
        keys=("one", "two"),
    )
    state = make_state(settings)
    assert state.limits == Limits(body_bytes=3 << 20, texts=5, characters=70, body_timeout_s=1.5)
    assert (state.model, state.keys, state.origins) == ("nllb-drawn-world", settings.keys, settings.origins)
    assert "two" not in repr(state)
