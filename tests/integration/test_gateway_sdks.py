"""The SDKs that people use, against the real stack, and how they see refusals."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from gateway_rig import HELLO, PICTURE, Engine, image, picture, picture_model, serving, short_folder, until, video
from sdks import SDKS, Said, python_async

from server.gateway.config import GatewayConfig, Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sdks import Ask

    from scripts.demo.stack import Stack

KEY = "bv-0123456789abcdef"
PICTURES = {"model": "llama-3.2-11b-vision", "messages": image(f"data:image/jpeg;base64,{picture(96, 64)}")}
FRAMES = {"model": "llava-next-video-7b", "messages": video(8)}
for _asked in (PICTURES, FRAMES):
    _asked["messages"][0]["content"].append({"type": "text", "text": "Describe this."})  # type: ignore[index]
    _asked |= {"max_tokens": 16, "temperature": 0}


@pytest.mark.parametrize("asked", [PICTURES, FRAMES], ids=["picture", "frames"])
@pytest.mark.parametrize("ask", SDKS)
async def test_every_sdk_gets_the_same_words_plain_and_streamed(stack: Stack, ask: Ask, asked: dict[str, Any]) -> None:
    expected = await python_async(stack.endpoint, "none", asked)
    assert len(expected.text) > 3
    assert await ask(stack.endpoint, "none", asked) == expected
    streamed = await ask(stack.endpoint, "none", asked | {"stream": True})
    assert streamed.text == expected.text
    assert streamed.pieces > 1
    assert streamed.error is None


@pytest.fixture
async def refusing(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A gateway with a key, tight limits, one engine, and a model whose engine is down; its base URL."""
    monkeypatch.setenv("BABELVIEW_API_KEYS", KEY)
    with short_folder() as folder:
        models = (picture_model(folder), picture_model(folder, "gone", name="down"))
        limits = Limits(max_body_bytes=1 << 20, max_in_flight=1)
        async with (
            Engine(folder / f"{PICTURE}.sock").running() as engine,
            serving(GatewayConfig(models=models, limits=limits)) as address,
        ):
            engine.behave = "wait"
            busy = asyncio.create_task(python_async(f"{address}/v1", KEY, {"model": PICTURE, "messages": HELLO}))
            await until(lambda: len(engine.bodies) == 1)
            yield f"{address}/v1"
            engine.go_on.set()
            await busy


LARGE = [{"role": "user", "content": "x" * (2 << 20)}]


@pytest.mark.parametrize("ask", SDKS)
async def test_a_full_server_is_each_sdks_own_rate_limit_error(refusing: str, ask: Ask) -> None:
    said = await ask(refusing, KEY, {"model": PICTURE, "messages": HELLO})
    assert said == Said(error="RateLimitError", status=429, code="rate_limit_exceeded")


@pytest.fixture
async def open_again(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The same, with nothing in its way."""
    monkeypatch.setenv("BABELVIEW_API_KEYS", KEY)
    with short_folder() as folder:
        models = (picture_model(folder), picture_model(folder, "gone", name="down"))
        async with serving(GatewayConfig(models=models, limits=Limits(max_body_bytes=1 << 20))) as address:
            yield f"{address}/v1"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("key", "request_", "errors", "status", "code"),
    [
        ("wrong-0123456789", {"model": PICTURE, "messages": HELLO}, {"AuthenticationError"}, 401, "invalid_api_key"),
        (KEY, {"model": "gpt", "messages": HELLO}, {"NotFoundError"}, 404, "model_not_found"),
        (KEY, {"model": PICTURE, "messages": image(count=3)}, {"BadRequestError"}, 400, "invalid_media"),
        (KEY, {"model": PICTURE, "messages": image("http://10.0.0.1/")}, {"BadRequestError"}, 400, "invalid_media_url"),
        (KEY, {"model": PICTURE, "messages": LARGE}, {"APIStatusError", "APIError"}, 413, "request_too_large"),
        (KEY, {"model": "down", "messages": HELLO}, {"InternalServerError"}, 503, "engine_unavailable"),
    ],
    ids=["401", "404", "400", "400-url", "413", "503"],
)
@pytest.mark.parametrize("ask", SDKS)
async def test_refusals_are_each_sdks_own_exceptions(
    open_again: str,
    ask: Ask,
    key: str,
    request_: dict[str, Any],
    errors: set[str],
    status: int,
    code: str,
    stream: bool,
) -> None:
    said = await ask(open_again, key, request_ | {"stream": stream})
    assert (said.status, said.code) == (status, code)
    assert said.error in errors
