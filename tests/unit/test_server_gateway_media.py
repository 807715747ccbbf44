"""What pictures, frames and parameters a request may carry, and what the gateway fetches itself."""

from __future__ import annotations

import base64
import io
import socket
import struct
import zlib
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import numpy as np
import openai
import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from gateway_rig import HELLO, PICTURE, VIDEO, Engine, image, picture, picture_model, serving, short_folder, video
from PIL import Image

from server.errors import RequestError
from server.gateway.addresses import PublicResolver, is_public
from server.gateway.config import GatewayConfig, Limits
from server.gateway.parameters import CHAT, COMPLETION, REFUSED, check_parameters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIMITS = Limits(max_picture_pixels=10_000, max_frame_pixels=10_000, max_media_bytes=1 << 20, max_body_bytes=4 << 20)


@asynccontextmanager
async def limited(folder: Path) -> AsyncIterator[openai.AsyncOpenAI]:
    """A gateway with tight limits, for a picture model and a video model."""
    models = (picture_model(folder), picture_model(folder, "v", name=VIDEO, max_images=0, max_frames=8))
    async with (
        serving(GatewayConfig(models=models, limits=LIMITS)) as address,
        openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client


@pytest.fixture
async def sdk(folder: Path) -> AsyncIterator[openai.AsyncOpenAI]:
    async with limited(folder) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refusing() -> AsyncIterator[tuple[Engine, openai.AsyncOpenAI]]:
    """One gateway for all that it refuses, and the engine, which is to see nothing of it."""
    with short_folder() as folder:
        async with Engine(folder / f"{PICTURE}.sock").running() as engine, limited(folder) as client:
            yield engine, client


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif"])
async def test_pictures_of_these_kinds_are_taken(engine: Engine, sdk: openai.AsyncOpenAI, kind: str) -> None:
    messages: Any = image(f"data:image/{kind};base64,{picture(100, 100, kind)}")
    await sdk.chat.completions.create(model=PICTURE, messages=messages)
    assert len(engine.bodies) == 1


def png_bomb() -> str:
    """A header of 60,000 x 60,000 pixels, in 60 bytes."""
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60_000).to_bytes(4) * 2 + b"\x08\x02\0\0\0" + b"\0" * 4
    return base64.b64encode(header + b"\0\0\0\0IDAT" + b"\0" * 20).decode()


