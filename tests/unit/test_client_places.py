"""Which of several endpoints takes the next request: those that are away, lost, busy or full, without any of them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from client.endpoints import places
from client.endpoints.places import Counts, Places
from client.errors import RequestError, ServiceLostError, UnavailableError, UnlistedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

AWAY = UnavailableError("cannot be reached", retry_after=600.0)
GONE = UnavailableError("cannot be reached")
BUSY = UnavailableError("HTTP 429", busy=True)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time of `Places`, which stands still: `now` sets it."""
    told = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(places, "time", SimpleNamespace(monotonic=lambda: told.now))
    return told


async def which(number: int) -> int:
    return number


def shared(count: int, at_once: int = 2, said: list[str] | None = None, wait_s: float = 60.0) -> Places:
    return Places(
        [f"endpoint {number}" for number in range(count)],
        at_once,
        wait_s=wait_s,
        notify=([] if said is None else said).append,
    )


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
    assert kept.leaves(0, "pictures", AWAY)
    assert [await kept.ask("pictures", which) for _ in range(2)] == [1, 1]
    assert await kept.ask("videos", which) == 0
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


@pytest.mark.parametrize("count", [2, 3])
async def test_those_that_never_come_are_waited_for_from_when_none_was_left(
    count: int, clock: SimpleNamespace, said: list[str]
) -> None:
    kept, asked = shared(count, said=said, wait_s=60.0), [0] * count
    for number in range(1, count):
        kept.missing(number, ["m"], GONE)
    clock.now += 1000

    async def attempt(number: int) -> None:
        asked[number] += 1
        if number == 0:
            raise ServiceLostError("the quota is used up")
        clock.now += 0.5
        kept.leaves(number, "m", GONE)
        raise GONE

    began = clock.now
    with pytest.raises(ServiceLostError, match="cannot be reached, for 60 s; gave up waiting"):
        await kept.ask("m", attempt)
    assert 60 < clock.now - began < 62
    assert asked[0] <= 2  # one that is lost is not asked over and over
    assert len([line for line in said if "waiting up to 60 s" in line]) == 1


async def test_many_in_flight_that_fail_together_are_one_try(clock: SimpleNamespace) -> None:
    kept = shared(2, at_once=32)

    async def attempt(number: int) -> int:
        if number == 0:
            assert kept.leaves(number, "m", GONE)
            raise GONE
        return number

    assert [kept.leaves(0, "m", GONE) for _ in range(32)] == [True] * 32
    clock.now += 0.9
    assert await kept.ask("m", which) == 1
    clock.now += 0.2
    assert await kept.ask("m", attempt) == 1  # it is asked, and is still away
    clock.now += 1.9
    assert await kept.ask("m", which) == 1
    clock.now += 0.2
    assert await kept.ask("m", which) == 0


@pytest.mark.parametrize("busy", [False, True])
async def test_one_that_asks_to_wait_for_a_century_is_asked_before(busy: bool, clock: SimpleNamespace) -> None:
    kept = shared(2, wait_s=60.0)
    assert kept.leaves(0, "m", UnavailableError("HTTP 503", retry_after=3e9, busy=busy))
    clock.now += 59
    assert await kept.ask("m", which) == 1
    clock.now += 2
    assert await kept.ask("m", which) == 0
    assert [it.retry_after_s for it in kept.take_counts()] == [60.0, 0.0]


async def test_one_that_is_lost_at_the_start_is_asked_a_minute_later(clock: SimpleNamespace, said: list[str]) -> None:
    kept = shared(2, said=said)
    kept.missing(0, ["pictures", "videos"], ServiceLostError("the quota is used up"))
    assert said == ["warning: the quota is used up; others are asked instead"]
    clock.now += 59
    assert await kept.ask("videos", which) == 1
    clock.now += 2
    assert await kept.ask("videos", which) == 0


async def test_who_serves_a_model_is_looked_up_when_there_is_room() -> None:
    kept, serving, held = shared(2, at_once=1), [0, 1], asyncio.Event()

    async def attempt(number: int) -> int:
        await held.wait()
        return number

    asked = [asyncio.create_task(kept.ask("m", attempt, lambda: serving)) for _ in range(4)]
    await asyncio.sleep(0)
    serving.remove(1)
    held.set()
    assert await asyncio.gather(*asked) == [0, 1, 0, 0]


@pytest.mark.parametrize("streams", [False, True])
async def test_one_that_turns_out_to_serve_others_is_neither_away_nor_lost(streams: bool, said: list[str]) -> None:
    kept, serving = shared(2, said=said), [0, 1]

    async def attempt(number: int) -> int:
        if number == 0:
            serving.remove(number)
            raise UnlistedError("endpoint 0 does not list pictures")
        return number

    async def pieces(number: int) -> AsyncGenerator[int, None]:
        yield await attempt(number)

    if streams:
        assert [number async for number in kept.stream("pictures", pieces, lambda: serving)] == [1]
    else:
        assert await kept.ask("pictures", attempt, lambda: serving) == 1
    assert await kept.ask("videos", which) == 0
    assert said == []
