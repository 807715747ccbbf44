"""Several servers of one model: who is asked, who is left out, what is retried."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import openai
import pytest
from gateway_rig import HELLO, PICTURE, QUICK, Engine, image, picture, picture_model, serving, until

from server.gateway.config import GatewayConfig, Health, Timeouts
from server.gateway.health import CircuitBreaker, HealthState, Probed
from server.gateway.pool import Pool
from server.gateway.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NAMES = ("a", "b")


@pytest.fixture
async def engines(folder: Path) -> AsyncIterator[dict[str, Engine]]:
    async with AsyncExitStack() as opened:
        yield {name: await opened.enter_async_context(Engine(folder / f"{name}.sock").running()) for name in NAMES}


@pytest.fixture
async def url(folder: Path) -> AsyncIterator[str]:
    config = GatewayConfig(models=(picture_model(folder, *NAMES),), health=QUICK)
    async with serving(config) as address:
        yield address


@pytest.fixture
async def sdk(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


async def ask(sdk: openai.AsyncOpenAI, messages: Any = HELLO, **options: Any) -> str:
    """Ask; the name of the engine that answered."""
    said = await sdk.chat.completions.create(model=PICTURE, messages=messages, **options)
    return str(said.choices[0].message.content)


async def health_is(url: str, parts: dict[str, str]) -> None:
    """Wait until the gateway's own view is `parts`."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        while True:
            async with session.get(f"{url}/health") as response:
                if (await response.json())["parts"] == parts:
                    return
            await asyncio.sleep(0.02)


async def test_tasks_on_one_picture_meet_at_one_replica(engines: dict[str, Engine], sdk: openai.AsyncOpenAI) -> None:
    homes = set()
    for width in range(16, 28):
        messages = image(f"data:image/jpeg;base64,{picture(width)}")
        answered = {await ask(sdk, messages, seed=seed) for seed in range(3)}
        assert len(answered) == 1
        homes |= answered
    assert homes == set(engines)  # and different pictures do not all meet at the same one


async def test_a_picture_that_everybody_asks_about_does_not_overload_its_replica(
    engines: dict[str, Engine], sdk: openai.AsyncOpenAI
) -> None:
    messages = image()
    asking = [asyncio.create_task(ask(sdk, messages, stream=False, extra_body={"seed": i})) for i in range(24)]
    for engine in engines.values():
        engine.behave = "wait"
    await until(lambda: sum(len(engine.bodies) for engine in engines.values()) == 24)
    counts = sorted(len(engine.bodies) for engine in engines.values())
    for engine in engines.values():
        engine.go_on.set()
    await asyncio.gather(*asking)
    assert counts[1] <= 16  # 1.25 times the mean, and one
    assert counts[0] >= 8


@pytest.mark.parametrize("behave", ["die", "shut down", "fail and be ill"])
async def test_a_request_that_fails_before_its_answer_goes_to_another_replica(
    engines: dict[str, Engine], sdk: openai.AsyncOpenAI, url: str, behave: str
) -> None:
    await health_is(url, {"a": "ok", "b": "ok"})
    engines["a"].behave = behave.split(maxsplit=1)[0] if "fail" in behave else behave
    engines["a"].healthy = "ill" not in behave
    assert {await ask(sdk) for _ in range(8)} == {"b"}
    assert len(engines["b"].bodies) == 8


async def test_a_request_is_tried_at_two_replicas_and_not_more(
    engines: dict[str, Engine], sdk: openai.AsyncOpenAI
) -> None:
    for engine in engines.values():
        engine.behave = "shut down"
    with pytest.raises(openai.InternalServerError) as raised:
        await ask(sdk)
    assert raised.value.status_code == 503
    assert [len(engine.bodies) for engine in engines.values()] == [1, 1]


async def test_the_engines_own_500_is_not_retried(engines: dict[str, Engine], sdk: openai.AsyncOpenAI) -> None:
    for engine in engines.values():
        engine.behave = "fail"
    with pytest.raises(openai.InternalServerError, match="engine dead"):
        await ask(sdk)
    assert sum(len(engine.bodies) for engine in engines.values()) == 1


async def test_a_stream_that_has_begun_is_not_retried(engines: dict[str, Engine], sdk: openai.AsyncOpenAI) -> None:
    for engine in engines.values():
        engine.behave = "die mid-stream"
        engine.go_on.set()
    with pytest.raises(openai.APIError, match="died"):
        _ = [chunk async for chunk in await sdk.chat.completions.create(model=PICTURE, messages=HELLO, stream=True)]  # type: ignore[call-overload]
    assert sum(len(engine.bodies) for engine in engines.values()) == 1


async def test_what_waits_at_a_replica_that_goes_silent_moves_to_another(
    engines: dict[str, Engine], sdk: openai.AsyncOpenAI, url: str
) -> None:
    await health_is(url, {"a": "ok", "b": "ok"})
    for engine in engines.values():
        engine.behave = "wait"
    asking = [asyncio.create_task(ask(sdk, stream=False)) for _ in range(6)]
    await until(lambda: sum(len(engine.bodies) for engine in engines.values()) == 6)
    engines["a"].silent = True
    engines["b"].go_on.set()
    assert set(await asyncio.gather(*asking)) == {"b"}


