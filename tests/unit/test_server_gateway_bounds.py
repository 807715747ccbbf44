"""What one client takes of the gateway's memory and time, which others want too."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.http_exceptions import TransferEncodingError
from aiohttp.web_protocol import RequestHandler
from gateway_rig import HELLO, PICTURE, Engine, gateway, image, picture, until

from server.errors import PreflightError, RequestError
from server.gateway.admission import Admission
from server.gateway.body import BodyReader
from server.gateway.config import Limits, Timeouts
from server.gateway.connections import check_aiohttp
from server.gateway.decoding import Decoding
from server.gateway.keyring import Keyring, hash_line
from server.gateway.request_context import HOLD

if TYPE_CHECKING:
    from pathlib import Path

ALICE, BOB = "bv-alice-0123456789abcdef", "bv-bob-0123456789abcdef"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def two_keys(tmp_path: Path) -> str:
    path = tmp_path / "keys.txt"
    path.write_text(f"{hash_line('alice', ALICE)}\n{hash_line('bob', BOB)}\n")
    return str(path)


def body(text: str = "hello") -> bytes:
    return orjson.dumps({"model": PICTURE, "messages": [{"role": "user", "content": text}]})


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = address.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def ask(http: aiohttp.ClientSession, address: str, key: str, sent: bytes) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    async with http.post(f"{address}/v1/chat/completions", data=sent, headers=headers) as answer:
        await answer.read()
        return answer.status


async def test_what_is_only_announced_takes_no_room(folder: Path, engine: Engine, two_keys: str) -> None:
    room = (2 << 20) + 60  # for less than two bodies and another one
    limits = Limits(max_body_bytes=1 << 20, max_buffered_bytes=room, key_buffered_bytes=room)
    head = POST + f"Authorization: Bearer {ALICE}\r\nContent-Length: {1 << 20}\r\n\r\n".encode()
    async with gateway(folder, keys_file=two_keys, limits=limits) as address, aiohttp.ClientSession() as http:
        held = [await connect(address) for _ in range(32)]
        for _, writer in held:
            writer.write(head + b"{")
        await asyncio.sleep(0.2)
        assert await ask(http, address, BOB, body()) == 200
        for _, writer in held:
            writer.close()


async def test_a_key_has_its_share_of_the_memory(folder: Path, engine: Engine, two_keys: str) -> None:
    engine.behave = "wait"
    limits = Limits(max_buffered_bytes=4000, key_buffered_bytes=1500)
    async with gateway(folder, keys_file=two_keys, limits=limits) as address, aiohttp.ClientSession() as http:
        first = asyncio.create_task(ask(http, address, ALICE, body("x" * 1000)))
        await until(lambda: len(engine.bodies) == 1)
        assert await ask(http, address, ALICE, body("x" * 1000)) == 429
        other = asyncio.create_task(ask(http, address, BOB, body("x" * 1000)))
        await until(lambda: len(engine.bodies) == 2)
        engine.go_on.set()
        assert await asyncio.gather(first, other) == [200, 200]
        assert await ask(http, address, ALICE, body("x" * 1000)) == 200


async def test_a_body_comes_at_some_rate(folder: Path, engine: Engine) -> None:
    timeouts = Timeouts(body_idle_s=2.0, body_bytes_per_s=1000)
    async with gateway(folder, timeouts=timeouts) as address:
        for bytes_at_once, status in ((1, b"408"), (200, b"200")):
            sent = body("x" * 1000)
            reader, writer = await connect(address)
            writer.write(POST + b"Content-Length: %d\r\n\r\n" % len(sent))
            reading = asyncio.create_task(reader.readline())
            for begin in range(0, len(sent), bytes_at_once)[:200]:
                if reading.done():
                    break
                writer.write(sent[begin : begin + bytes_at_once])
                await asyncio.sleep(0.05)
            assert reading.done() or bytes_at_once > 1  # while it still drips
            assert status in await asyncio.wait_for(reading, 60)
            writer.close()


class Request(dict[Any, Any]):
    """What is read of a request."""


async def test_a_body_that_breaks_off_is_refused() -> None:
    async def readany() -> bytes:
        raise TransferEncodingError("not-a-chunk")  # as aiohttp's parser in Python does

    request: Any = Request()
    request.headers, request.content_length, request.content = {}, None, SimpleNamespace(readany=readany)
    with Admission(Limits(), Keyring({})).enter("") as request[HOLD], pytest.raises(RequestError) as raised:
        async with BodyReader(Limits(), Timeouts()).read(request):
            pass
    assert raised.value.status == 400
    assert "not-a-chunk" not in raised.value.message


class Long(Engine):
    """Answers with megabytes."""

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        return web.Response(body=b"x" * (8 << 20), content_type="application/json")


@pytest.mark.parametrize("ever", [True, False])
async def test_an_answer_that_nobody_reads_counts_but_is_not_held_for_ever(folder: Path, ever: bool) -> None:
    timeouts = Timeouts(read_s=600.0 if ever else 0.3)
    limits = Limits(max_in_flight=2)
    async with (
        Long(folder / f"{PICTURE}.sock").running() as engine,
        gateway(folder, timeouts=timeouts, limits=limits) as address,
        aiohttp.ClientSession() as http,
    ):
        held = []
        for _ in range(2):
            host, port = address.removeprefix("http://").split(":")
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((host, int(port)))
            client.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(body()) + body())
            held.append(client)
        await until(lambda: len(engine.bodies) == 2)
        if ever:
            assert await ask(http, address, "", body()) == 429
        else:
            async with asyncio.timeout(60):
                while (status := await ask(http, address, "", body())) == 429:
                    pass
            assert status == 200  # this one reads
        for client in held:
            client.close()


def test_another_aiohttp_is_told_of() -> None:
    with pytest.raises(PreflightError, match=r"aiohttp [\d.]+ \(RequestHandler has no _request_in_progress\)"):
        check_aiohttp(RequestHandler.__new__(RequestHandler))


async def test_idle_connections_make_room_for_new_ones(folder: Path, engine: Engine) -> None:
    async with gateway(folder, limits=Limits(max_connections=4)) as address, aiohttp.ClientSession() as http:
        idle = [await connect(address) for _ in range(10)]
        assert await ask(http, address, "", body()) == 200
        assert [await idle[number][0].read() for number in range(3)] == [b""] * 3  # the oldest went
        for _, writer in idle:
            writer.close()


async def test_beyond_the_connections_at_work_there_are_no_more(folder: Path, engine: Engine) -> None:
    engine.behave = "wait"
    async with gateway(folder, limits=Limits(max_connections=2)) as address, aiohttp.ClientSession() as http:
        asking = [asyncio.create_task(ask(http, address, "", body())) for _ in range(2)]
        await until(lambda: len(engine.bodies) == 2)
        reader, writer = await connect(address)
        refused = await asyncio.wait_for(reader.read(), 60)
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"too_many_connections" in refused
        writer.close()
        engine.go_on.set()
        assert await asyncio.gather(*asking) == [200, 200]


async def test_pixels_wait_for_their_turn_and_no_request_is_refused(folder: Path, engine: Engine) -> None:
    engine.behave = "wait"
    limits = Limits(max_pixels_decoding=10_000)
    sent = orjson.dumps({"model": PICTURE, "messages": image(f"data:image/png;base64,{picture(90, 90, 'png')}")})
    async with gateway(folder, limits=limits) as address, aiohttp.ClientSession() as http:
        asking = [asyncio.create_task(ask(http, address, "", sent)) for _ in range(4)]
        await until(lambda: len(engine.bodies) == 1)
        await asyncio.sleep(0.2)
        assert len(engine.bodies) == 1
        assert await ask(http, address, "", orjson.dumps({"model": "?", "messages": HELLO})) == 404  # it is not stuck
        engine.go_on.set()
        assert await asyncio.gather(*asking) == [200] * 4


async def test_one_request_has_no_more_pixels_than_may_be_decoded(folder: Path, engine: Engine) -> None:
    async with gateway(folder, limits=Limits(max_pixels_decoding=500)) as address, aiohttp.ClientSession() as http:
        one, two = (orjson.dumps({"model": PICTURE, "messages": image(count=count)}) for count in (1, 2))
        assert await ask(http, address, "", one) == 200
        async with http.post(f"{address}/v1/chat/completions", data=two) as answer:
            assert answer.status == 400
            assert "send them smaller" in await answer.text()
    assert len(engine.bodies) == 1


async def test_a_long_answer_does_not_keep_the_room(folder: Path, engine: Engine) -> None:
    engine.behave = "wait"
    limits, timeouts = Limits(max_pixels_decoding=400), Timeouts(decoding_s=0.2)
    sent = orjson.dumps({"model": PICTURE, "messages": image()})
    async with gateway(folder, limits=limits, timeouts=timeouts) as address, aiohttp.ClientSession() as http:
        asking = [asyncio.create_task(ask(http, address, "", sent)) for _ in range(3)]
        await until(lambda: len(engine.bodies) == 3)  # although none is answered
        engine.go_on.set()
        assert await asyncio.gather(*asking) == [200] * 3


async def test_keys_take_turns_and_who_leaves_gives_back() -> None:
    decoding = Decoding(10)
    order: list[str] = []

    async def take(key: str, pixels: int = 10) -> None:
        room = await decoding.take(pixels, key)
        order.append(key)
        await asyncio.sleep(0)
        with room.held():
            pass

    first = await decoding.take(99, "alice")  # more than there is: all of it
    tasks = [asyncio.create_task(take(key)) for key in ("alice", "alice", "alice", "bob")]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.sleep(0)
    first.give_back()
    first.give_back()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert order == ["alice", "bob", "alice"]
    assert decoding.taken == 0


async def test_text_does_not_wait_behind_pictures() -> None:
    decoding = Decoding(10)
    first = await decoding.take(10, "")
    waiting = asyncio.create_task(decoding.take(10, ""))
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        (await decoding.take(0, "")).give_back()
    first.give_back()
    (await waiting).give_back()
    assert decoding.taken == 0


async def test_small_pictures_do_not_pass_a_large_one() -> None:
    decoding = Decoding(10)
    first = await decoding.take(8, "")
    large, small = (asyncio.create_task(decoding.take(pixels, "")) for pixels in (8, 1))
    await asyncio.sleep(0.01)
    assert not small.done()
    first.give_back()
    for waiting in (large, small):
        (await waiting).give_back()
    assert decoding.taken == 0


async def test_who_leaves_with_room_in_hand_gives_it_back() -> None:
    decoding = Decoding(10)
    first = await decoding.take(10, "")
    waiting = asyncio.create_task(decoding.take(10, ""))
    await asyncio.sleep(0)
    first.give_back()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert decoding.taken == 0


async def test_pages_of_allowed_origins_may_ask(folder: Path, engine: Engine, two_keys: str) -> None:
    page = "https://chat.example.org"
    async with gateway(folder, keys_file=two_keys, cors=(page,)) as address, aiohttp.ClientSession() as http:
        url = f"{address}/v1/chat/completions"
        asks = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,x-stainless-os",
        }
        async with http.options(url, headers={"Origin": page, **asks}) as answer:
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == page
            assert answer.headers["Access-Control-Allow-Headers"] == "authorization,x-stainless-os"
        async with http.options(url, headers={"Origin": "https://evil.example", **asks}) as answer:
            assert answer.status == 401
            assert "Access-Control-Allow-Origin" not in answer.headers
        for key, status in ((ALICE, 200), ("wrong", 401)):  # an error can be read as well
            headers: Any = {"Origin": page, "Authorization": f"Bearer {key}"}
            async with http.post(url, data=body(), headers=headers) as answer:
                assert answer.status == status
                assert answer.headers["Access-Control-Allow-Origin"] == page
                assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]
                assert answer.headers["Vary"] == "Origin"
    for cors, allowed in ((("*",), "*"), ((), None)):
        async with (
            gateway(folder, cors=cors) as address,
            aiohttp.ClientSession() as http,
            http.get(f"{address}/v1/models", headers={"Origin": page}) as answer,
        ):
            assert answer.headers.get("Access-Control-Allow-Origin") == allowed


async def test_without_keys_no_page_of_another_origin_asks_by_a_form(folder: Path, engine: Engine) -> None:
    """A browser asks nobody before it sends one."""
    page = "https://chat.example.org"
    asked = [(page, (), 403), ("null", (), 403), ("{address}", (), 200), (page, (page,), 200), (None, (), 200)]
    for origin, cors, status in asked:
        async with gateway(folder, cors=cors) as address, aiohttp.ClientSession() as http:
            headers = {"Origin": origin.format(address=address)} if origin else {}
            async with http.post(f"{address}/v1/chat/completions", data=body(), headers=headers) as answer:
                assert answer.status == status, (origin, cors)
    assert len(engine.bodies) == 3


async def test_what_is_hung_up_on_may_be_decoded_for_a_while() -> None:
    """A server goes on with a picture that it has begun: a storm of clients that leave would fill its memory."""
    decoding = Decoding(10)
    rooms = []

    async def hang_up(*, sent: bool) -> None:
        room = await decoding.take(4, "")
        rooms.append(room)
        with room.held():
            if sent:
                room.sent(3600)
            await asyncio.Event().wait()

    for sent, taken in ((False, 0), (True, 4)):
        asking = asyncio.create_task(hang_up(sent=sent))
        await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert decoding.taken == taken
    rooms[-1].give_back()
    assert decoding.taken == 0
    room = await decoding.take(4, "")
    with suppress(asyncio.CancelledError), room.held():
        room.sent(0.0)
        raise asyncio.CancelledError
    await until(lambda: decoding.taken == 0)
