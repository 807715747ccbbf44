"""Every parameter that the gateway lets through, in all engines, with media and without, and the request after it."""

from __future__ import annotations

import asyncio
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
import pytest_asyncio
from gateway_rig import image, picture, video
from parameter_cases import CHAT_CASES, COMPLETION_CASES, RESPONSES_CASES, SOUND_CASES, Cases
from sounds import RATE, encoded, tone

from server.engines.warm_up import STAGE
from server.status import ask as ask_supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scripts.demo.stack import Stack

PICTURES, VIDEOS, SOUNDS = "llama-3.2-11b-vision", "llava-next-video-7b", "whisper-large-v3-turbo"
NEXT_S = 30.0
"""The next request takes 0.1 s; what compiles or tokenises without end stalls it for longer than this."""
MEDIA = {PICTURES: image(f"data:image/jpeg;base64,{picture(96, 64)}"), VIDEOS: video(4)}
for _messages in MEDIA.values():
    _messages[0]["content"].append({"type": "text", "text": "Describe this."})
TEXT: list[dict[str, Any]] = [{"role": "user", "content": "Describe this."}]
CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
LIMITS = {CHAT: {"max_tokens": 2}, COMPLETIONS: {"max_tokens": 2}, RESPONSES: {"max_output_tokens": 2}}


def is_refused(asked: dict[str, Any]) -> bool:
    """Whether no model here, or not this one, can do it: 400 is right then."""
    if asked.keys() & {"suffix", "thinking_token_budget"}:
        return True
    return asked["model"] == VIDEOS and "tools" in asked and asked.get("tool_choice") != "none"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(stack: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(60)
    async with aiohttp.ClientSession(stack.endpoint.removesuffix("/v1"), timeout=timeout) as session:
        yield session


async def post(http: aiohttp.ClientSession, path: str, asked: dict[str, Any]) -> tuple[int, bytes]:
    async with http.post(path, data=orjson.dumps(asked)) as answer:
        return answer.status, await answer.read()


async def run(http: aiohttp.ClientSession, path: str, bases: list[dict[str, Any]], cases: Cases) -> list[str]:
    """Ask each case with each of `bases`, at the end something simple; what went wrong.

    What a case breaks or stalls, the next one is told.
    """
    wrong: list[str] = []

    async def ask(path: str, asked: list[dict[str, Any]], expected: int, what: str) -> None:
        began = time.monotonic()
        answers = await asyncio.gather(*(post(http, path, one) for one in asked))
        took_s = time.monotonic() - began
        wrong.extend(
            f"{what}: {status} {said[:300]!r} in {took_s:.1f} s"
            for status, said in answers
            if status != expected or b'data: {"error"' in said or took_s > NEXT_S
        )

    before = "nothing"
    for asked in chain.from_iterable(cases.values()):
        expected = 400 if is_refused({**bases[0], **asked}) else 200
        await ask(path, [{**LIMITS[path], **base, **asked} for base in bases], expected, f"{asked} after {before}")
        before = str(asked)
    await ask(CHAT, [{"model": bases[0]["model"], "messages": TEXT, "max_tokens": 1}], 200, f"after {before}")
    return wrong


async def test_every_feature_was_tried_before_an_engine_was_ready(stack: Stack) -> None:
    status = ask_supervisor(int(stack.endpoint.split(":")[2].removesuffix("/v1")))
    assert status is not None
    paths = [Path(part["log"]) for part in status["parts"] if part["name"].startswith("vllm-")]
    logs = [path.read_text() for path in paths]
    assert len(logs) == 3
    for log in logs:
        assert f"{STAGE} took" in log
        assert f"WARNING {STAGE}" not in log


@pytest.mark.parametrize("model", [PICTURES, VIDEOS])
async def test_every_parameter_of_a_chat_is_served_with_media_and_without(
    http: aiohttp.ClientSession, model: str
) -> None:
    bases = [{"model": model, "messages": messages} for messages in (MEDIA[model], TEXT)]
    wrong = await run(http, CHAT, bases, CHAT_CASES)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("model", [PICTURES, VIDEOS])
async def test_every_parameter_of_a_completion_is_served(http: aiohttp.ClientSession, model: str) -> None:
    base = {"model": model, "prompt": "Describe this."}
    wrong = await run(http, COMPLETIONS, [base], COMPLETION_CASES)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("model", [PICTURES, VIDEOS])
async def test_every_parameter_of_a_response_is_served(http: aiohttp.ClientSession, model: str) -> None:
    bases: list[dict[str, Any]] = [{"model": model, "input": "Describe this."}]
    if model == PICTURES:  # a video is for chats
        content = [{"type": "input_image", "image_url": MEDIA[model][0]["content"][0]["image_url"]["url"]}]
        bases.append({"model": model, "input": [{"role": "user", "content": content}]})
    wrong = await run(http, RESPONSES, bases, RESPONSES_CASES)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/translations"])
async def test_every_parameter_of_a_sound_is_served(http: aiohttp.ClientSession, path: str) -> None:
    sound = encoded(tone(1.0, RATE))
    wrong = []
    for asked in (asked for variants in SOUND_CASES.values() for asked in variants):
        form = aiohttp.FormData({"model": SOUNDS, **{name: str(value) for name, value in asked.items()}})
        form.add_field("file", sound, filename="a.wav")
        began = time.monotonic()
        async with http.post(path, data=form) as answer:
            said = await answer.read()
            if answer.status != 200 or b'data: {"error"' in said or time.monotonic() - began > NEXT_S:
                wrong.append(f"{asked}: {answer.status} {said[:300]!r} in {time.monotonic() - began:.1f} s")
    assert not wrong, "\n".join(wrong)
