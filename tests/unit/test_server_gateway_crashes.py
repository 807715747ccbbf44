"""A request that an engine crashes of is found, and takes the model from nobody else."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from gateway_rig import HELLO, PICTURE, QUICK, Engine, picture_model, serving, until
from msgspec.structs import replace

from server.errors import NotBegunError, RequestError
from server.gateway.config import GatewayConfig, Replica
from server.gateway.crash_memory import LINGER_S, CrashMemory, IdentifiedRequest
from server.policy import Crashes, Policy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

POISON = [{"role": "user", "content": "poison"}]


class Mortal(Engine):
    """An engine that one request crashes, with all that is in flight; it is back when the test says so."""

    def __init__(self, socket: Path) -> None:
        super().__init__(socket)
        self.crashes = 0
        self._transports: set[asyncio.Transport] = set()

    async def chat(self, request: web.Request) -> web.StreamResponse:
        assert request.transport
        self._transports.add(request.transport)
        try:
            if b"poison" in await request.read():
                self.crash()
                await asyncio.sleep(3600)
            return await super().chat(request)
        finally:
            self._transports.discard(request.transport)

    def crash(self) -> None:
        self.crashes += 1
        self.healthy = False
        for transport in self._transports:
            transport.abort()


@asynccontextmanager
async def mortal_engine(folder: Path) -> AsyncIterator[tuple[Mortal, aiohttp.ClientSession, Path]]:
    """An engine, a client of the gateway before it, and the file with what the supervisor is told."""
    model = picture_model(folder)
    poison_log = folder / "poison"
    replica = Replica(name=PICTURE, socket=model.replicas[0].socket, poison_log=str(poison_log))
    config = GatewayConfig(models=(replace(model, replicas=(replica,)),), health=QUICK)
    async with AsyncExitStack() as opened:
        engine = await opened.enter_async_context(Mortal(folder / f"{PICTURE}.sock").running())
        assert isinstance(engine, Mortal)
        address = await opened.enter_async_context(serving(config))
        yield engine, await opened.enter_async_context(aiohttp.ClientSession(address)), poison_log


async def ask(http: aiohttp.ClientSession, messages: Any = HELLO, **more: Any) -> tuple[int, dict[str, Any]]:
    """Status, and the error if there is one."""
    async with http.post("/v1/chat/completions", json={"model": PICTURE, "messages": messages, **more}) as answer:
        return answer.status, orjson.loads(await answer.read()).get("error", {})


async def revive(engine: Engine, http: aiohttp.ClientSession) -> None:
    """Let the engine be well again, and the gateway see it."""

    async def seen() -> str:
        async with http.get("/health") as answer:
            return str((await answer.json())["status"])

    async with asyncio.timeout(60):
        while await seen() == "ok":  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)
        engine.healthy = True
        while await seen() != "ok":  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_request_that_was_there_at_two_crashes_is_refused_and_others_are_not(folder: Path) -> None:
    async with mortal_engine(folder) as (engine, http, poison_log):
        assert (await ask(http))[0] == 200
        assert (await ask(http, POISON))[0] == 503
        await revive(engine, http)
        status, error = await ask(http, POISON)
        assert (status, error["code"]) == (502, "poison_request")
        await revive(engine, http)
        assert (await ask(http, POISON, seed=7, user="somebody else"))[1]["code"] == "poison_request"
        assert engine.crashes == 2
        assert (await ask(http))[0] == 200
        assert len(poison_log.read_text().splitlines()) == 2


async def test_those_that_were_in_flight_beside_it_are_served(folder: Path) -> None:
    async with mortal_engine(folder) as (engine, http, _):
        assert (await ask(http))[0] == 200
        engine.behave = "wait"
        texts = [[{"role": "user", "content": f"number {number}"}] for number in range(6)]
        beside = [asyncio.create_task(ask(http, text)) for text in texts]
        await until(lambda: len(engine.bodies) == 1 + len(texts))
        assert (await ask(http, POISON))[0] == 503
        assert [status for status, _ in await asyncio.gather(*beside)] == [503] * len(texts)
        await revive(engine, http)
        engine.behave = "answer"
        answers = dict.fromkeys(range(len(texts) + 1), 0)
        again = [POISON, *texts]
        for _ in range(6):  # as clients do that try again
            left = [number for number, status in answers.items() if status not in (200, 502)]
            said = await asyncio.gather(*(ask(http, again[number]) for number in left))
            answers |= dict(zip(left, (status for status, _ in said), strict=True))
            if not engine.healthy:
                await revive(engine, http)
        assert answers == {0: 502} | dict.fromkeys(range(1, len(texts) + 1), 200)
        assert engine.crashes <= 3  # three, if the second one had several suspects


async def test_a_stream_that_ends_in_an_error_was_there_too(folder: Path) -> None:
    class Streaming(Mortal):
        async def stream(self, request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            self.healthy = False
            self.crashes += 1
            await response.write(b'data: {"error": {"message": "EngineCore died"}}\n\ndata: [DONE]\n\n')
            return response

    async with AsyncExitStack() as opened:
        engine = await opened.enter_async_context(Streaming(folder / f"{PICTURE}.sock").running())
        config = GatewayConfig(models=(picture_model(folder),), health=QUICK)
        address = await opened.enter_async_context(serving(config))
        http = await opened.enter_async_context(aiohttp.ClientSession(address))
        assert (await ask(http))[0] == 200
        for _ in range(2):
            async with http.post(
                "/v1/chat/completions", json={"model": PICTURE, "messages": HELLO, "stream": True}
            ) as answer:
                assert b"EngineCore died" in await answer.read()
            await revive(engine, http)
        assert (await ask(http, stream=True))[1]["code"] == "poison_request"


class Clock:
    """A clock that the test sets, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def asked(text: str) -> IdentifiedRequest:
    return IdentifiedRequest("/v1/chat/completions", orjson.dumps({"messages": text}))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory(clock: Clock) -> CrashMemory:
    return CrashMemory("m", keep_s=100.0, longest_wait_s=20.0, clock=clock)


