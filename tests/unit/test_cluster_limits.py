"""The bounds that all actors of a cluster share."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batch_runs import pictures
from clusters import asked_of, do, wanted_of, work_of
from fake_servers import FakeServers, error

from client.api.session import Session
from client.cluster import limits
from client.cluster.limits import LESS, LOST_AFTER_S, Limits, keep_leases
from client.endpoints.places import Counts
from client.media.kinds import Kind

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NOTHING = Counts(0, 0, 0.0)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def three(clock: Clock, at_once: int = 30, endpoints: int = 1) -> Limits:
    kept = Limits(endpoints, at_once, 3, clock)
    for name in "abc":
        kept.exchange(name, [NOTHING] * endpoints)
    return kept


def parts(kept: Limits, names: str = "abc", endpoints: int = 1) -> list[list[int]]:
    return [kept.exchange(name, [NOTHING] * endpoints) for name in names]


def test_a_refusal_of_one_slows_all() -> None:
    clock = Clock()
    kept = three(clock, endpoints=2)
    assert parts(kept, endpoints=2) == [[10, 10]] * 3
    kept.exchange("a", [NOTHING, Counts(3, 2, 0.0)])
    assert parts(kept, endpoints=2) == [[10, 7]] * 3
    kept.exchange("b", [NOTHING, Counts(0, 9, 0.0)])  # they were on their way
    assert parts(kept, endpoints=2) == [[10, 7]] * 3
    clock.now += 1.1
    kept.exchange("b", [NOTHING, Counts(0, 9, 5.0)])
    assert sum(part[1] for part in parts(kept, endpoints=2)) == int(30 * LESS * LESS)
    clock.now += 4.0  # the server asked for five seconds
    kept.exchange("c", [NOTHING, Counts(0, 1, 0.0)])
    assert sum(part[1] for part in parts(kept, endpoints=2)) == int(30 * LESS * LESS)


def test_a_bound_grows_again_with_answers_and_not_beyond() -> None:
    clock = Clock()
    kept = three(clock, at_once=6)
    for _ in range(40):
        clock.now += 1.1
        kept.exchange("a", [Counts(0, 1, 0.0)])
    parts(kept)  # b and c, which were away, are there again
    assert sum(part[0] for part in parts(kept)) == 1
    found = []
    for _ in range(60):
        kept.exchange("b", [Counts(1, 0, 0.0)])
        found.append(sum(part[0] for part in parts(kept)))
    assert found == sorted(found)
    assert (found[0], found[-1]) == (2, 6)


def test_where_there_are_fewer_places_than_actors_they_take_turns() -> None:
    clock = Clock()
    kept = Limits(1, 2, 3, clock)
    had = dict.fromkeys("abc", 0)
    for _ in range(3):
        for name, (part,) in zip("abc", parts(kept), strict=True):
            had[name] += part
        clock.now += 10.0
    assert had == {"a": 2, "b": 2, "c": 2}


def test_the_others_have_the_part_of_one_that_is_gone() -> None:
    clock = Clock()
    kept = three(clock)
    assert Limits(1, 30, 3, clock).exchange("a", [NOTHING]) == [10]  # the others are yet to come
    clock.now += LOST_AFTER_S - 1
    parts(kept, "ab")
    clock.now += 2.0
    assert parts(kept, "ab") == [[15], [15]]


def test_an_actor_asks_for_its_part(servers: FakeServers, tmp_path: Path) -> None:
    begun, asked = threading.Event(), list[tuple[str, list[Counts]]]()

    def exchange(actor: str, counts: list[Counts]) -> list[int]:
        asked.append((actor, counts))
        begun.set()
        return [4]

    work = work_of(servers, str(tmp_path / "many"))
    do(replace(work, limits=exchange), wanted_of(str(pictures(tmp_path / "ads", 1))))
    assert begun.wait(60)
    assert (len(asked[0][0]), len(asked[0][1])) == (32, 1)


async def test_actors_follow_what_an_endpoint_says(servers: FakeServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is refused; the next lease of the other one is smaller, too."""
    monkeypatch.setattr(limits, "LEASE_S", 0.02)
    monkeypatch.setattr(limits, "LEAST_LEASE_S", 0.01)
    kept = Limits(1, 8, 2)
    (request,) = asked_of().plan.requests[Kind.IMAGE]

    async def full(_: Any, __: Any, number: int) -> Any:
        return error(429, "too many", {"Retry-After": "0.01"}) if number == 1 else None

    servers.on_ask = full
    one, other = (Session(f"{servers.url}/v1", concurrency=4, shared=True) for _ in range(2))
    async with one, other:
        slower, loop = asyncio.Event(), asyncio.get_running_loop()

        def exchange(name: str, counts: list[Counts]) -> list[int]:
            given = kept.exchange(name, counts)
            if name == "other" and given[0] < 4:
                loop.call_soon_threadsafe(slower.set)
            return given

        leases = [
            asyncio.create_task(keep_leases(each.opened.model.places, lambda counts, name=name: exchange(name, counts)))
            for name, each in (("one", one), ("other", other))
        ]
        await one.opened.model.ask(request, b"", "a.png")
        async with asyncio.timeout(60):
            await slower.wait()
        for lease in leases:
            lease.cancel()
    assert len(servers.asked) == 2
