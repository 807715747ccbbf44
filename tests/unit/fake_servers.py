"""A model endpoint and a translator over real HTTP whose behaviour a test decides, request by request."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from media_files import number_of

Behaviour = Callable[[web.Request, dict[str, Any], int], Awaitable[web.StreamResponse | None]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def what_is_seen(body: dict[str, Any]) -> str:
    """The numbers of the frames or pictures of a request."""
    *media, _ = body["messages"][0]["content"]
    urls = [part[part["type"]]["url"] for part in media]
    jpegs = [base64.b64decode(frame) for url in urls for frame in url.split("base64,")[1].split(",")]
    return " ".join(str(number_of(jpeg)) for jpeg in jpegs)


def answer_to(body: dict[str, Any]) -> str:
    prompt = body["messages"][0]["content"][-1]["text"]
    if "JSON array" in prompt:
        return '```json\n["red car", "blue sky", "red car"]\n```'
    if prompt.startswith("Answer this question"):
        return "You asked: " + prompt.split(": ", 1)[1]
    return "I see " + what_is_seen(body)


class FakeServers:
    """Both services on one port, in a thread of their own."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.asked: list[dict[str, Any]] = []
        self.translated: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.in_flight = self.most_in_flight = 0
        self.on_ask: Behaviour | None = None
        self.on_translate: Behaviour | None = None
        self.on_models: Behaviour | None = None
        self.on_probe: Behaviour | None = None
        self.checked = 0
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    def stop(self) -> None:
        """As a killed process: connections break, nobody listens any more."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def connections(self) -> int:
        """How many are open."""
        server = self._runner.server if self._runner else None
        return len(server.connections) if server else 0

    async def _start(self) -> None:
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/v1/chat/completions", self._ask)
        app.router.add_post("/v1/translations", self._translate)
        app.router.add_get("/languages", self._languages)
        app.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def _stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        if body.get("messages") == []:  # the client's question whether this is an endpoint at all
            return await self._probed(request, body)
        self.asked.append(body)
        self.headers.append(dict(request.headers))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.on_ask and (response := await self.on_ask(request, body, len(self.asked))):
                return response
        finally:
            self.in_flight -= 1
        return completion(answer_to(body))

    async def _probed(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if self.on_probe and (response := await self.on_probe(request, body, 1)):
            return response
        return error(400, "messages must not be empty")

    async def _translate(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.translated.append(body)
        if self.on_translate and (response := await self.on_translate(request, body, len(self.translated))):
            return response
        rows = [
            {code: {"text": f"{code}: {text}", "sentences": []} for code in body["targets"]} for text in body["texts"]
        ]
        return web.json_response({"translations": rows})

    async def _languages(self, _: web.Request) -> web.StreamResponse:
        codes = ["eng_Latn", "spa_Latn", "fra_Latn", "hin_Deva"]
        return web.json_response([{"code": code, "name": code, "targets": codes} for code in codes])

    async def _models(self, request: web.Request) -> web.StreamResponse:
        self.checked += 1
        if self.on_models and (response := await self.on_models(request, {}, self.checked)):
            return response
        return listing("vllm", "llama-3.2-11b-vision", "llava-next-video-7b")


def listing(owner: str, *models: str) -> web.Response:
    return web.json_response({"data": [{"id": name, "object": "model", "owned_by": owner} for name in models]})


def completion(text: str | None, finish_reason: str = "stop") -> web.Response:
    """An OpenAI chat completion of 7 tokens."""
    return web.json_response(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": finish_reason,
                }
            ],
            "usage": {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107},
        }
    )


def error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status, headers=headers)
