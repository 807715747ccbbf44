"""Captions over HTTP through the gateway: passed on and back piece by piece, and counted nowhere twice."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from gateway_rig import PICTURE, QUICK, Engine, gateway, image

from client.captioner import api_types as taken
from server.gateway import caption_types as told
from server.gateway.config import Limits
from server.gateway.openapi import description

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path


KEY = "alices-own-key-of-24-chars"


class Captioner(Engine):
    """A captioner, played by the test."""

    def __init__(self, socket: Path) -> None:
        super().__init__(socket)
        self.requests: list[tuple[str, str, Mapping[str, str]]] = []
        self.transports: list[asyncio.Transport] = []
        self.got = b""
        self.first = asyncio.Event()
        self.go_on = asyncio.Event()
        self.gone = asyncio.Event()

    def routes(self, app: web.Application) -> None:
        app.router.add_route("*", "/v1/captions{rest:.*}", self.captions)

    async def captions(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, request.headers.copy()))
        assert request.transport is not None
        self.transports.append(request.transport)
        if request.headers.get("Content-Type") == "text/refused":
            return web.json_response({"error": {"message": "too large"}}, status=413, headers={"Retry-After": "7"})
        try:
            async for piece in request.content.iter_any():
                self.got += piece
                self.first.set()
            if request.headers.get("Content-Type") == "text/half":
                half = web.StreamResponse(headers={"Content-Length": "8", "Content-Type": "application/json"})
                await half.prepare(request)
                await half.write(b"half")
                await self.go_on.wait()
            if request.headers.get("Accept") != "text/event-stream":
                return web.json_response({"records": []}, headers={"Location": "/v1/captions/jobs/job-1"})
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write(b"event: progress\n\n")
            await self.go_on.wait()
            await response.write(b"event: done\n\n")
        except asyncio.CancelledError:
            self.gone.set()
            raise
        return response


@asynccontextmanager
async def both(folder: Path, **settings: Any) -> AsyncIterator[tuple[Captioner, str, aiohttp.ClientSession]]:
    """A captioner, the gateway before it, and a client with a key."""
    socket = folder / "captioner.sock"
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        Captioner(socket).running() as captioner,
        gateway(folder, captioner=str(socket), **settings) as url,
        aiohttp.ClientSession(headers=headers) as http,
    ):
        assert isinstance(captioner, Captioner)
        yield captioner, url, http


async def test_a_body_goes_on_while_it_comes_and_the_answer_comes_back_so(folder: Path) -> None:
    async with both(folder) as (captioner, url, http):
        more = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield b"first,"
            await more.wait()
            yield b"second"

        headers = {"Content-Type": "multipart/form-data; boundary=x", "Accept": "text/event-stream", "X-Other": "1"}
        asking = asyncio.create_task(http.post(f"{url}/v1/captions", data=body(), headers=headers))
        await asyncio.wait_for(captioner.first.wait(), 60)
        assert captioner.got == b"first,"
        more.set()
        async with await asking as answer:
            assert answer.content_type == "text/event-stream"
            assert await answer.content.readany() == b"event: progress\n\n"
            captioner.go_on.set()
            assert await answer.content.read() == b"event: done\n\n"
            assert answer.headers["X-Request-Id"]
        assert captioner.got == b"first,second"
        ((_, _, sent),) = captioner.requests
        assert sent["Authorization"] == f"Bearer {KEY}"
        assert sent["Content-Type"] == headers["Content-Type"]
        assert sent["X-Request-Id"]
        assert "X-Other" not in sent


async def test_jobs_pass_with_all_their_methods(folder: Path) -> None:
    async with both(folder) as (captioner, url, http):
        for method, path in (
            ("POST", "/v1/captions/jobs"),
            ("GET", "/v1/captions/jobs/"),
            ("GET", "/v1/captions/jobs/job-1"),
            ("DELETE", "/v1/captions/jobs/job-1"),
            ("GET", "/v1/captions/jobs/job-1/events"),
        ):
            async with http.request(method, url + path) as answer:
                assert answer.status == 200
                assert answer.headers["Location"] == "/v1/captions/jobs/job-1"
            assert captioner.requests[-1][:2] == (method, path.rstrip("/"))
        async with http.put(f"{url}/v1/captions") as answer:
            assert answer.status == 405
            assert (await answer.json())["error"]["type"] == "invalid_request_error"
        async with http.get(f"{url}/metrics") as page:
            assert 'babelview_gateway_requests_total{model="captioner",replica="captioner",status="200"} 5.0' in (
                await page.text()
            )


async def test_a_key_is_needed_and_one_that_has_all_it_may_in_flight_can_be_asked_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the captioner asks with the same key would else wait for what waits for it."""
    monkeypatch.setenv("BABELVIEW_API_KEYS", f"alice={KEY}")
    async with (
        Engine(folder / f"{PICTURE}.sock").running(),
        both(folder, limits=Limits(max_in_flight=1, key_in_flight=1, key_per_minute=1)) as (captioner, url, http),
    ):
        events = {"Accept": "text/event-stream"}
        async with http.post(f"{url}/v1/captions", data=b"x", headers=events) as waiting:
            await waiting.content.readany()
            asked = {"model": PICTURE, "messages": image()}
            async with http.post(f"{url}/v1/chat/completions", json=asked) as answer:
                assert answer.status == 200, await answer.text()
            captioner.go_on.set()
            await waiting.read()
        for headers in ({"Authorization": ""}, {"Authorization": "Bearer not-a-key-that-is-known"}):
            async with http.post(f"{url}/v1/captions", data=b"x", headers=headers) as answer:
                assert answer.status == 401
        assert len(captioner.requests) == 1


