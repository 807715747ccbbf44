"""Media that the gateway fetches: from named domains and public addresses alone, within limits."""

from __future__ import annotations

import base64
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import openai
import orjson
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from gateway_rig import LIMITS, PICTURE, Engine, image, limited, picture, picture_model, serving

from client.sources.web import is_public as client_takes
from server.gateway.addresses import PublicResolver, is_public
from server.gateway.config import GatewayConfig, Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def sdk(folder: Path) -> AsyncIterator[openai.AsyncOpenAI]:
    async with limited(folder) as client:
        yield client


@pytest.mark.parametrize(
    "address",
    """127.0.0.1 127.1.2.3 0.0.0.0 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 224.0.0.1 240.0.0.1
    255.255.255.255 198.18.0.1 ::1 :: fe80::1 fe80::1%eth0 fc00::1 fd00:ec2::254 ff02::1 ff0e::1 ::ffff:8.8.8.8
    ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 2002:7f00:1:: 2001:0:1::1 2001:db8::1
    fec0::1 5f00::1 192.88.99.1 3fff::1 100::1 2001:2::1 2620:4f:8000::1 192.31.196.1
    192.52.193.1 192.175.48.1 nonsense""".split(),  # noqa: SIM905
)
def test_these_addresses_are_not_public(address: str) -> None:
    """Neither to the gateway nor to the client, which follows redirections: each has a rule of its own."""
    assert not is_public(address)
    assert not client_takes(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111"])
def test_these_addresses_are_public(address: str) -> None:
    assert is_public(address)
    assert client_takes(address)


class Names(AbstractResolver):
    """Names as a test wants them."""

    def __init__(self, names: dict[str, list[str]]) -> None:
        self.names = names
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self.names.get(host, [])
        ]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def elsewhere() -> AsyncIterator[tuple[int, list[str]]]:
    """A web server with pictures; its port, and the paths it was asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        kind, _, rest = request.path.lstrip("/").partition("/")
        if kind == "to":
            raise web.HTTPFound(base64.urlsafe_b64decode(rest).decode())
        if kind == "loop":
            raise web.HTTPFound(str(request.url))
        if kind == "huge":
            response = web.StreamResponse(headers={"Content-Type": "image/jpeg"})
            await response.prepare(request)
            for _ in range(64):
                await response.write(b"x" * (1 << 16))
            return response
        if kind == "page":
            return web.Response(text="secret")
        return web.Response(body=base64.b64decode(picture(20, 10)), content_type="image/jpeg")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1], asked
    finally:
        await runner.cleanup()


@asynccontextmanager
async def fetching(folder: Path, names: Names, port: int) -> AsyncIterator[openai.AsyncOpenAI]:
    """A gateway that may fetch from example.org, on one port; its check of addresses is off."""
    resolver = PublicResolver(names, allows=lambda _: True)
    config = GatewayConfig(models=(picture_model(folder),), limits=LIMITS, media_domains=(f"example.org:{port}",))
    async with (
        serving(config, resolver) as address,
        openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client


async def test_a_picture_of_an_allowed_domain_is_fetched_and_sent_on_as_data(folder: Path, engine: Engine) -> None:
    names = Names({"cdn.example.org": ["127.0.0.1"]})
    async with elsewhere() as (port, _), fetching(folder, names, port) as sdk:
        far = base64.urlsafe_b64encode(f"http://cdn.example.org:{port}/b.jpg".encode()).decode()
        messages: Any = image(f"http://cdn.example.org:{port}/to/{far}")
        await sdk.chat.completions.create(model=PICTURE, messages=messages)
    part = orjson.loads(engine.bodies[0])["messages"][0]["content"][0]
    assert part["image_url"]["url"] == f"data:image/jpeg;base64,{picture(20, 10)}"


@pytest.mark.parametrize(
    ("path", "says"),
    [("huge", "larger than 1 MiB"), ("page", "it must be one of"), ("loop", "redirects")],
)
async def test_what_is_fetched_has_limits(folder: Path, engine: Engine, path: str, says: str) -> None:
    names = Names({"example.org": ["127.0.0.1"]})
    async with elsewhere() as (port, asked), fetching(folder, names, port) as sdk:
        with pytest.raises(openai.APIStatusError) as raised:
            await sdk.chat.completions.create(
                model=PICTURE,
                messages=image(f"http://example.org:{port}/{path}"),  # type: ignore[arg-type]
            )
    assert says in str(raised.value)
    assert "secret" not in str(raised.value)
    assert len(asked) <= 4
    assert not engine.bodies


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/a.jpg",
        "http://2130706433:{port}/a.jpg",
        "http://0x7f000001:{port}/a.jpg",
        "http://0177.0.0.1:{port}/a.jpg",
        "http://127.1:{port}/a.jpg",
        "http://[::1]:{port}/a.jpg",
        "http://[::ffff:127.0.0.1]:{port}/a.jpg",
        "http://[::ffff:7f00:1]:{port}/a.jpg",
        "http://localhost:{port}/a.jpg",
        "http://evil.org:{port}/a.jpg",
        "http://example.org.evil.org:{port}/a.jpg",
        "http://notexample.org:{port}/a.jpg",
        "http://example.org@127.0.0.1:{port}/a.jpg",
        "http://127.0.0.1:{port}#@example.org/a.jpg",
        "http://inner.example.org:{port}/a.jpg",
        "http://half.example.org:{port}/a.jpg",
        "http://metadata.example.org:{port}/a.jpg",
        "http://example.org:{port}/to/inner",
        "http://example.org:{port}/to/address",
        "http://example.org:{port}/to/file",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "ftp://example.org/a.jpg",
        "gopher://example.org:{port}/a.jpg",
        "//example.org:{port}/a.jpg",
        "http://",
        "http://[",
        "\nhttp://127.0.0.1:{port}/a.jpg",
    ],
)
async def test_nothing_inside_is_fetched(folder: Path, engine: Engine, url: str) -> None:
    names = Names(
        {
            "evil.org": ["127.0.0.1"],
            "inner.example.org": ["127.0.0.1"],
            "half.example.org": ["8.8.8.8", "127.0.0.1"],
            "metadata.example.org": ["169.254.169.254"],
            "localhost": ["127.0.0.1"],
        }
    )
    async with elsewhere() as (port, asked):
        targets = {
            "inner": f"http://inner.example.org:{port}/x.jpg",
            "address": f"http://127.0.0.1:{port}/x.jpg",
            "file": "file:///etc/passwd",
        }
        redirected = url.partition("/to/")[2]
        if redirected:
            names.names["example.org"] = ["127.0.0.1"]
            url = url.replace(redirected, base64.urlsafe_b64encode(targets[redirected].encode()).decode())
        first = PublicResolver(names, allows=_once()) if redirected else PublicResolver(names)
        domains = (f"example.org:{port}",)
        config = GatewayConfig(models=(picture_model(folder),), limits=LIMITS, media_domains=domains)
        async with (
            serving(config, first) as address,
            openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as sdk,
        ):
            with pytest.raises(openai.BadRequestError):
                await sdk.chat.completions.create(model=PICTURE, messages=image(url.format(port=port)))  # type: ignore[arg-type]
    assert [path for path in asked if not path.startswith("/to/")] == []
    assert not engine.bodies


async def test_no_other_port_is_asked(folder: Path, engine: Engine) -> None:
    names = Names({"example.org": ["127.0.0.1"]})
    resolver = PublicResolver(names, allows=lambda _: True)
    for domains in (("example.org",), ("example.org:1", "example.org:443")):
        config = GatewayConfig(models=(picture_model(folder),), media_domains=domains)
        async with (
            elsewhere() as (port, asked),
            serving(config, resolver) as address,
            openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as sdk,
        ):
            messages: Any = image(f"http://example.org:{port}/a.jpg")
            with pytest.raises(openai.BadRequestError, match=f"port {port} of example.org is not asked"):
                await sdk.chat.completions.create(model=PICTURE, messages=messages)
        assert asked == []
    assert names.asked == []
    with pytest.raises(ValueError, match="not a domain such as"):
        GatewayConfig(models=(), media_domains=("https://example.org/",))


async def test_what_was_fetched_counts(folder: Path, engine: Engine) -> None:
    """Two pictures of one URL: each is held in base64."""
    names = Names({"example.org": ["127.0.0.1"]})
    resolver = PublicResolver(names, allows=lambda _: True)
    size = len(picture(20, 10))
    for room, status in ((6 * size, 200), (2 * size, 429)):
        async with elsewhere() as (port, _):
            limits = Limits(max_buffered_bytes=room + 400)
            domains = (f"example.org:{port}",)
            config = GatewayConfig(models=(picture_model(folder),), limits=limits, media_domains=domains)
            messages: Any = image(f"http://example.org:{port}/a.jpg", 2)
            async with serving(config, resolver) as address, aiohttp.ClientSession() as http:
                asked = {"model": PICTURE, "messages": messages}
                async with http.post(f"{address}/v1/chat/completions", json=asked) as answer:
                    assert answer.status == status


async def test_the_machines_own_resolver_is_not_believed_either(folder: Path, engine: Engine) -> None:
    async with (
        elsewhere() as (port, asked),
        serving(GatewayConfig(models=(picture_model(folder),), media_domains=(f"localhost:{port}",))) as address,
        openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as sdk,
    ):
        messages: Any = image(f"http://localhost:{port}/a.jpg")
        with pytest.raises(openai.BadRequestError, match="could not be fetched"):
            await sdk.chat.completions.create(model=PICTURE, messages=messages)
    assert asked == []


def _once() -> Any:
    """Allows the first address whatever it is, as if it were public; the next ones are looked at."""
    seen: list[str] = []

    def allows(address: str) -> bool:
        seen.append(address)
        return len(seen) == 1 or is_public(address)

    return allows