async def crash(memory: CrashMemory, *texts: str, server: str = "a") -> None:
    """A crash with these requests in flight."""
    with suppress(NotBegunError), ExitStack() as stack:
        for text in texts:
            stack.enter_context(memory.present(asked(text), server))
        memory.crashed(server)
        raise NotBegunError("gone")


async def refused(memory: CrashMemory, text: str) -> bool:
    with suppress(RequestError):
        await memory.check(asked(text))
        return False
    return True


def answer(memory: CrashMemory, text: str, server: str = "a") -> None:
    """A request is answered."""
    one = asked(text)
    with memory.present(one, server):
        one.answered = True


async def test_of_several_suspects_at_a_crash_none_is_refused_yet(memory: CrashMemory) -> None:
    await crash(memory, "x", "y", "z")
    await crash(memory, "x", "y")
    assert not [text for text in "xyz" if await refused(memory, text)]
    await crash(memory, "y", "new")
    assert [await refused(memory, text) for text in ("x", "y", "z", "new")] == [False, True, False, False]


async def test_a_suspect_that_is_answered_is_none_any_more(memory: CrashMemory) -> None:
    await crash(memory, "x")
    answer(memory, "x")
    await crash(memory, "x")
    assert not await refused(memory, "x")


async def test_crashes_are_forgotten_in_time(memory: CrashMemory, clock: Clock) -> None:
    await crash(memory, "x")
    clock.now += 101
    await crash(memory, "x")
    assert not await refused(memory, "x")
    await crash(memory, "x")
    assert await refused(memory, "x")
    clock.now += 101
    assert not await refused(memory, "x")


async def test_nothing_is_hashed_once_the_suspects_are_forgotten(memory: CrashMemory, clock: Clock) -> None:
    await crash(memory, "x")
    during, after = asked("y"), asked("z")
    await memory.check(during)
    clock.now += 101
    await memory.check(after)
    assert ["digest" in vars(one) for one in (during, after)] == [True, False]


@pytest.mark.parametrize(("later_s", "was_there"), [(LINGER_S / 2, True), (LINGER_S * 2, False)])
async def test_who_has_just_gone_away_was_there(
    memory: CrashMemory, clock: Clock, later_s: float, was_there: bool
) -> None:
    for _ in range(2):
        with suppress(asyncio.CancelledError), memory.present(asked("x"), "a"):
            raise asyncio.CancelledError
        clock.now += later_s
        memory.crashed("a")
    assert await refused(memory, "x") is was_there


async def test_nobody_waits_for_the_digests_of_others(memory: CrashMemory) -> None:
    """They are made by another thread; only who asks for the same model waits until a crash has been counted."""
    threads = []
    go_on = threading.Event()

    class Watched(IdentifiedRequest):
        @cached_property
        def digest(self) -> bytes:
            threads.append(threading.current_thread())
            assert go_on.wait(60)
            return super().digest

    def watched() -> IdentifiedRequest:
        return Watched("/v1/chat/completions", orjson.dumps({"messages": "x"}))

    with suppress(ConnectionError), memory.present(watched(), "a"):
        raise ConnectionError
    with suppress(NotBegunError), memory.present(watched(), "a"):
        memory.crashed("a")
        raise NotBegunError("gone")
    checking = asyncio.create_task(memory.check(asked("y")))
    await asyncio.sleep(0.01)
    assert not checking.done()
    go_on.set()
    await asyncio.wait_for(checking, 60)
    async with memory.admit(one := watched()):
        with memory.present(one, "a"):
            one.answered = True
    assert not await refused(memory, "x")
    assert len(threads) == 3
    assert threading.current_thread() not in threads