async def test_who_goes_away_is_gone_for_the_captioner_too(folder: Path) -> None:
    async with both(folder) as (captioner, url, http):
        answer = await http.post(f"{url}/v1/captions", data=b"x", headers={"Accept": "text/event-stream"})
        await answer.content.readany()
        answer.close()
        await asyncio.wait_for(captioner.gone.wait(), 60)


async def test_a_captioner_that_dies_while_it_answers_is_told_of(folder: Path) -> None:
    events = {"Accept": "text/event-stream"}
    async with both(folder) as (captioner, url, http):
        for sent, begun in ((events, b"event: progress\n\n"), ({"Content-Type": "text/half"}, b"half")):
            async with http.post(f"{url}/v1/captions", data=b"x", headers=sent) as answer:
                assert await answer.content.readany() == begun
                for transport in captioner.transports:
                    transport.abort()
                if sent is not events:
                    with pytest.raises(aiohttp.ClientError):
                        await answer.read()
                    continue
                name, data = (await answer.text()).strip().split("\n")
                assert name == "event: error"
                told = json.loads(data.removeprefix("data: "))
                assert (told["type"], told["error"]["code"]) == ("error", "captioner_died")
        async with http.get(f"{url}/metrics") as page:
            assert 'refused_total{code="captioner_died"} 2.0' in await page.text()


async def test_a_refusal_before_the_body_has_come_is_passed_back(folder: Path) -> None:
    async with both(folder) as (_, url, _):
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = (
            "POST /v1/captions HTTP/1.1\r\nHost: x\r\nContent-Type: text/refused\r\nContent-Length: 4000000000\r\n\r\n"
        )
        writer.write(head.encode() + b"a little")
        answer = await asyncio.wait_for(reader.readuntil(b"too large"), 60)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"Retry-After: 7\r\n" in answer
        writer.close()


async def test_without_a_captioner_with_one_that_is_away_and_in_a_circle(folder: Path) -> None:
    async with aiohttp.ClientSession() as http:

        async def post(url: str, **headers: str) -> tuple[int, str]:
            async with http.post(f"{url}/v1/captions", data=b"x", headers=headers) as answer:
                return answer.status, (await answer.json())["error"]["code"]

        async with gateway(folder) as url:
            assert await post(url) == (404, "not_found")
        async with gateway(folder, captioner=str(folder / "none.sock"), health=QUICK) as url:
            assert await post(url) == (503, "engine_unavailable")
            async with http.get(f"{url}/health") as answer:
                assert (await answer.json())["parts"]["captioner"] == "down"
            async with Captioner(folder / "none.sock").running():
                parts: dict[str, str] = {}

                async def look() -> None:
                    async with http.get(f"{url}/health") as answer:
                        parts.update((await answer.json())["parts"])

                while parts.get("captioner") != "ok":
                    await look()
        async with gateway(folder) as second, gateway(folder, captioner=second) as first:
            assert await post(first) == (404, "not_found")
            assert await post(first, **{"X-Babelview-Captions": "1"}) == (508, "loop_detected")


def test_the_document_tells_of_all_that_the_captioner_takes() -> None:
    schemas = description()["components"]["schemas"]
    assert set(schemas["CaptionRequest"]["properties"]) == set(taken.CaptionRequest.__struct_fields__)
    assert set(schemas["CaptionMedia"]["properties"]) == set(taken.Media.__struct_fields__)
    assert set(schemas["CaptionForm"]["properties"]) - {"file", "frames"} == {*taken.OPTIONS, "stream"}
    assert told.Captions.__struct_fields__[:2] == ("id", "created")
