"""What pictures, frames and parameters a request may carry, and what the gateway fetches itself."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import numpy as np
import openai
import orjson
import pytest
import pytest_asyncio
from gateway_rig import (
    HELLO,
    PICTURE,
    VIDEO,
    Engine,
    image,
    limited,
    picture,
    picture_model,
    short_folder,
    video,
)
from PIL import Image

from server.errors import RequestError
from server.gateway.config import Limits
from server.gateway.parameters import CHAT, COMPLETION, REFUSED, check_parameters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


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
