"""Clients that mean no good: what HTTP itself can carry."""

from __future__ import annotations

import asyncio
import io
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import openai
import orjson
import pytest
import pytest_asyncio
from canaries import CANARIES, POST, SECRET, raw
from gateway_rig import HELLO, PASSED_ON, PICTURE, Engine, gateway, image, short_folder

from server.gateway.config import Limits, Timeouts
from server.gateway.keyring import hash_line
from server.gateway.logs import JsonLines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refusing() -> AsyncIterator[tuple[Engine, str]]:
    """One gateway for all that it refuses, and the engine, which is to see nothing of it."""
    timeouts = Timeouts(header_s=0.5, body_idle_s=0.5)
    with short_folder() as folder:
        async with (
            Engine(folder / f"{PICTURE}.sock").running() as engine,
            gateway(folder, timeouts=timeouts) as address,
        ):
            yield engine, address


BODY = orjson.dumps({"model": PICTURE, "messages": HELLO})


@pytest.mark.parametrize(
    "sent",
    [
        POST
        + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        POST + b"Content-Length: +5\r\n\r\nhello",
        POST + b"Content-Length: 0x5\r\n\r\nhello",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        POST + b"X-A: 1\r\n Content-Length: 5\r\n\r\nhello",
        POST + b"X-\0A: 1\r\n\r\n",
        POST + b"X-A: " + b"x" * 10_000 + b"\r\n\r\n",
        POST + b"".join(b"X-%d: 1\r\n" % i for i in range(300)) + b"\r\n",
        b"POST /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/chat/completions HTTP/9.9\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_two_servers_could_read_in_two_ways_is_refused(refusing: tuple[Engine, str], sent: bytes) -> None:
    engine, address = refusing
    answer = await raw(address, sent)
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert answer.count(b"HTTP/1.") == 1
    assert not engine.bodies


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/v1/audio/transcriptions", b"/health", b"/nowhere"])
@pytest.mark.asyncio(loop_scope="module")
async def test_an_unknown_expectation_is_refused_in_our_shape(refusing: tuple[Engine, str], path: bytes) -> None:
    engine, address = refusing
    sent = POST.replace(b"/v1/chat/completions", path) + b"Expect: secret\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    head, _, body = (await raw(address, sent + BODY)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 417")
    assert b"content-type: application/json" in head.lower()
    assert orjson.loads(body)["error"]["code"] == "expectation_failed"
    assert b"secret" not in body
    assert not engine.bodies


async def test_headers_of_one_hop_and_of_others_are_not_passed_on(folder: Path, engine: Engine) -> None:
    head = POST + b"Content-Length: %d\r\nConnection: close, X-Secret\r\nTE: trailers\r\nX-Secret: 1\r\n" % len(BODY)
    head += b"Upgrade: h2c\r\nX-Forwarded-For: 1.2.3.4\r\nCookie: a=b\r\nX-Request-Id: a/b\r\n"
    async with gateway(folder) as address:
        answer = await raw(address, head + b"\r\n" + BODY)
    assert answer.startswith(b"HTTP/1.1 200")
    assert {name.lower() for name in engine.headers} <= PASSED_ON
    assert engine.headers["Content-Type"] == "application/json"
    assert len(engine.headers["X-Request-ID"]) == 32  # its own: the client's could not stand in a log


@pytest.mark.parametrize("sent", [b"", POST, POST + b"X-A: 1"])
async def test_slow_headers_are_not_waited_for(folder: Path, engine: Engine, sent: bytes) -> None:
    async with gateway(folder, timeouts=Timeouts(header_s=0.3)) as address:
        assert await raw(address, sent) == b""


async def test_headers_that_drip_are_not_waited_for(folder: Path, engine: Engine) -> None:
    async with gateway(folder, timeouts=Timeouts(header_s=0.4)) as address:
        host, port = address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        reading = asyncio.create_task(reader.read())
        writer.write(POST)
        async with asyncio.timeout(60):
            while not reading.done():
                writer.write(b"X: 1\r\n")
                await asyncio.sleep(0.05)
        with suppress(ConnectionResetError):  # what is written at the very end is answered so
            assert await reading == b""
        writer.close()


@pytest.mark.parametrize("drip", [False, True])
async def test_a_slow_body_is_408(folder: Path, engine: Engine, drip: bool) -> None:
    async with gateway(folder, timeouts=Timeouts(body_idle_s=0.3, body_s=0.6)) as address:
        host, port = address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        reading = asyncio.create_task(reader.readline())
        writer.write(POST + b"Content-Length: 1000\r\n\r\n{")
        async with asyncio.timeout(60):
            while not reading.done():
                if drip:
                    writer.write(b" ")
                await asyncio.sleep(0.05)
        assert b"408" in await reading
        writer.close()


async def test_compressed_bodies_are_not_unpacked(folder: Path, engine: Engine) -> None:
    async with gateway(folder) as address, aiohttp.ClientSession() as http:
        headers = {"Content-Encoding": "gzip"}
        assert (await http.post(f"{address}/v1/chat/completions", data=b"\x1f\x8b", headers=headers)).status == 415


async def test_too_large_is_413_whether_it_says_so_or_not(folder: Path, engine: Engine) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"x" * (1 << 15)

    async with gateway(folder, limits=Limits(max_body_bytes=1 << 20)) as address, aiohttp.ClientSession() as http:
        url = f"{address}/v1/chat/completions"
        assert (await http.post(url, data=b"x" * (2 << 20))).status == 413
        assert (await http.post(url, data=pieces())).status == 413
        with pytest.raises(openai.APIStatusError) as raised:
            await openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none").chat.completions.create(
                model=PICTURE,
                messages=image(f"data:image/jpeg;base64,{'A' * (2 << 20)}"),  # type: ignore[arg-type]
            )
    assert raised.value.status_code == 413