@pytest.mark.parametrize(
    ("model", "messages", "says"),
    [
        (PICTURE, image(f"data:image/jpeg;base64,{picture(101, 100)}"), "101x100"),
        (PICTURE, image(f"data:image/png;base64,{png_bomb()}"), "image_url"),
        (PICTURE, image(f"data:image/jpeg;base64,{png_bomb()}"), "image_url"),
        (PICTURE, image(f"data:image/bmp;base64,{picture(kind='bmp')}"), "JPEG, PNG, WebP or GIF"),
        (PICTURE, image(f"data:image/png;base64,{picture(kind='tiff')}"), "no picture"),
        (PICTURE, image("data:image/png;base64,%%%%"), "no picture"),
        (PICTURE, image("data:image/svg+xml,<svg/>"), "JPEG, PNG, WebP or GIF"),
        (PICTURE, [{"role": "user", "content": [{"type": "image_embeds", "image_embeds": "AAAA"}]}], "image_embeds"),
        (PICTURE, [{"role": "user", "content": [{"type": "image_url", "image_url": None, "uuid": "x"}]}], "uuid"),
        (PICTURE, [{"role": "user", "content": [{"type": ["text"], "text": "x"}]}], "a part of a message"),
        (PICTURE, [{"role": "user", "content": [{"type": "text", "text": "x", "image_url": "y"}]}], "a part of a"),
        (PICTURE, [{"role": "user", "content": [7]}], "must be an object"),
        (PICTURE, [{"role": "user", "content": {"url": "x"}}], "content must be text"),
        (PICTURE, ["hello"], "must be an object"),
        (PICTURE, [], "at least one message"),
        (VIDEO, video(9), "9 frames"),
        (VIDEO, video(1) * 2, "2 videos"),
        (VIDEO, video(0, f"data:video/jpeg;base64,{picture(101, 100)}"), "101x100"),
        (VIDEO, video(0, f"data:video/jpeg;base64,{picture()},{picture(17)}"), "different sizes"),
        (VIDEO, video(0, f"data:video/jpeg;base64,{picture()},{picture(kind='png')}"), "frame 2 is no JPEG"),
        (VIDEO, video(0, f"data:video/jpeg;base64,{picture()},"), "frame 2 is no JPEG"),
        (VIDEO, video(0, f"data:video/jpeg;base64,{picture(5000, 1)}"), "5000x1 are too long and narrow: crop or pad"),
        (VIDEO, image(), "Frames go in one part"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_other_media_are_refused_before_an_engine_sees_them(
    refusing: tuple[Engine, openai.AsyncOpenAI], model: str, messages: Any, says: str
) -> None:
    engine, sdk = refusing
    with pytest.raises(openai.BadRequestError) as raised:
        await sdk.chat.completions.create(model=model, messages=messages)
    assert says in str(raised.value)
    assert not engine.bodies


@pytest.mark.asyncio(loop_scope="module")
async def test_a_picture_of_too_many_bytes_is_413(refusing: tuple[Engine, openai.AsyncOpenAI]) -> None:
    engine, sdk = refusing
    url = f"data:image/jpeg;base64,{picture()}{'A' * (2 << 20)}"
    with pytest.raises(openai.APIStatusError, match="1 MiB") as raised:
        await sdk.chat.completions.create(model=PICTURE, messages=image(url))  # type: ignore[arg-type]
    assert raised.value.status_code == 413
    assert not engine.bodies


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


NOTES = {
    "text": png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3 << 20))),
    "xmp": png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(3 << 20))),
    "profile": png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2 << 20))),
    "no profile": png_chunk(b"iCCP", b"a\0\0nothing"),
    "checksum": png_chunk(b"tEXt", b"Comment\0hello")[:-4] + b"\0\0\0\0",
    "none": b"",
    "small": png_chunk(b"tEXt", b"Comment\0hello"),
}


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("notes", NOTES)
async def test_optional_data_of_a_png_do_not_refuse_it(
    engine: Engine, sdk: openai.AsyncOpenAI, notes: str, where: str
) -> None:
    """Neither here nor in the engine, which reads it by Pillow as it is."""
    data = base64.b64decode(picture(100, 100, "png"))
    place = 33 if where == "before" else len(data) - 12
    url = f"data:image/png;base64,{base64.b64encode(data[:place] + NOTES[notes] + data[place:]).decode()}"
    await sdk.chat.completions.create(model=PICTURE, messages=image(url))  # type: ignore[arg-type]
    (sent,) = [part for part in orjson.loads(engine.bodies[0])["messages"][0]["content"] if part["type"] == "image_url"]
    assert (sent["image_url"]["url"] == url) is (notes in ("none", "small"))
    with Image.open(io.BytesIO(base64.b64decode(sent["image_url"]["url"].partition(",")[2]))) as read:
        read.load()
        assert np.array_equal(read, Image.open(io.BytesIO(data)))


def many_scans(count: int, thumbnails: int = 0) -> str:
    """A progressive JPEG whose last scan comes `count` times more, behind as many bytes that look like one."""
    drawn = io.BytesIO()
    Image.new("L", (64, 64)).save(drawn, "JPEG", progressive=True)
    data = drawn.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    comment = b"\xff\xfe" + (2 + 2 * thumbnails).to_bytes(2) + b"\xff\xda" * thumbnails
    return base64.b64encode(data[:2] + comment + data[2:-2] + last * count + data[-2:]).decode()


