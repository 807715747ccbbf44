"""What an engine fails at: media that it has lost are sent anew, and a client's contradiction is called by its name."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from gateway_rig import HELLO, PICTURE, Engine, answer, event, gateway, image

if TYPE_CHECKING:
    from pathlib import Path

LOST = {"error": {"message": "Internal server error", "type": "InternalServerError", "param": None, "code": 500}}
OPENING = event(answer("chat.completion.chunk", {"delta": {"role": "assistant", "content": ""}}))
SAID = event(answer("chat.completion.chunk", {"delta": {"content": "red"}}))


class Forgetful(Engine):
    """An engine that fails at the first requests as vLLM does whose processes disagree about a picture."""

    failures = 1

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        asked = json.loads(self.bodies[-1])
        lost = len(self.bodies) <= self.failures
        if not asked.get("stream"):
            return web.json_response(LOST if lost else answer("object", {}), status=500 if lost else 200)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(OPENING)
        await asyncio.sleep(0.05)  # a piece of its own
        await response.write(f"data: {json.dumps(LOST)}\n\n".encode() if lost else SAID)
        return response


async def ask(folder: Path, engine: Engine, asked: dict[str, Any]) -> tuple[int, bytes]:
    async with (
        engine.running(),
        gateway(folder) as address,
        aiohttp.ClientSession() as http,
        http.post(f"{address}/v1/chat/completions", json={"model": PICTURE, **asked}) as said,
    ):
        return said.status, await said.read()


@pytest.mark.parametrize("stream", [False, True])
async def test_media_that_an_engine_has_lost_are_sent_again(folder: Path, stream: bool) -> None:
    engine = Forgetful(folder / f"{PICTURE}.sock")
    status, said = await ask(folder, engine, {"messages": image(), "stream": stream})
    assert status == 200
    assert said == OPENING + SAID if stream else b"error" not in said
    assert len(engine.bodies) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_once_and_not_for_ever(folder: Path, stream: bool) -> None:
    engine = Forgetful(folder / f"{PICTURE}.sock")
    engine.failures = 9
    status, said = await ask(folder, engine, {"messages": image(), "stream": stream})
    assert status == (200 if stream else 502)
    assert b"engine_error" in said
    assert len(engine.bodies) == 2


async def test_what_has_no_media_is_not_sent_again(folder: Path) -> None:
    engine = Forgetful(folder / f"{PICTURE}.sock")
    assert (await ask(folder, engine, {"messages": HELLO}))[0] == 502
    assert len(engine.bodies) == 1


@pytest.mark.parametrize(("messages", "most", "status"), [(image(), 5, 400), (image(), -1, 502), (HELLO, 5, 502)])
async def test_media_that_were_cut_off_are_the_clients_mistake(
    folder: Path, messages: Any, most: int, status: int
) -> None:
    engine = Engine(folder / f"{PICTURE}.sock")
    engine.behave = "fail"
    found, said = await ask(folder, engine, {"messages": messages, "truncate_prompt_tokens": most})
    assert found == status
    assert (b"truncate_prompt_tokens" in said) is (status == 400)


JSON = {"response_format": {"type": "json_object"}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        ({**JSON, "logit_bias": {"7": -100}, "bad_words": ["{"]}, "logit_bias"),
        ({"structured_outputs": {"choice": ["red"]}, "allowed_token_ids": [9]}, "allowed_token_ids"),
        ({"structured_outputs": {"json": {"type": "object"}}}, "structured_outputs"),
        ({"bad_words": ["{"]}, None),
    ],
)
async def test_a_structure_that_cannot_be_followed_is_the_clients_mistake(
    folder: Path, stream: bool, asked: dict[str, Any], wrong: str | None
) -> None:
    engine = Forgetful(folder / f"{PICTURE}.sock")
    status, said = await ask(folder, engine, {"messages": HELLO, "stream": stream, **asked})
    error = json.loads(said.split(b"data: ")[-1])["error"]
    assert status == (200 if stream else 502 if wrong is None else 400)
    assert error["param"] == wrong
    assert error["code"] == ("engine_error" if wrong is None else "invalid_parameter")
    assert "Internal server error" not in error["message"]
    assert wrong != "logit_bias" or "response_format and logit_bias, bad_words contradict" in error["message"]


async def test_what_an_engine_explains_itself_is_no_contradiction(folder: Path) -> None:
    engine = Engine(folder / f"{PICTURE}.sock")
    engine.behave = "fail"
    found, said = await ask(folder, engine, {"messages": HELLO, "logit_bias": {"7": -100}, **JSON})
    assert (found, b"engine dead" in said) == (502, True)
