"""Several endpoints as one: which of them takes a request, and what becomes of those of one that is away."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from batch_runs import pictures, run
from clusters import asked_of
from fake_servers import FakeServers, error

from client.api.session import Session
from client.endpoints import places, retry, spread
from client.endpoints.chat import ModelClient
from client.errors import ServiceLostError, UnlistedError
from client.media.content import SoundPiece, Span
from client.media.kinds import Kind
from client.tasks.plan import IMAGE_MODEL, SPEECH_MODEL, VIDEO_MODEL
from scripts.benchmarks.fakes.scripted import listing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    from client.endpoints.completion import Answer


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


async def ask(opened: Session, count: int = 1, model: str = IMAGE_MODEL) -> list[Answer]:
    return await asyncio.gather(*asks(opened, count, model))


def asks(opened: Session, count: int = 1, model: str = IMAGE_MODEL) -> list[asyncio.Task[Answer]]:
    (request,) = asked_of().plan.requests[Kind.IMAGE]
    about = replace(request, model=model)
    return [asyncio.create_task(opened.opened.model.ask(about, b"", "a.png")) for _ in range(count)]


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


def lists(*models: str) -> Any:
    async def answer(*_: Any) -> Any:
        return listing("babelview", *models)

    return answer


async def test_a_model_is_asked_where_it_is_listed(both: list[FakeServers], said: list[str]) -> None:
    both[0].on_models, both[1].on_models = lists(IMAGE_MODEL), lists(VIDEO_MODEL, "others")
    async with session(both, said) as opened:
        await opened.opened.model.check({IMAGE_MODEL})
        await opened.opened.model.check({IMAGE_MODEL, "unknown"})
        await ask(opened, 4)
    assert [len(each.asked) for each in both] == [4, 0]
    urls = [f"{each.url}/v1" for each in both]
    listed = f"{urls[0]}: it lists {IMAGE_MODEL}; {urls[1]}: it lists {VIDEO_MODEL}, others"
    assert said == [
        f"{IMAGE_MODEL} is asked at other endpoints than {urls[1]}, which do not list it",
        f"warning: no endpoint lists unknown, which is tried all the same ({listed})",
    ]


async def test_one_that_comes_late_and_lists_others_is_asked_for_those(
    both: list[FakeServers], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "FIRST_AWAY_S", 0.0)
    both[0].on_models, both[1].on_models = lists(IMAGE_MODEL, VIDEO_MODEL), lists(VIDEO_MODEL)
    both[1].stop()
    async with session(both, said) as opened:
        await opened.opened.model.check({IMAGE_MODEL, VIDEO_MODEL})
        both[1].start()
        await ask(opened, 4)
        assert [len(each.asked) for each in both] == [4, 0]
        await ask(opened, 2, VIDEO_MODEL)
        assert [len(each.asked) for each in both] == [5, 1]
    url = f"{both[1].url}/v1"
    assert said == [
        f"endpoint {url}: cannot be reached (Connection refused); others are asked meanwhile",
        f"{IMAGE_MODEL} is asked at other endpoints than {url}, which do not list it",
        f"endpoint {url}: is back",
    ]


async def test_what_waits_for_room_goes_to_those_that_are_known_to_serve_it_by_then(
    both: list[FakeServers], said: list[str]
) -> None:
    """Another request has looked at the one that comes late meanwhile."""
    both[0].on_models, both[1].on_models = lists(IMAGE_MODEL, VIDEO_MODEL), lists(VIDEO_MODEL)

    looked = threading.Event()

    async def after_the_other(*_: Any) -> None:
        await asyncio.to_thread(looked.wait, 60)

    async def looks_first(*_: Any) -> None:
        looked.set()

    both[0].on_ask, both[1].on_ask = after_the_other, looks_first
    both[1].stop()
    async with session(both, said, concurrency=1) as opened:
        await opened.opened.model.check(set())
        both[1].start()
        await asyncio.gather(*asks(opened), *asks(opened, 1, VIDEO_MODEL), *asks(opened, 6))
        with pytest.raises(UnlistedError):  # what was given a place there, and has not begun
            await opened.opened.model._look_again_at(1, IMAGE_MODEL)
    assert [len(each.asked) for each in both] == [7, 1]
    assert said == []


@pytest.fixture
def a_pause_is_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands still but for pauses."""
    now = 1000.0

    async def pause(*_: Any) -> None:
        nonlocal now
        now += 60

    for module in (places, retry, spread):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    for paused in (retry.RetryPolicy, spread.SpreadModel):
        monkeypatch.setattr(paused, "_pause", pause)