async def test_a_replica_that_returns_is_used_again(folder: Path, sdk: openai.AsyncOpenAI, url: str) -> None:
    async with Engine(folder / "b.sock").running():
        await health_is(url, {"a": "down", "b": "ok"})
        assert {await ask(sdk) for _ in range(4)} == {"b"}
        async with Engine(folder / "a.sock").running():
            await health_is(url, {"a": "ok", "b": "ok"})
            assert {await ask(sdk) for _ in range(20)} == {"a", "b"}


async def test_an_answer_that_does_not_begin_in_time_is_504(folder: Path, engines: dict[str, Engine]) -> None:
    engines["a"].behave = "wait"
    config = GatewayConfig(models=(picture_model(folder, "a"),), timeouts=Timeouts(first_byte_s=0.2), health=QUICK)
    async with serving(config) as address, openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="x") as sdk:
        with pytest.raises(openai.InternalServerError) as raised:
            await ask(sdk.with_options(max_retries=0))
    assert raised.value.status_code == 504


async def test_a_stream_that_stops_is_an_error(folder: Path, engines: dict[str, Engine]) -> None:
    config = GatewayConfig(models=(picture_model(folder, "a"),), timeouts=Timeouts(between_bytes_s=0.2))
    async with serving(config) as address, openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="x") as sdk:
        with pytest.raises(openai.APIError, match="died"):
            _ = [chunk async for chunk in await sdk.chat.completions.create(model=PICTURE, messages=HELLO, stream=True)]  # type: ignore[call-overload]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_silence_makes_a_replica_doubtful_then_dead_and_a_word_heals_it() -> None:
    breaker = CircuitBreaker(Health(misses=2, dead_misses=4), Clock())
    seen = []
    for _ in range(4):
        breaker.probed(Probed.SILENT)
        seen.append(breaker.health_state)
    assert seen == [HealthState.GOOD, HealthState.DOUBTFUL, HealthState.DOUBTFUL, HealthState.OUT]
    breaker.heard()
    assert breaker.health_state is HealthState.GOOD


def test_the_circuit_opens_after_failures_in_a_row_and_longer_each_time() -> None:
    clock = Clock()
    breaker = CircuitBreaker(Health(failures=3, open_s=2, longest_open_s=5), clock)
    breaker.broke()
    breaker.broke()
    breaker.answered()
    breaker.broke()
    breaker.broke()
    assert breaker.health_state is HealthState.GOOD
    for wait in (2, 4, 5, 5):
        breaker.broke()
        breaker.probed(Probed.WELL)
        clock.now += wait - 0.1
        assert breaker.health_state is HealthState.OUT
        clock.now += 0.2
        assert breaker.health_state is HealthState.GOOD  # half open
    breaker.answered()
    breaker.broke()
    assert breaker.health_state is HealthState.GOOD


def test_many_requests_that_break_at_once_open_the_circuit_once() -> None:
    clock = Clock()
    breaker = CircuitBreaker(Health(failures=3, open_s=2), clock)
    for _ in range(32):
        breaker.broke()
    clock.now = 2.1
    assert breaker.health_state is HealthState.GOOD


def pool_of(*names: str) -> Pool:
    upstreams = [Upstream(name, socket="/none", timeouts=Timeouts(), health=Health(misses=1)) for name in names]
    return Pool("model", upstreams, Timeouts())


@pytest.mark.parametrize("digest", [None, *(number.to_bytes(1) for number in range(8))])
def test_the_healthiest_replica_is_chosen_whatever_the_load_and_the_picture(digest: bytes | None) -> None:
    pool = pool_of("down", "silent", "well")
    down, silent, well = pool.upstreams
    down.breaker.probed(Probed.DOWN)
    silent.breaker.probed(Probed.SILENT)
    well.in_flight = 100
    assert pool.choose(digest) is well
    assert pool.choose(digest, [well]) is silent  # better than none
    assert pool.choose(digest, [well, silent]) is None  # one that is down is not asked at all
    silent.breaker.heard()
    well.breaker.probed(Probed.SILENT)
    assert pool.choose(digest) is silent


def test_without_a_picture_the_one_with_the_least_to_do_is_chosen() -> None:
    pool = pool_of("a", "b", "c")
    for upstream, load in zip(pool.upstreams, (2, 1, 3), strict=True):
        upstream.in_flight = load
    assert pool.choose(None) is pool.upstreams[1]


def test_a_replica_more_moves_only_what_it_takes_over() -> None:
    def homes(of: Pool) -> list[str]:
        found = [of.choose(number.to_bytes(4)) for number in range(300)]
        return [upstream.name for upstream in found if upstream]

    before, after = homes(pool_of("a", "b", "c")), homes(pool_of("a", "b", "c", "d"))
    moved = [(x, y) for x, y in zip(before, after, strict=True) if x != y]
    assert {y for _, y in moved} == {"d"}
    assert 40 < len(moved) < 120  # a quarter of 300, about
    assert all(60 < before.count(name) < 140 for name in "abc")
