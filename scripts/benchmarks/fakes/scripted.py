"""A model endpoint and a translator over real HTTP whose behaviour a test decides, request by request."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from scripts.benchmarks.fakes.endpoint import MODELS, completion_document, models_document

Behaviour = Callable[[web.Request, dict[str, Any], int], Awaitable[web.StreamResponse | None]]


def free_port() -> int:
    """A TCP port that is free on loopback right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listing(owner: str, *models: str) -> web.Response:
    """The list of models."""
    return web.json_response(models_document(owner, *models))


def completion(text: str | None, finish_reason: str = "stop") -> web.Response:
    """An OpenAI chat completion of 7 tokens."""
    return web.json_response(
        completion_document(text, finish_reason, model="m", prompt_tokens=100, completion_tokens=7)
    )


def error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """A refusal, as the OpenAI API has it."""
    return web.json_response({"error": {"message": message}}, status=status, headers=headers)


async def stream(request: web.Request, text: str, *, end: bool = True) -> web.StreamResponse:
    """A chat completion of 7 tokens as server-sent events, a word each; without its `end` it is cut off."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    words = re.findall(r"\S+\s*", text)
    events: list[Any] = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in words]
    if end:
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        events.append({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 7}})
    for event in events:
        await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
    if end:
        await response.write(b"data: [DONE]\n\n")
    return response


class FakeServers:
    """A model endpoint and a translator on one port of loopback, in a thread of their own.

    `on_ask`, `on_translate`, `on_models` and `on_probe` may answer in place of it: given the request, its body and how
    many there have been, they return a response, or None to have the usual one. What was sent stands in `asked`,
    `translated` and `headers`.
    """

    def __init__(self, answer: Callable[[dict[str, Any]], str], port: int | None = None) -> None:
        """`answer` writes the usual answer to the body of a chat completion; `port`: a free one if None."""
        self._answer = answer
        # Bound as long as this lives, and never listening: nobody else gets the port while the server is stopped.
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind(("127.0.0.1", port or 0))
        self.port = int(self._holder.getsockname()[1])
        self.asked: list[dict[str, Any]] = []
        self.translated: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.in_flight = self.most_in_flight = 0
        self.on_ask: Behaviour | None = None
        self.on_translate: Behaviour | None = None
        self.on_models: Behaviour | None = None
        self.on_probe: Behaviour | None = None
        self.on_hear: Callable[[dict[str, Any], bytes, int], Awaitable[web.StreamResponse]] | None = None
        """The answer to a sound: given the fields of its form, the file and how many there have been."""
        self.heard: list[dict[str, Any]] = []
        """The fields of forms with sounds."""
        self.checked = 0
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.start()

    @property
    def url(self) -> str:
        """The base URL, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start to listen; works again after `stop`."""
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    def stop(self) -> None:
        """End as a killed process does: connections break, nobody listens any more."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)

    def close(self) -> None:
        """Stop, end the thread, and give the port up."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._holder.close()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        server = self._runner.server if self._runner else None
        return len(server.connections) if server else 0

    async def _start(self) -> None:
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/v1/chat/completions", self._ask)
        app.router.add_post("/v1/audio/transcriptions", self._hear)
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
        if body.get("stream"):
            return await stream(request, self._answer(body))
        return completion(self._answer(body))

    async def _hear(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        fields: dict[str, Any] = {name: form.getall(name) for name in form if name != "file"}
        sound = form["file"]
        self.heard.append(fields)
        if self.on_hear is None or not isinstance(sound, web.FileField):
            return error(404, "nothing here hears")
        return await self.on_hear(fields, sound.file.read(), len(self.heard))

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
        return listing("vllm", *MODELS)