@pytest.mark.usefixtures("a_pause_is_a_minute")
async def test_all_of_them_away_are_waited_for_and_then_end_the_run(both: list[FakeServers], said: list[str]) -> None:
    for each in both:
        each.stop()
    async with session(both, said, wait_s=90) as opened:
        with pytest.raises(ServiceLostError) as ended:
            await opened.opened.model.check(set())
    each = "; ".join(f"endpoint {it.url}/v1: cannot be reached (Connection refused)" for it in both)
    how = "(is it running? babelview up starts it)"
    assert said == [f"none of the endpoints is there: {each}; waiting up to 90 s {how}"]
    assert str(ended.value) == f"none of the endpoints is there: {each}, for 90 s; gave up waiting {how}"


@pytest.mark.usefixtures("a_pause_is_a_minute")
async def test_all_of_them_dying_end_the_run(both: list[FakeServers], said: list[str]) -> None:
    async with session(both, said, wait_s=90) as opened:
        await opened.opened.model.check(set())
        for each in both:
            each.stop()
        with pytest.raises(ServiceLostError, match=r"gave up waiting \(is it running\? babelview up starts it\)"):
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


async def test_one_that_was_never_there_is_waited_for_when_the_other_is_lost(
    both: list[FakeServers], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any) -> Any:
        return error(401, "who are you?")

    both[0].on_ask = refuse
    both[1].stop()
    async with session(both, said) as opened:
        await opened.opened.model.check(set())

        async def pause() -> None:
            both[1].start()

        monkeypatch.setattr(opened.opened.model, "_pause", pause)
        await ask(opened)
    assert [len(each.asked) for each in both] == [1, 1]
    assert [line for line in said if both[1].url in line and "no other is there; waiting up to" in line]


async def test_one_that_is_not_there_at_the_start_is_asked_by_one_request(
    both: list[FakeServers], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def starting(*_: Any) -> Any:
        return error(503, "starting")

    monkeypatch.setattr(places, "FIRST_AWAY_S", 600.0)
    monkeypatch.setattr(places, "LONGEST_AWAY_S", 600.0)
    both[1].on_models = starting
    async with session(both, said, concurrency=8) as opened:
        for _ in range(2):
            await opened.opened.model.check({asked_of().plan.requests[Kind.IMAGE][0].model})
        looked = both[1].checked
        await ask(opened, 16)
    assert [len(each.asked) for each in both] == [16, 0]
    assert both[1].checked == looked
    assert len([line for line in said if "others are asked meanwhile" in line]) == 1


async def test_a_stream_that_is_closed_gives_its_place_back_at_once(
    both: list[FakeServers], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (request,), closed, of_one = asked_of().plan.requests[Kind.IMAGE], [], ModelClient.stream

    async def watched(*asked: Any) -> AsyncGenerator[Any, None]:
        try:
            async with contextlib.aclosing(of_one(*asked)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            closed.append(True)

    monkeypatch.setattr(ModelClient, "stream", watched)
    async with session(both, said, concurrency=1) as opened:
        await opened.opened.model.check(set())
        pieces = opened.opened.model.stream(request, b"", (), "a.png")
        await anext(pieces)
        await pieces.aclose()
        assert closed

        async def attempt(number: int) -> int:
            return number

        assert await opened.opened.model.places.ask(request.model, attempt) == 0


def test_a_server_that_is_stopped_keeps_its_port(both: list[FakeServers]) -> None:
    both[0].stop()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", both[0].port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", both[0].port), 60)
    both[0].start()
    socket.create_connection(("127.0.0.1", both[0].port), 60).close()
