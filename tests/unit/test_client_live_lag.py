"""How old a caption may be: what would be too old is not asked about, or given up; alerts still are."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from fake_servers import FakeServers, completion
from live_cameras import Watched, clip

from client import LiveAlert, LiveCaption
from client.live.lag import LagBound
from client.live.messages import Clip, Ended
from client.live.newest import Newest
from client.live.reader_process import _State
from client.media.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aiohttp import web

SECOND = 1_000_000
FOR_EVER_S = 1000.0


# -- the bound ------------------------------------------------------------------------------------------------


def bound_after(*took_s: float | None, every_s: float = 2.0, most_s: float | None = None) -> LagBound:
    """One that knows these answers; None: one was given up."""
    bound = LagBound(every_s, most_s)
    for each_s in took_s:
        bound.gave_up() if each_s is None else bound.answered(each_s)
    return bound


def test_no_caption_is_older_than_two_periods() -> None:
    bound = bound_after(3.0, 3.1, 2.9)
    assert bound.limit_s == 4.0
    assert bound.oldest_s == pytest.approx(4 - 1.25 * 3)
    assert bound_after(0.5).oldest_s == pytest.approx(4 - 1.25 * 0.5)
    assert bound_after(3.9).oldest_s == 0.25, "a frame that has just come is asked about, however slow the model is"


def test_the_first_answer_has_its_time_and_a_model_that_is_always_slower_has_twice_its_own() -> None:
    assert bound_after().limit_s == bound_after().oldest_s == float("inf")
    assert bound_after(10.0).limit_s == 20.0
    assert bound_after(10.0, 1.0).limit_s == 4.0, "the first one was slow, as a server is at first"
    assert bound_after(10.0).oldest_s == pytest.approx(20 - 12.5)


def test_answers_that_are_given_up_again_and_again_get_more_time() -> None:
    assert bound_after(3.0, 3.0, 3.0, None, None).limit_s == 4.0
    assert bound_after(3.0, 3.0, None, None, None).limit_s == bound_after(None).oldest_s == float("inf")
    assert bound_after(None, None, None, 6.0, 6.0, 6.0).limit_s == 12.0
    assert bound_after(None, None, None, most_s=5.0).limit_s == 5.0, "what the user says holds"
    assert bound_after(None, most_s=5.0).oldest_s == 0.25


# -- frames ---------------------------------------------------------------------------------------------------


def test_frames_of_a_choice_that_no_caption_is_about_are_dropped_unless_the_next_one_covers_them() -> None:
    newest = Newest[int](2, SECOND)
    for number in range(10):
        newest.add(number * SECOND // 10, number)
    newest.choose()
    for number in range(10, 15):
        newest.add(number * SECOND // 10, number)
    newest.choose(for_caption=False)
    assert newest.dropped == 5
    assert not newest.has_new
    newest.add(15 * SECOND // 10, 15)
    newest.choose()
    assert newest.dropped == 0, "the last second has all of them"


class State(_State):
    """What a process that reads knows of a source; its frames are numbers."""

    def __init__(self, *, span_s: float = 1.0) -> None:
        super().__init__(SimpleNamespace(sampling=Sampling(frames=1), span_us=round(span_s * SECOND)))  # type: ignore[arg-type]
        self.video, self.begun, self._at_us = SimpleNamespace(), True, 0  # type: ignore[assignment]

    def show(self) -> None:
        """A frame."""
        self._at_us += SECOND // 10
        self.add(self._at_us, 0, SimpleNamespace(), settled=True)  # type: ignore[arg-type]

    def asked(self, oldest_s: float = float("inf"), then: Callable[[], None] | None = None) -> Clip | Ended:
        """What it gives; `then` happens once it waits for something."""
        if then:
            self.changed = Waiting(then)
        return self.next_clip(SimpleNamespace(take=lambda *_: b"jpeg"), oldest_s)  # type: ignore[arg-type]


class Waiting(threading.Condition):
    """Who waits for something waits until this happens."""

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__()
        self._then = then

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        if not predicate():
            self._then()
        return predicate()


def test_frames_that_lay_there_while_the_model_answered_are_old_once_the_source_is_lost() -> None:
    state = State()
    state.show()
    state.shown_s -= 3.0
    state.end(Ended("connection reset"))
    clip = state.asked(oldest_s=1.0)
    assert isinstance(clip, Clip)
    assert clip.is_old
    assert (clip.received, clip.dropped) == (1, 1)
    assert state.asked() == Ended("connection reset")


def test_a_newer_frame_is_waited_for_and_asked_about_instead() -> None:
    state = State()
    state.show()
    state.shown_s -= 30.0
    clip = state.asked(oldest_s=20.0, then=state.show)
    assert isinstance(clip, Clip)
    assert not clip.is_old
    assert (clip.received, clip.dropped) == (2, 0)


def test_the_last_moment_of_a_film_is_told_once() -> None:
    state = State(span_s=4 * FOR_EVER_S)
    state.show()
    state.ends_s = time.monotonic() + FOR_EVER_S

    def end() -> None:
        state.show()
        state.end(Ended(""))

    clip = state.asked(then=end)
    assert isinstance(clip, Clip)
    assert clip.received == 2, "it ends within half of the time that a caption is about, and that was not waited for"
    assert state.asked() == Ended("")


# -- a session ------------------------------------------------------------------------------------------------


@pytest.fixture
def watched(servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(servers.url, tmp_path, monkeypatch)


async def test_an_answer_that_would_be_too_old_is_given_up(servers: FakeServers, watched: Watched) -> None:
    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    servers.on_ask = never
    (event,) = [event async for event in watched(lambda: clip(age_s=FOR_EVER_S), max_lag_s=FOR_EVER_S)]
    assert isinstance(event, LiveCaption)
    assert not event.answers
    assert event.error == "given up: it would be older than 1000 s (--max-lag)"
    stats = watched.stats
    assert (stats.captions, stats.too_old, stats.failed) == (0, 1, 1)


async def test_what_is_too_old_is_not_asked_about_but_for_alerts(servers: FakeServers, watched: Watched) -> None:
    async def yes(_: web.Request, body: dict[str, Any], __: int) -> web.Response | None:
        return completion("Yes") if "structured_outputs" in body else None

    servers.on_ask = yes
    clips = (clip, lambda: clip(at_s=2, age_s=3, is_old=True))
    events = [event async for event in watched(*clips, max_lag_s=FOR_EVER_S)]
    assert len(events) == len(servers.asked) == 1
    assert watched.stats.too_old == 1
    servers.asked.clear()
    (alert,) = [event async for event in watched(clips[1], alerts=["Is it?"], max_lag_s=FOR_EVER_S)]
    assert isinstance(alert, LiveAlert)
    assert alert.lag_s >= 3
    assert len(servers.asked) == 1, "a caption was asked for too"


async def test_an_alert_waits_for_no_caption(servers: FakeServers, watched: Watched) -> None:
    told = threading.Event()

    async def yes(_: web.Request, body: dict[str, Any], __: int) -> web.Response | None:
        if "structured_outputs" in body:
            return completion("Yes")
        await asyncio.to_thread(told.wait)
        return None

    servers.on_ask = yes
    kinds = []
    async for event in watched(clip, alerts=["Is it?"], answer_s=FOR_EVER_S, max_lag_s=FOR_EVER_S):
        kinds.append(type(event))
        told.set()
    assert kinds == [LiveAlert, LiveCaption]


async def test_the_age_that_frames_may_have_follows_from_what_answers_take(watched: Watched) -> None:
    assert [event async for event in watched(clip, clip, clip, every_s=0.2)]
    first, second, *_ = watched.wanted_s
    assert first == float("inf"), "nobody knows yet"
    assert second < float("inf")


async def test_the_first_answer_does_not_wait_for_what_checks_it(
    servers: FakeServers, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    async def asked(*_: Any) -> None:
        done.append("asked")

    servers.on_ask = asked
    monkeypatch.setattr("client.api.live.language.load", lambda: done.append("loaded"))
    assert [event async for event in watched(clip)]
    assert done == ["loaded", "asked"]
