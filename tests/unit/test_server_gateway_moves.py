"""Servers that move, as those of a cluster do: the gateway looks where they are."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import openai
import pytest
from gateway_rig import HELLO, PICTURE, QUICK, Engine, picture_model, serving, until

from server.gateway.config import GatewayConfig, Replica

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

KEY = "CLUSTER_KEY_OF_THIS_TEST"


@pytest.fixture
async def engines(folder: Path) -> AsyncIterator[list[Engine]]:
    """Two, each at a port."""
    async with AsyncExitStack() as opened:
        yield [await opened.enter_async_context(Engine(folder / name).running(tcp=True)) for name in ("a", "b")]


@asynccontextmanager
async def gateway(folder: Path, *names: str) -> AsyncIterator[openai.AsyncOpenAI]:
    """In front of replicas whose addresses stand in files; without retries."""
    replicas = tuple(Replica(name=name, address_file=str(folder / name), key_variable=KEY) for name in names)
    config = GatewayConfig(models=(picture_model(folder, replicas=replicas),), health=QUICK)
    async with serving(config) as url, openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as sdk:
        yield sdk


async def ask(sdk: openai.AsyncOpenAI) -> str:
    said = await sdk.chat.completions.create(model=PICTURE, messages=HELLO)  # type: ignore[arg-type]
    return str(said.choices[0].message.content)


async def who_answers(sdk: openai.AsyncOpenAI) -> str | int:
    """The name of the engine, or the status where there is none."""
    try:
        return await ask(sdk)
    except openai.InternalServerError as error:
        return error.status_code


async def answers(sdk: openai.AsyncOpenAI, name: str | int) -> None:
    """Ask until the engine of this name answers, or with this status."""
    async with asyncio.timeout(120):
        while await who_answers(sdk) != name:  # noqa: ASYNC110  # it is in other tasks
            await asyncio.sleep(0.02)


async def test_it_is_asked_where_it_is_now_and_with_its_key(
    folder: Path, engines: list[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "secret")
    address = folder / "m"
    async with gateway(folder, "m") as sdk:
        assert await who_answers(sdk) == 503
        for engine in engines:
            address.write_text(engine.url)
            await answers(sdk, engine.socket.stem)
            assert engine.headers["Authorization"] == "Bearer secret"
        address.unlink()
        await answers(sdk, 503)


async def test_an_answer_that_has_begun_ends_with_the_place_it_came_from(folder: Path, engines: list[Engine]) -> None:
    address = folder / "m"
    address.write_text(engines[0].url)
    async with gateway(folder, "m") as sdk:
        stream = await sdk.chat.completions.create(model=PICTURE, messages=HELLO, stream=True)  # type: ignore[call-overload]
        assert (await anext(stream)).choices[0].delta.content == "one"
        address.unlink()
        with pytest.raises(openai.APIError, match="died"):
            await anext(stream)


async def test_what_waits_where_a_server_was_goes_to_another_one(folder: Path, engines: list[Engine]) -> None:
    for name, engine in zip(("m", "n"), engines, strict=True):
        (folder / name).write_text(engine.url)
        engine.behave = "wait"
    async with gateway(folder, "m", "n") as sdk:
        asking = [asyncio.create_task(ask(sdk)) for _ in range(6)]
        await until(lambda: sum(len(engine.bodies) for engine in engines) == 6)
        (folder / "m").unlink()
        engines[1].go_on.set()
        assert set(await asyncio.gather(*asking)) == {"b"}
