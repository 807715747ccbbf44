"""A fuzzer reads the gateway's own description and sends what it allows, and what it does not."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from aiohttp import web
from gateway_rig import PICTURE, Engine, picture_model, serving, short_folder
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from server.gateway.config import GatewayConfig
from server.gateway.openapi import description

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest_plugins = ("schemathesis.pytest.plugin",)  # for this module alone: it takes seconds to load
EXAMPLES = 25
TIMEOUT_S = 20
"""A request that takes longer hangs."""


class Strict(Engine):
    """An engine that can be asked anything, and answers."""

    async def chat(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        return web.json_response({"choices": []})

    def routes(self, app: web.Application) -> None:
        for path in ("/v1/completions", "/v1/audio/transcriptions", "/v1/audio/translations"):
            app.router.add_post(path, self.chat)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A gateway with one engine, in a thread with an event loop of its own."""
    ready, stop, found = threading.Event(), asyncio.Event(), []
    loop = asyncio.new_event_loop()

    async def serve(folder: Path) -> None:
        sound = picture_model(folder, "sound", name="sound", task="transcribe")
        config = GatewayConfig(models=(picture_model(folder), sound))
        engines = (Strict(folder / f"{name}.sock") for name in (PICTURE, "sound"))
        async with next(engines).running(), next(engines).running(), serving(config) as url:
            found.append(url)
            ready.set()
            await stop.wait()

    with short_folder() as folder:
        thread = threading.Thread(target=lambda: loop.run_until_complete(serve(folder)))
        thread.start()
        assert ready.wait(20)
        yield found[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()


schema = schemathesis.openapi.from_dict(description())


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_nothing_makes_it_fail_or_hang(case: Any, address: str) -> None:
    body = case.body
    if isinstance(body, dict) and "model" in body and isinstance(body["model"], str):
        # What is fuzzed is behind the model's name.
        case.body = body | {"model": "sound" if "/audio/" in case.path else PICTURE}
    response = case.call(base_url=address, timeout=TIMEOUT_S)
    checks = [not_a_server_error, content_type_conformance, response_schema_conformance]
    case.validate_response(response, checks=checks)