async def test_no_request_puts_a_key_into_a_log(
    folder: Path, engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text(hash_line("canary", SECRET))
    caplog.set_level(logging.DEBUG)
    lines = logging.StreamHandler(text := io.StringIO())
    lines.setFormatter(JsonLines())
    logging.getLogger().addHandler(lines)
    try:
        async with gateway(folder, keys_file=str(keys), timeouts=Timeouts(body_idle_s=0.3, header_s=0.3)) as address:
            parts = [sent.replace(b"SECRET", SECRET.encode()).partition(b"\r\n\r\n") for sent in CANARIES]
            answers = await asyncio.gather(*(raw(address, head + blank, rest) for head, blank, rest in parts))
            for sent, answer in zip(CANARIES, answers, strict=True):
                assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), sent
                if answer.partition(b"\r\n\r\n")[2]:
                    assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"], sent
    finally:
        logging.getLogger().removeHandler(lines)
    said = caplog.text + text.getvalue()
    assert len(caplog.records) >= len(CANARIES)
    assert SECRET not in said
    assert " 500 " not in said


ENGINE_PATHS = """
/collective_rpc /reset_prefix_cache /reset_mm_cache /sleep /wake_up /is_sleeping /server_info /load /version /ping
/invocations /tokenize /detokenize /tokenizer_info /v1/load_lora_adapter /v1/unload_lora_adapter /v1/embeddings
/v1/responses/resp_1 /v1/responses/resp_1/cancel /v1/messages /v1/rerank /v1/score
/pooling /classify /start_profile /stop_profile /pause /resume
/update_weights /scale_elastic_ep /inference/v1/generate /v1/chat/completions/render /docs /redoc /abort_requests
/v1/chat/completions// //v1/chat/completions /v1//chat/completions /V1/chat/completions /v1/chat/completions%2f
/%2e%2e/collective_rpc /v1/models/../../collective_rpc /v1/chat/completions/..%2f..%2fcollective_rpc
/v1/chat/completions;x=/collective_rpc /v1/chat/completions%00 /health/../sleep /metrics/of/../../sleep /etc/passwd
""".split()  # noqa: SIM905


@pytest.mark.parametrize("path", ENGINE_PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_other_path_of_an_engine_is_reached(folder: Path, engine: Engine, path: str, method: str) -> None:
    body = BODY if method == "POST" else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    async with gateway(folder) as address:
        answer = await raw(address, head.encode() + body)
    assert answer.split(b" ", 2)[1] in {b"404", b"405"}
    assert not engine.bodies


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..%2f..%2fsleep", "a\r\nX: 1", "\0", "x" * 10_000, 7, None, [], {}]
)
async def test_a_models_name_is_only_a_name(folder: Path, engine: Engine, name: Any) -> None:
    async with gateway(folder) as address, aiohttp.ClientSession() as http:
        answer = await http.post(f"{address}/v1/chat/completions", json={"model": name, "messages": HELLO})
        assert answer.status == 404
        assert len(await answer.read()) < 1000
        if isinstance(name, str):
            assert (await http.get(f"{address}/v1/models/{name[:100]}")).status in {400, 404}
    assert not engine.bodies
