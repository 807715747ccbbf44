"""Nothing is let into an engine before each feature has run in it."""

from __future__ import annotations

import asyncio
import io
import json
from types import SimpleNamespace
from typing import Any

import aiohttp
import av
import pytest
from aiohttp.base_protocol import BaseProtocol

from server.engines.warm_up import CHAT, COMPLETION, FEATURES, SPEECH_FEATURES, TRANSCRIPTION, TRANSLATION, WAV, WarmUp


class App:
    """vLLM's application, played: notes what it is asked, and answers when it is let."""

    def __init__(
        self, *, status: int = 200, images: int = 0, videos: int = 0, sounds: int = 0, api_key: list[str] | None = None
    ) -> None:
        limits = {"image": images, "video": videos, "audio": sounds}
        args = SimpleNamespace(served_model_name=["m", "alias"], limit_mm_per_prompt=limits, api_key=api_key)
        self.state = SimpleNamespace(args=args)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.keys: set[bytes | None] = set()
        self.go_on = asyncio.Event()
        self._status = status

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] in (CHAT, COMPLETION, TRANSCRIPTION, TRANSLATION):
            self.keys.add(dict(scope["headers"]).get(b"authorization"))
            self.asked.append((scope["path"], await asked(scope, receive)))
            with pytest.raises(TimeoutError):  # nobody goes away
                await asyncio.wait_for(receive(), 0.0001)
            await self.go_on.wait()
            if self._status == 0:
                raise RuntimeError("the core has died")
        await send({"type": "http.response.start", "status": self._status})
        await send({"type": "http.response.body", "body": b"{}"})


async def asked(scope: Any, receive: Any) -> dict[str, Any]:
    """What a body of JSON, or a form, holds."""
    body = (await receive())["body"]
    content_type = dict(scope["headers"])[b"content-type"].decode()
    if content_type == "application/json":
        read: dict[str, Any] = json.loads(body)
        return read
    content = aiohttp.StreamReader(BaseProtocol(asyncio.get_running_loop()), len(body))
    content.feed_data(body)
    content.feed_eof()
    return {
        str(part.name): bytes(await part.read())
        async for part in aiohttp.MultipartReader({"Content-Type": content_type}, content)
        if isinstance(part, aiohttp.BodyPartReader)
    }


async def get(middleware: WarmUp, app: App, path: str = "/health") -> int:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    await middleware({"type": "http", "path": path, "app": app, "headers": []}, receive, send)
    return int(sent[0]["status"])


async def until_warm(middleware: WarmUp, app: App) -> int:
    async with asyncio.timeout(60):
        while (status := await get(middleware, app)) == 503:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)
    return status


async def test_everything_is_503_until_each_feature_has_run_alone_and_with_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = App(images=1)
    middleware = WarmUp(app)
    assert await get(middleware, app) == 503
    assert await get(middleware, app, CHAT) == 503
    await asyncio.sleep(0.05)
    assert len(app.asked) == 1  # one after the other
    app.go_on.set()
    assert await until_warm(middleware, app) == 200
    assert len(app.asked) == 2 * (len(FEATURES) + 1)
    assert all(asked["model"] == "m" for _, asked in app.asked)
    assert any("logprobs" in asked for _, asked in app.asked)
    assert any(isinstance(asked.get("messages", [{}])[0].get("content"), list) for _, asked in app.asked)
    assert app.keys == {None}
    assert f"Warming up: {len(FEATURES) + 1} features" in capsys.readouterr().out


async def test_a_model_that_transcribes_is_asked_for_transcriptions() -> None:
    """The first one that tells times would make everybody else wait for a minute."""
    app = App(sounds=1)
    app.go_on.set()
    assert await until_warm(WarmUp(app), app) == 200
    assert len(app.asked) == 2 * len(SPEECH_FEATURES)
    assert {path for path, _ in app.asked} == {TRANSCRIPTION, TRANSLATION}
    assert all((asked["model"], asked["file"]) == (b"m", WAV) for _, asked in app.asked)
    assert {asked.get("response_format") for _, asked in app.asked} == {None, b"verbose_json"}
    with av.open(io.BytesIO(WAV)) as file:
        assert [len(frame.to_ndarray()[0]) for frame in file.decode(audio=0)] != []
        assert (file.streams.audio[0].rate, file.streams.audio[0].format.name) == (16_000, "flt")


async def test_where_steps_take_long_most_are_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.engines.warm_up.ALONE_S", 0.01)
    app = App()
    middleware = WarmUp(app)
    await get(middleware, app)
    await asyncio.sleep(0.05)
    app.go_on.set()
    await until_warm(middleware, app)
    assert len(app.asked) == 1 + len(FEATURES)


@pytest.mark.parametrize("status", [0, 500])
async def test_a_feature_that_fails_is_told_and_does_not_keep_the_others_from_being_served(
    status: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "not this one")
    app = App(status=status, videos=1, api_key=["secret"])
    app.go_on.set()
    middleware = WarmUp(app)
    assert await until_warm(middleware, app) == status
    assert "WARNING Warming up: logprobs was answered with 500" in capsys.readouterr().out
    assert app.keys == {b"Bearer secret"}


async def test_a_warm_up_that_cannot_be_made_keeps_nobody_waiting(caplog: pytest.LogCaptureFixture) -> None:
    """As with a vLLM that keeps its arguments elsewhere."""
    app = App()
    del app.state.args
    assert await until_warm(WarmUp(app), app) == 200
    assert "the engine serves without" in caplog.text
