"""Several endpoints as one: which of them takes a request, and what becomes of those of one that is away."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from batch_runs import pictures, run
from clusters import asked_of
from fake_servers import FakeServers, error

from client.api.session import Session
from client.endpoints import places
from client.endpoints.places import Counts, Places
from client.errors import RequestError, ServiceLostError, UnavailableError
from client.media.content import SoundPiece, Span
from client.media.kinds import Kind
from client.tasks.plan import SPEECH_MODEL
from scripts.benchmarks.fakes.scripted import listing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

AWAY = UnavailableError("cannot be reached", retry_after=600.0)
BUSY = UnavailableError("HTTP 429", busy=True)


@pytest.fixture
def both() -> Iterator[list[FakeServers]]:
    servers = [FakeServers(), FakeServers()]
    yield servers
    for each in servers:
        each.close()


@pytest.fixture
def said() -> list[str]:
    return []


@contextlib.asynccontextmanager
async def session(both: list[FakeServers], said: list[str], **settings: Any) -> AsyncGenerator[Session, None]:
    urls = ",".join(f"{each.url}/v1" for each in both)
    async with Session(urls, notify=said.append, **{"concurrency": 2, **settings}) as opened:
        yield opened


async def ask(opened: Session, count: int = 1, **options: Any) -> list[Any]:
    (request,) = asked_of(**options).plan.requests[Kind.IMAGE]
    asks = (opened.opened.model.ask(request, b"", "a.png") for _ in range(count))
    return await asyncio.gather(*asks)


def shared(count: int, at_once: int = 2, said: list[str] | None = None, wait_s: float = 60.0) -> Places:
    return Places(
        [f"endpoint {number}" for number in range(count)],
        at_once,
        wait_s=wait_s,
        notify=([] if said is None else said).append,
    )


async def test_what_one_that_dies_was_to_answer_the_other_one_does(both: list[FakeServers], said: list[str]) -> None:
    async with session(both, said) as opened:
        await opened.opened.model.check(set())
        await ask(opened, 4)
        assert [len(each.asked) for each in both] == [2, 2]
        both[1].stop()
        await ask(opened, 8)
        assert len(both[0].asked) == 10
    assert [line for line in said if "others are asked meanwhile" in line and both[1].url in line]


async def test_one_that_comes_back_is_asked_again(
    both: list[FakeServers], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "FIRST_AWAY_S", 0.01)
    both[1].stop()
    async with session(both, said) as opened:
        await opened.opened.model.check(set())
        await ask(opened, 4)
        assert len(both[0].asked) == 4
        both[1].start()
        async with asyncio.timeout(60):
            while not both[1].asked:
                await ask(opened, 4)
    assert said[-1].endswith(f"{both[1].url}/v1: is back")


async def test_one_that_comes_late_is_looked_at_first(both: list[FakeServers], said: list[str]) -> None:
    """It takes no videos as such, as the others do."""

    async def others(*_: Any) -> Any:
        return listing("others", "pictures")

    both[1].on_models = others
    both[1].stop()
    async with session(both, said) as opened:
        await opened.opened.model.check(set())
        both[1].start()
        await ask(opened, 4)
    assert [len(each.asked) for each in both] == [4, 0]
    assert "say --frames-as images; others are asked instead" in said[-1]


async def test_all_of_them_away_are_waited_for_and_then_end_the_run(both: list[FakeServers], said: list[str]) -> None:
    for each in both:
        each.stop()
    async with session(both, said, wait_s=0.01) as opened:
        with pytest.raises(ServiceLostError, match="none of them is there"):
            await opened.opened.model.check(set())
    assert ["none of them is there; waiting" in line for line in said] == [True]


async def test_all_of_them_dying_end_the_run(both: list[FakeServers], said: list[str]) -> None:
    async with session(both, said, wait_s=0.01) as opened:
        await opened.opened.model.check(set())
        for each in both:
            each.stop()
        with pytest.raises(ServiceLostError, match="gave up waiting"):
            await ask(opened)


async def test_one_that_is_full_leaves_it_to_one_with_room(both: list[FakeServers], said: list[str]) -> None:
    async def full(*_: Any) -> Any:
        return error(429, "too many", {"Retry-After": "600"})

    both[0].on_ask = full
    async with session(both, said) as opened:
        await opened.opened.model.check(set())
        await ask(opened, 1)
        await ask(opened, 1)
    assert [len(each.asked) for each in both] == [1, 2]


async def test_one_that_keeps_us_out_is_told_and_passed_over(both: list[FakeServers], said: list[str]) -> None:
    async def refuse(*_: Any) -> Any:
        return error(401, "who are you?")

    both[0].on_ask = refuse
    async with session(both, said) as opened:
        await opened.opened.model.check(set())
        await ask(opened, 6)
        assert len(both[1].asked) == 6
    (warning,) = [line for line in said if line.startswith("warning: ")]
    assert "others are asked instead" in warning
    both[1].on_ask = refuse
    async with session(both, said) as opened:
        with pytest.raises(ServiceLostError, match="does not let us in"):
            await ask(opened)


async def test_an_answer_that_streams_comes_from_the_other_one(both: list[FakeServers], said: list[str]) -> None:
    (request,) = asked_of().plan.requests[Kind.IMAGE]
    async with session(both, said) as opened:
        await opened.opened.model.check(set())
        both[0].stop()
        for _ in range(2):
            pieces = [piece async for piece in opened.opened.model.stream(request, b"", (), "a.png")]
            assert len(pieces) > 1
    assert len(both[1].asked) == 2


async def test_sound_goes_to_those_that_serve_the_model(said: list[str]) -> None:
    three = [FakeServers() for _ in range(3)]

    def lists(*models: str) -> Any:
        async def answer(*_: Any) -> Any:
            return listing("babelview", *models)

        return answer

    async def hear(*_: Any) -> Any:
        await asyncio.sleep(0.02)
        return web.json_response({"text": "Hello.", "language": "en", "duration": 1.0})

    for each, models in zip(three, ([SPEECH_MODEL], ["pictures"], [SPEECH_MODEL]), strict=True):
        each.on_models, each.on_hear = lists(*models), hear
    try:
        async with session(three, said) as opened:
            await opened.opened.model.check(set())
            request = asked_of(tasks=["transcript"]).plan.requests[Kind.VIDEO][0]
            piece = SoundPiece(Span(0, 1_000_000), b"")
            asks = (opened.opened.speech.transcribe(request, piece, "a.mp4", 0.0) for _ in range(6))
            await asyncio.gather(*asks)
            assert [len(each.heard) for each in three] == [3, 0, 3]
            three[0].stop()
            await opened.opened.speech.transcribe(request, piece, "a.mp4", 0.0)
            assert len(three[2].heard) == 4
    finally:
        for each in three:
            each.close()


def test_a_batch_goes_on_at_the_endpoint_that_is_there(both: list[FakeServers], tmp_path: Path) -> None:
    both[1].stop()
    pictures(tmp_path / "ads", 6)
    address = f"{both[0].url}/v1,{both[1].url}/v1"
    done = run(both[0], "ads", "--base-url", address, "--translator", both[0].url, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(both[0].asked) == 6
    assert (
        f"endpoint {both[1].url}/v1: cannot be reached (Connection refused); others are asked meanwhile" in done.stderr
    )


def test_two_endpoints_share_the_requests(both: list[FakeServers], tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 12)
    address = f"{both[0].url},{both[1].url}"
    done = run(both[0], "ads", "--base-url", address, "--concurrency", "1", "--translator", both[0].url, cwd=tmp_path)
    assert done.returncode == 0
    assert sum(len(each.asked) for each in both) == 12
    assert [each.most_in_flight for each in both] == [1, 1]


async def test_all_runs_of_an_actor_share_the_bound_of_an_endpoint(both: list[FakeServers]) -> None:
    async def slowly(*_: Any) -> None:
        await asyncio.sleep(0.02)

    both[0].on_ask = slowly
    async with Session(f"{both[0].url}/v1", concurrency=2, shared=True) as opened:
        await ask(opened, 8)
    assert (len(both[0].asked), both[0].most_in_flight) == (8, 2)


async def test_a_bound_that_changes_is_kept() -> None:
    taken, most = 0, 0
    kept = shared(1, at_once=4)

    async def attempt(_: int) -> None:
        nonlocal taken, most
        taken += 1
        most = max(most, taken)
        await asyncio.sleep(0)
        taken -= 1

    for limit in (1, 3):
        kept.limit(0, limit)
        most = 0
        await asyncio.gather(*(kept.ask("m", attempt) for _ in range(9)))
        assert most == limit
    kept.limit(0, 0)
    waiting = asyncio.create_task(kept.ask("m", attempt))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    kept.limit(0, 1)
    await waiting
    assert kept.take_counts() == [Counts(19, 0, 0.0)]


async def test_a_request_that_is_cancelled_gives_its_place_back() -> None:
    """Also one that has been given it, and does not know yet."""
    kept, held = shared(1, at_once=0), asyncio.Event()

    async def attempt(_: int) -> None:
        await held.wait()

    waits, gets = (asyncio.create_task(kept.ask("m", attempt)) for _ in range(2))
    await asyncio.sleep(0)
    waits.cancel()
    await asyncio.gather(waits, return_exceptions=True)
    kept.limit(0, 1)
    gets.cancel()
    await asyncio.gather(gets, return_exceptions=True)
    held.set()
    assert await asyncio.wait_for(kept.ask("m", attempt), 60) is None


async def test_models_are_away_one_by_one() -> None:
    kept = shared(2)

    async def attempt(number: int) -> int:
        return number

    assert kept.leaves(0, "pictures", AWAY)
    assert [await kept.ask("pictures", attempt) for _ in range(2)] == [1, 1]
    assert await kept.ask("videos", attempt) == 0
    assert not kept.leaves(1, "pictures", AWAY)  # where all are away it is waited
    refused = kept.take_counts()
    assert [(it.answered, it.refused) for it in refused] == [(1, 1), (2, 1)]


async def test_what_one_answers_while_it_shuts_down_does_not_make_it_be_back(said: list[str]) -> None:
    kept, answers = shared(2, said=said), asyncio.Event()

    async def attempt(number: int) -> int:
        await answers.wait()
        return number

    asked = [asyncio.create_task(kept.ask("m", attempt)) for _ in range(2)]
    await asyncio.sleep(0)
    assert kept.leaves(0, "m", AWAY)
    answers.set()
    assert await asyncio.gather(*asked) == [0, 1]
    assert [await kept.ask("m", attempt) for _ in range(2)] == [1, 1]
    assert said == ["endpoint 0: cannot be reached; others are asked meanwhile"]


async def test_two_that_are_always_full_end_a_request() -> None:
    kept = shared(2, wait_s=-1.0)

    async def attempt(_: int) -> None:
        raise BUSY

    with pytest.raises(RequestError, match="HTTP 429, for"):
        await kept.ask("m", attempt)
