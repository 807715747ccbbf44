"""A gateway and the engines behind it, all played by the test."""

from __future__ import annotations

import asyncio
import base64
import io
import shutil
import tempfile
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import orjson
from aiohttp import web
from PIL import Image

from server.gateway.app import create_app
from server.gateway.config import GatewayConfig, Health, Limits, Replica, ServedModel
from server.gateway.serve import make_runner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from aiohttp.abc import AbstractResolver

VIDEO, PICTURE = "video-model", "picture-model"
HELLO = [{"role": "user", "content": "hello"}]


class Engine:
    """An OpenAI server on a Unix socket, or a free port, owned by the test."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.bodies: list[bytes] = []
        self.asked = asyncio.Event()
        self.aborted = asyncio.Event()
        self.go_on = asyncio.Event()
        self.behave = "answer"
        self.headers: dict[str, str] = {}
        self.healthy = True
        self.silent = False
        self.url = ""

    @asynccontextmanager
    async def running(self, *, tcp: bool = False) -> AsyncIterator[Engine]:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_get("/health", self.health)
        self.routes(app)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0) if tcp else web.UnixSite(runner, str(self.socket))
        await site.start()
        if tcp:
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    def routes(self, app: web.Application) -> None:
        """Further paths."""

    async def health(self, _: web.Request) -> web.Response:
        if self.silent:
            await asyncio.sleep(3600)
        return web.Response(status=200 if self.healthy else 503)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.headers = dict(request.headers)
        self.bodies.append(await request.read())
        self.asked.set()
        asked = orjson.loads(self.bodies[-1])
        try:
            if self.behave == "hang":
                await asyncio.sleep(3600)
            if self.behave == "wait":
                await self.go_on.wait()
            if self.behave == "shut down":
                return web.json_response({"error": {"message": "shutting down"}}, status=503)
            if self.behave == "die":
                assert request.transport
                request.transport.abort()
            if self.behave == "fail":
                return web.json_response({"error": {"message": "engine dead"}}, status=500)
            if self.behave == "refuse":
                return web.json_response({"error": {"message": "too long", "code": 400}}, status=400)
            if asked.get("stream"):
                return await self.stream(request)
        except asyncio.CancelledError:
            self.aborted.set()
            raise
        return web.json_response(answer("object", {"message": {"role": "assistant", "content": f"{self.socket.stem}"}}))

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        await response.write(event(answer("chunk", {"delta": {"content": "one"}})))
        await self.go_on.wait()
        if self.behave == "die mid-stream":
            assert request.transport
            request.transport.abort()
            return response
        await response.write(event(answer("chunk", {"delta": {"content": " two"}})))
        await response.write(b"data: [DONE]\n\n")
        return response


def answer(kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {"id": "1", "object": kind, "created": 1, "model": "m", "choices": [{"index": 0, **choice}]}


def event(content: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(content) + b"\n\n"


async def until(happened: Callable[[], bool]) -> None:
    """Wait for what other tasks do."""
    async with asyncio.timeout(20):
        while not happened():  # noqa: ASYNC110  # whatever it is
            await asyncio.sleep(0.01)


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder for sockets: their paths have 107 characters."""
    path = Path(tempfile.mkdtemp(prefix="gw-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@asynccontextmanager
async def serving(config: GatewayConfig, resolver: AbstractResolver | None = None) -> AsyncIterator[str]:
    """A gateway; its address."""
    runner = make_runner(create_app(config, resolver=resolver), config)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def picture(width: int = 16, height: int = 16, kind: str = "jpeg") -> str:
    """A picture in base64."""
    data = io.BytesIO()
    Image.new("RGB", (width, height), (90, 40, 200)).save(data, kind)
    return base64.b64encode(data.getvalue()).decode()


def video(frames: int, url: str | None = None) -> list[dict[str, Any]]:
    """A message with a video."""
    url = url or "data:video/jpeg;base64," + ",".join([picture()] * frames)
    return [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": url}}]}]


def image(url: str | None = None, count: int = 1) -> list[dict[str, Any]]:
    """A message with pictures."""
    url = url or f"data:image/jpeg;base64,{picture()}"
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}] * count}]


def picture_model(folder: Path, *replicas: str, **options: Any) -> ServedModel:
    """A model with a socket in `folder` for each replica."""
    sockets = tuple(Replica(name=name, socket=str(folder / f"{name}.sock")) for name in replicas or (PICTURE,))
    return ServedModel(**{"name": PICTURE, "replicas": sockets, "max_model_len": 99, "max_images": 2} | options)


QUICK = Health(probe_every_s=0.05, probe_timeout_s=0.3, open_s=0.2)
"""Probes for tests that wait for them."""

PASSED_ON = {"host", "content-type", "content-length", "x-request-id", "accept"}
"""All headers that an engine may get to see."""


@asynccontextmanager
async def gateway(folder: Path, **settings: Any) -> AsyncIterator[str]:
    """A gateway for one picture model; its address."""
    async with serving(GatewayConfig(models=(picture_model(folder),), **settings)) as address:
        yield address


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
