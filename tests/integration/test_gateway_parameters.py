"""Every parameter that the gateway lets through, in both engines, with media and without, and the request after it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
import pytest_asyncio
from gateway_rig import image, picture, video
from parameter_cases import CHAT_CASES, COMPLETION_CASES, RESPONSES_CASES, Cases

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scripts.demo.stack import Stack

PICTURES, VIDEOS = "llama-3.2-11b-vision", "llava-next-video-7b"
NEXT_S = 10.0
"""The next request takes 0.1 s; what compiles or tokenises without end stalls it for longer than this."""
MEDIA = {PICTURES: image(f"data:image/jpeg;base64,{picture(96, 64)}"), VIDEOS: video(4)}
for _messages in MEDIA.values():
    _messages[0]["content"].append({"type": "text", "text": "Describe this."})
TEXT: list[dict[str, Any]] = [{"role": "user", "content": "Describe this."}]
REFUSED = {"suffix", "thinking_token_budget"}
"""What an engine may refuse, with 400: there is no model here that can do it."""
TOOLS = {"tools", "tool_choice", "parallel_tool_calls"}
"""What a model that calls no tools refuses, with 400."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(stack: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(60)
    async with aiohttp.ClientSession(stack.endpoint.removesuffix("/v1"), timeout=timeout) as session:
        yield session


async def post(http: aiohttp.ClientSession, path: str, asked: dict[str, Any]) -> tuple[int, bytes]:
    async with http.post(path, data=orjson.dumps(asked)) as answer:
        return answer.status, await answer.read()


async def run(http: aiohttp.ClientSession, path: str, base: dict[str, Any], cases: Cases) -> list[str]:
    """Ask each case, and then something simple; what went wrong."""
    wrong = []
    refused = REFUSED | (TOOLS if base["model"] == VIDEOS else set())
    limit = "max_output_tokens" if path == "/v1/responses" else "max_tokens"
    for name, variants in cases.items():
        for asked in variants:
            status, said = await post(http, path, {limit: 4, **base, **asked})
            if status != 200 and not (status == 400 and name in refused):
                wrong.append(f"{asked}: {status} {said[:300]!r}")
            if b'data: {"error"' in said:
                wrong.append(f"{asked}: {said[:300]!r}")
            began = time.monotonic()
            status, said = await post(http, path, {limit: 1, **base})
            if status != 200 or time.monotonic() - began > NEXT_S:
                wrong.append(f"after {asked}: {status} {said[:300]!r} in {time.monotonic() - began:.1f} s")
    return wrong


@pytest.mark.parametrize("model", [PICTURES, VIDEOS])
@pytest.mark.parametrize("media", [True, False], ids=["media", "text"])
async def test_every_parameter_of_a_chat_is_served_and_the_next_request_too(
    http: aiohttp.ClientSession, model: str, media: bool
) -> None:
    base = {"model": model, "messages": MEDIA[model] if media else TEXT}
    wrong = await run(http, "/v1/chat/completions", base, CHAT_CASES)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("model", [PICTURES, VIDEOS])
async def test_every_parameter_of_a_completion_is_served_and_the_next_request_too(
    http: aiohttp.ClientSession, model: str
) -> None:
    wrong = await run(http, "/v1/completions", {"model": model, "prompt": "Describe this."}, COMPLETION_CASES)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("model", [PICTURES, VIDEOS])
async def test_every_parameter_of_a_response_is_served_and_the_next_request_too(
    http: aiohttp.ClientSession, model: str
) -> None:
    url = MEDIA[PICTURES][0]["content"][0]["image_url"]["url"]
    shown = [{"type": "input_image", "image_url": url}] if model == PICTURES else []
    asked = [{"role": "user", "content": [*shown, {"type": "input_text", "text": "Describe this."}]}]
    wrong = await run(http, "/v1/responses", {"model": model, "input": asked}, RESPONSES_CASES)
    assert not wrong, "\n".join(wrong)
