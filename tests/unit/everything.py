"""A gateway for a model that calls tools and one that does not, and their engine, which is told what to refuse."""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from gateway_rig import PICTURE, VIDEO, Engine, picture, picture_model, serving, short_folder

from server.gateway.config import GatewayConfig, Replica, ServedModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RAW = base64.b64decode(picture(40, 30))
RAW += bytes((1 - len(RAW)) % 3)  # so that its base64 has padding


FLAT: dict[str, Any] = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


class Everything(Engine):
    """An engine that answers at all paths, and refuses in vLLM's way what a test puts into `error`."""

    error: tuple[int, Any] | None = None

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        if self.error is not None:
            status, said = self.error
            return web.json_response({"error": said}, status=status)
        return web.json_response({"path": request.path})

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/responses", self.chat)
        app.router.add_post("/v1/completions", self.chat)


@asynccontextmanager
async def running_everything() -> AsyncIterator[tuple[Everything, str]]:
    """One gateway: a model for pictures that calls tools, and one for videos that does not; one engine for both."""
    with short_folder() as folder:
        one = picture_model(folder, max_model_len=2048, tools=True)
        replica = Replica(name="v", socket=str(folder / f"{PICTURE}.sock"))
        other = ServedModel(name=VIDEO, replicas=(replica,), max_model_len=2048, max_frames=4)
        async with (
            Everything(folder / f"{PICTURE}.sock").running() as engine,
            serving(GatewayConfig(models=(one, other))) as address,
        ):
            assert isinstance(engine, Everything)
            yield engine, address


async def ask(address: str, asked: dict[str, Any], path: str = "/v1/chat/completions") -> tuple[int, Any]:
    async with aiohttp.ClientSession() as http, http.post(address + path, json={"model": PICTURE} | asked) as answer:
        return answer.status, await answer.json()


def user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]
