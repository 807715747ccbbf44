"""Two models that take turns on one GPU, played by engines that notice when both are awake."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import openai
import pytest
from aiohttp import web
from gateway_rig import HELLO, Engine, picture_model, serving, until

from server.gateway.config import GatewayConfig, ModelSwap, Replica

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class SharedGpu:
    """The memory of a GPU: room for one model."""

    def __init__(self) -> None:
        self.awake: set[str] = set()
        self.log: list[str] = []


class Sleeper(Engine):
    """An engine in vLLM's sleep mode, awake at first."""

    def __init__(self, name: str, folder: Path, gpu: SharedGpu) -> None:
        super().__init__(folder / f"{name}.sock")
        self.name = name
        self.gpu = gpu
        self.running_now = 0
        self.can_sleep = self.can_wake = True
        gpu.awake.add(name)

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/sleep", self.sleep)
        app.router.add_post("/wake_up", self.wake_up)

    async def sleep(self, request: web.Request) -> web.Response:
        assert request.query["level"] == "1"
        self.gpu.log.append(f"sleep {self.name}, {self.running_now} running")
        if not self.can_sleep:
            return web.Response(status=500)
        self.gpu.awake.discard(self.name)
        return web.Response()

    async def wake_up(self, _: web.Request) -> web.Response:
        self.gpu.log.append(f"wake {self.name}, beside {sorted(self.gpu.awake - {self.name})}")
        if not self.can_wake:
            return web.Response(status=500)
        self.gpu.awake.add(self.name)
        return web.Response()

    async def chat(self, request: web.Request) -> web.StreamResponse:
        if self.gpu.awake != {self.name}:
            return web.json_response({"error": {"message": "asked while not alone awake"}}, status=400)
        self.running_now += 1
        try:
            return await super().chat(request)
        finally:
            self.running_now -= 1


@pytest.fixture
def gpu() -> SharedGpu:
    return SharedGpu()


@pytest.fixture
async def engines(folder: Path, gpu: SharedGpu) -> AsyncIterator[dict[str, Sleeper]]:
    async with AsyncExitStack() as opened:
        made = {name: Sleeper(name, folder, gpu) for name in ("a", "b")}
        for engine in made.values():
            await opened.enter_async_context(engine.running())
        yield made


@asynccontextmanager
async def swapping(folder: Path, **settings: float) -> AsyncIterator[openai.AsyncOpenAI]:
    models = tuple(
        picture_model(
            folder, name=name, replicas=(Replica(name=name, socket=str(folder / f"{name}.sock"), sleep_group="gpu-0"),)
        )
        for name in ("a", "b")
    )
    config = GatewayConfig(models=models, model_swap=ModelSwap(**{"least_s": 0.2, "idle_s": 0.05} | settings))
    async with (
        serving(config) as address,
        openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="x", max_retries=0) as sdk,
    ):
        yield sdk


async def ask(sdk: openai.AsyncOpenAI, model: str) -> str:
    said = await sdk.chat.completions.create(model=model, messages=HELLO, stream=False)  # type: ignore[call-overload]
    return str(said.choices[0].message.content)


def awakenings(gpu: SharedGpu) -> list[str]:
    return [line.split()[1].strip(",") for line in gpu.log if line.startswith("wake")]


async def test_the_model_that_is_asked_is_woken_and_never_two_are(
    engines: dict[str, Sleeper], gpu: SharedGpu, folder: Path
) -> None:
    async with swapping(folder) as sdk:
        for name in ("a", "a", "b", "a"):
            assert await ask(sdk, name) == name
    assert gpu.log == [
        *("sleep b, 0 running", "wake a, beside []"),
        *("sleep a, 0 running", "wake b, beside []"),
        *("sleep b, 0 running", "wake a, beside []"),
    ]


async def in_flight(sdk: openai.AsyncOpenAI) -> int:
    """Requests in the gateway, as it counts them."""
    async with aiohttp.ClientSession() as session, session.get(str(sdk.base_url.join("/metrics"))) as page:
        found = re.search(r"^babelview_gateway_in_flight (\d+)", await page.text(), re.MULTILINE)
    assert found
    return int(found[1])


