"""A captioner within the test's own process, which asks the fake endpoint."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from shared_decoders import SharedForkServer

from client.captioner.app import create_app
from client.captioner.config import Config, Limits, Models
from client.captioner.slots import Slots

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from fake_servers import FakeServers

KEY = "bv-a-key-of-somebody"
CAPTIONS, JOBS = "/v1/captions", "/v1/captions/jobs"


@dataclass
class Running:
    """A captioner that runs."""

    url: str
    folder: Path
    http: aiohttp.ClientSession

    async def ask(self, body: Any = None, *, path: str = CAPTIONS, method: str = "POST", **more: Any) -> Any:
        """The JSON of an answer that has to be one of success."""
        status, said = await self.try_to_ask(body, path=path, method=method, **more)
        assert status < 300, said
        return said

    async def try_to_ask(
        self, body: Any = None, *, path: str = CAPTIONS, method: str = "POST", key: str | None = KEY, **more: Any
    ) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        headers |= more.pop("headers", {})
        async with self.http.request(
            method, f"{self.url}{path}", data=orjson.dumps(body) if body is not None else None, headers=headers, **more
        ) as answer:
            return answer.status, orjson.loads(await answer.read())

    async def until(self, *, files: bool) -> None:
        """Wait until there are files, or none."""
        while bool(self.files) != files:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.01)

    @property
    def files(self) -> list[Path]:
        """What lies in its folder of requests and of jobs."""
        return [path for name in ("requests", "jobs") for path in (self.folder / name).rglob("*")]


@asynccontextmanager
async def captioner(
    servers: FakeServers, folder: Path, *, keys_only: bool = False, **limits: Any
) -> AsyncIterator[Running]:
    """A captioner with these limits, on a free port of loopback."""
    url = f"{servers.url}/v1"
    models = Models(
        base_url=url,
        translator=servers.url,
        image_model="llama-3.2-11b-vision",
        video_model="llava-next-video-7b",
        text_model=None,
        speech_model="whisper-large-v3-turbo",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("client.media.loaders.ForkServer", SharedForkServer)
        patch.setattr("client.media.fork_server.ForkServer", SharedForkServer)
        for name in ("BABELVIEW_API_KEY", "OPENAI_API_KEY", "BABELVIEW_TRANSLATOR_API_KEY"):
            patch.delenv(name, raising=False)
        app = create_app(Config(folder=folder, models=models, limits=Limits(**limits), keys_only=keys_only))
        runner = web.AppRunner(app, handler_cancellation=True, auto_decompress=False, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            port = runner.addresses[0][1]
            async with aiohttp.ClientSession() as http:
                yield Running(f"http://127.0.0.1:{port}", folder, http)
        finally:
            await runner.cleanup()


def encoded(path: Path) -> str:
    """A file as base64."""
    return base64.b64encode(path.read_bytes()).decode()


def events_of(text: str) -> list[dict[str, Any]]:
    """The events of a stream, which has to come to its end."""
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    assert blocks.pop() == "data: [DONE]"
    events = []
    for block in blocks:
        name, data = block.split("\n")
        event = orjson.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    return events


async def taken_place() -> tuple[Slots, AbstractAsyncContextManager[None], asyncio.Task[None]]:
    """A single place, who has it, and another one's wait for it, who must never get it."""
    slots = Slots(1)
    first = slots.one("a")
    await first.__aenter__()

    async def wait() -> None:
        async with slots.one("b"):
            pytest.fail("it has gone")

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    return slots, first, waiting