@pytest.mark.parametrize("form", ["data:image/jpeg;base64,{}", "data:video/jpeg;base64,{}"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_jpeg_that_is_decoded_for_minutes_is_refused(
    refusing: tuple[Engine, openai.AsyncOpenAI], form: str
) -> None:
    """Each scan goes over all pixels, and has twenty bytes."""
    _, sdk = refusing
    url = form.format(many_scans(200))
    model, messages = (VIDEO, video(0, url)) if "video" in form else (PICTURE, image(url))
    with pytest.raises(openai.BadRequestError, match="JPEG of more than 100 scans: save it again"):
        await sdk.chat.completions.create(model=model, messages=messages)  # type: ignore[arg-type]


async def test_what_looks_like_a_scan_in_a_thumbnail_is_none(engine: Engine, sdk: openai.AsyncOpenAI) -> None:
    messages: Any = image(f"data:image/jpeg;base64,{many_scans(20, thumbnails=200)}")
    await sdk.chat.completions.create(model=PICTURE, messages=messages)
    assert len(engine.bodies) == 1


@pytest.mark.parametrize("metadata", [100, 20_000])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_jpegs_size_is_found_behind_its_metadata(
    refusing: tuple[Engine, openai.AsyncOpenAI], metadata: int
) -> None:
    _, sdk = refusing
    data = base64.b64decode(picture(100, 101))
    comment = b"\xff\xfe" + (metadata + 2).to_bytes(2) + b"x" * metadata
    url = f"data:image/jpeg;base64,{base64.b64encode(data[:2] + comment + data[2:]).decode()}"
    with pytest.raises(openai.BadRequestError, match="100x101"):
        await sdk.chat.completions.create(model=PICTURE, messages=image(url))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        *(({name: {"x": 1}}, name) for name in REFUSED),
        ({"guided_regex": "a*"}, "send response_format"),
        ({"n": 9}, "n must be"),
        ({"n": True}, "n must be"),
        ({"best_of": 100}, "best_of must be"),
        ({"max_tokens": 100}, "max_tokens must be a whole number from 0 to 99"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"top_logprobs": 100_000}, "top_logprobs"),
        ({"prompt_logprobs": -1}, "prompt_logprobs"),
        ({"priority": -5}, "priority"),
        ({"stop": ["x"] * 17}, "stop has 17"),
        ({"logit_bias": {str(i): 1 for i in range(2000)}}, "logit_bias has 2000"),
        ({"stream": "yes"}, "stream must be"),
        ({"structured_outputs": {"regex": "(a*)*b"}}, "regex is not taken"),
        ({"structured_outputs": {"grammar": "root ::= root"}}, "grammar is not taken"),
        ({"response_format": {"type": "structural_tag"}}, "its type is"),
        ({"response_format": {"type": ["text"]}}, "its type is"),
        ({"response_format": {"type": "json_schema", "s": {"maxItems": 10**9}}}, "maxItems"),
        ({"response_format": {"type": "json_schema", "s": {"pattern": "a{9999}"}}}, "pattern"),
        ({"tools": [{"x": "y" * 70_000}]}, "larger than 64 KiB"),
    ],
)
def test_parameters_that_could_hurt_others_are_refused(parameters: dict[str, Any], says: str) -> None:
    model = picture_model(Path())
    with pytest.raises(RequestError) as raised:  # its body is what is read
        check_parameters({"model": PICTURE, "messages": HELLO, **parameters}, CHAT, model, Limits())
    assert raised.value.status in {400, 413}
    assert says in raised.value.message


def test_what_the_sdk_can_send_is_known() -> None:
    from openai.types import completion_create_params as completion  # noqa: PLC0415
    from openai.types.chat import completion_create_params as chat  # noqa: PLC0415

    asked = chat.CompletionCreateParamsNonStreaming.__annotations__ | chat.CompletionCreateParamsBase.__annotations__
    assert asked.keys() <= CHAT | {"functions", "function_call"}  # of the time before tools
    assert completion.CompletionCreateParamsBase.__annotations__.keys() <= COMPLETION
    fine = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"maxItems": 20}}}}
    check_parameters(fine | {"logprobs": True, "n": 2, "max_tokens": 9}, CHAT, picture_model(Path()), Limits())


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"model":"' + PICTURE.encode() + b'","messages":' + b"[" * 900 + b"]" * 900 + b"}", "deeper than 64"),
        (b"[" * 3000 + b"]" * 3000, "JSON"),
        (b'{"a":[' + b"[]," * 600_000 + b"1]}", "more than 500000 values"),
        (b'{"a":[' + b"{}," * 600_000 + b"1]}", "more than 500000 values"),
        (b'{"a":{' + b",".join(b'"k%d":1' % number for number in range(30_000)) + b"}}", "more than 20000 keys"),
        (b'{"a":"\\ud800"}', "not JSON"),
        ("{}".encode("utf-16"), "not JSON"),
        (b'{"a":NaN}', "not JSON"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_json_bombs_are_refused(refusing: tuple[Engine, openai.AsyncOpenAI], body: bytes, says: str) -> None:
    _, sdk = refusing
    async with aiohttp.ClientSession() as session, session.post(f"{sdk.base_url}chat/completions", data=body) as answer:
        assert answer.status == 400
        assert says in (await answer.json())["error"]["message"]


@pytest.mark.parametrize(
    "address",
    """127.0.0.1 127.1.2.3 0.0.0.0 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 224.0.0.1 240.0.0.1
    255.255.255.255 198.18.0.1 ::1 :: fe80::1 fe80::1%eth0 fc00::1 fd00:ec2::254 ff02::1 ff0e::1 ::ffff:8.8.8.8
    ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 2002:7f00:1:: 2001:0:1::1 2001:db8::1
    fec0::1 5f00::1 192.88.99.1 3fff::1 100::1 2001:2::1 2620:4f:8000::1 nonsense""".split(),  # noqa: SIM905
)
def test_these_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111"])
def test_these_addresses_are_public(address: str) -> None:
    assert is_public(address)


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