async def test_many_requests_of_both_make_few_turns(engines: dict[str, Sleeper], gpu: SharedGpu, folder: Path) -> None:
    engines["a"].behave = "wait"
    async with swapping(folder, least_s=60) as sdk:
        names = ["a", "b"] * 30
        first = asyncio.create_task(ask(sdk, names[0]))
        await until(lambda: engines["a"].running_now == 1)
        others = [asyncio.create_task(ask(sdk, name)) for name in names[1:]]
        async with asyncio.timeout(60):
            while await in_flight(sdk) < len(names):  # noqa: ASYNC110  # it is in the gateway
                await asyncio.sleep(0.05)
        engines["a"].go_on.set()
        assert await asyncio.gather(first, *others) == names
    assert awakenings(gpu) == ["a", "b"]


async def test_what_runs_ends_before_the_other_wakes(engines: dict[str, Sleeper], gpu: SharedGpu, folder: Path) -> None:
    engines["a"].behave = "wait"
    async with swapping(folder) as sdk:
        first = asyncio.create_task(ask(sdk, "a"))
        await until(lambda: engines["a"].running_now == 1)
        second = asyncio.create_task(ask(sdk, "b"))
        await asyncio.sleep(0.5)  # its turn is over
        late = asyncio.create_task(ask(sdk, "a"))  # waits for the next turn: the other has waited longer
        await asyncio.sleep(0.1)
        assert gpu.awake == {"a"}
        assert len(engines["a"].bodies) == 1
        engines["a"].go_on.set()
        assert await asyncio.gather(first, second, late) == ["a", "b", "a"]
    assert all("0 running" in line for line in gpu.log if line.startswith("sleep"))


async def test_a_model_that_is_asked_without_end_does_not_starve_the_other(
    engines: dict[str, Sleeper], gpu: SharedGpu, folder: Path
) -> None:
    async with swapping(folder) as sdk:
        stop = asyncio.Event()

        async def ask_on() -> None:
            while not stop.is_set():
                await ask(sdk, "a")

        asking = [asyncio.create_task(ask_on()) for _ in range(4)]
        await until(lambda: len(engines["a"].bodies) > 4)
        assert [await asyncio.wait_for(ask(sdk, "b"), 60) for _ in range(2)] == ["b", "b"]
        stop.set()
        await asyncio.gather(*asking)


async def test_what_does_not_end_in_time_is_ended(engines: dict[str, Sleeper], gpu: SharedGpu, folder: Path) -> None:
    engines["a"].behave = "wait"
    async with swapping(folder, longest_drain_s=0.2) as sdk:
        plain = asyncio.create_task(ask(sdk, "a"))
        await until(lambda: engines["a"].running_now == 1)
        engines["a"].behave = "answer"
        stream = await sdk.chat.completions.create(model="a", messages=HELLO, stream=True)  # type: ignore[call-overload]
        assert await ask(sdk, "b") == "b"
        with pytest.raises(openai.InternalServerError):
            await plain
        with pytest.raises(openai.APIError, match="died"):
            _ = [chunk async for chunk in stream]
    assert gpu.log[-2:] == ["sleep a, 0 running", "wake b, beside []"]


async def test_clients_that_leave_the_queue_do_not_hold_the_gpu(
    engines: dict[str, Sleeper], gpu: SharedGpu, folder: Path
) -> None:
    engines["a"].behave = "wait"
    async with swapping(folder) as sdk:
        first = asyncio.create_task(ask(sdk, "a"))
        await until(lambda: engines["a"].running_now == 1)
        leaving = [asyncio.create_task(ask(sdk, "b")) for _ in range(3)]
        await asyncio.sleep(0.1)
        for task in leaving:
            task.cancel()
        engines["a"].go_on.set()
        await first
        engines["a"].behave = "answer"
        assert [await asyncio.wait_for(ask(sdk, name), 60) for name in ("a", "b", "a")] == ["a", "b", "a"]


async def test_an_engine_that_cannot_switch_is_503_and_is_tried_again(
    engines: dict[str, Sleeper], gpu: SharedGpu, folder: Path
) -> None:
    async with swapping(folder) as sdk:
        for broken, flag in (("b", "can_sleep"), ("a", "can_wake")):
            setattr(engines[broken], flag, False)
            with pytest.raises(openai.InternalServerError) as raised:
                await ask(sdk, "a")
            assert raised.value.status_code == 503
            setattr(engines[broken], flag, True)
        assert await ask(sdk, "a") == "a"
        assert await ask(sdk, "b") == "b"


async def test_an_engine_that_is_down_leaves_the_gpu_to_the_other(gpu: SharedGpu, folder: Path) -> None:
    async with Sleeper("a", folder, gpu).running(), swapping(folder) as sdk:
        assert await ask(sdk, "a") == "a"
        with pytest.raises(openai.InternalServerError):
            await ask(sdk, "b")
        assert await ask(sdk, "a") == "a"