async def test_suspects_go_one_at_a_time_and_more_with_each_that_is_answered(memory: CrashMemory) -> None:
    texts = tuple("abcdefgh")
    await crash(memory, *texts)
    inside: list[str] = []
    most = 0
    go_on = asyncio.Event()

    async def go(text: str) -> None:
        nonlocal most
        one = asked(text)
        async with memory.admit(one):
            inside.append(text)
            most = max(most, len(inside))
            with memory.present(one, "a"):
                await go_on.wait()
                await asyncio.sleep(0)
                one.answered = True
            inside.remove(text)

    going = [asyncio.create_task(go(text)) for text in (*texts, "innocent")]
    await until(lambda: "innocent" in inside)
    assert len(inside) == 2
    go_on.set()
    await asyncio.gather(*going)
    assert 2 < most < len(texts)


async def test_those_that_wait_for_their_turn_do_not_enter_all_at_once(memory: CrashMemory) -> None:
    """One is answered, which wakes all of the others."""
    texts = tuple("abcdefghijklmnopqrst")
    await crash(memory, *texts)
    entered: list[str] = []
    answered = {text: asyncio.Event() for text in texts}

    async def go(text: str) -> None:
        one = asked(text)
        async with memory.admit(one):
            entered.append(text)
            with memory.present(one, "a"):
                await answered[text].wait()
                one.answered = True

    going = {text: asyncio.create_task(go(text)) for text in texts}
    await until(lambda: len(entered) == 1)
    answered[entered[0]].set()
    await going[entered[0]]
    await until(lambda: len(entered) >= 3)
    await asyncio.sleep(0.05)  # the threads of the rest come back
    assert len(entered) == 3  # two at a time, after the first
    for event in answered.values():
        event.set()
    await asyncio.gather(*going.values())


async def test_while_there_are_suspects_others_wait_for_no_answer(memory: CrashMemory) -> None:
    """An answer is hashed by the same thread as those who ask; only what nobody has hashed yet is."""
    await crash(memory, "x")
    hold, one, other = threading.Event(), asked("y"), asked("z")
    await memory.check(one)
    await memory.check(other)
    memory._hashing.submit(hold.wait, 60)  # what else the thread has to do
    with memory.present(one, "a"):
        one.answered = True
    await asyncio.wait_for(memory.check(other), 30)
    hold.set()


async def test_one_that_was_there_at_two_crashes_with_others_goes_alone(memory: CrashMemory) -> None:
    await crash(memory, "x", "y", "z")
    await crash(memory, "x", "y")
    async with memory.admit(asked("z")):
        waiting = asyncio.create_task(memory.admit(asked("x")).__aenter__())
        await asyncio.sleep(0.01)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 60)


async def test_only_an_engine_that_answers_others_is_excused(memory: CrashMemory, folder: Path) -> None:
    for server in ("works", "broken"):
        memory.report_to(server, str(folder / server))
    answer(memory, "hello", "works")
    for _ in range(2):
        await crash(memory, "x", server="works")
        await crash(memory, "y", server="broken")
    assert await refused(memory, "x")
    assert await refused(memory, "y")
    assert (folder / "works").read_text()
    assert not (folder / "broken").exists()


async def test_a_file_that_cannot_be_written_stops_nothing(
    memory: CrashMemory, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memory.report_to("works", str(folder / "no" / "such" / "folder"))
    answer(memory, "hello", "works")
    for _ in range(2):
        await crash(memory, "x", server="works")
    assert await refused(memory, "x")
    assert "cannot be written" in caplog.text


def test_excused_crashes_do_not_count_towards_giving_up() -> None:
    crashes = Crashes(Policy(backoff_s=1, longest_backoff_s=5, well_s=100, crashes=3, crash_window_s=1000))
    for number in range(1, 10):
        crashes.add(number, 0)
        assert crashes.excuse(number) == 1
    assert [crashes.add(20, 0), crashes.add(21, 0), crashes.add(22, 0)] == [1, 2, None]
    assert crashes.excuse(9) is None
    assert crashes.excuse(11) == 1
