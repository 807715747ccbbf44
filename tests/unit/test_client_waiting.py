"""How long and how often something is tried again."""

from __future__ import annotations

import asyncio
import email.utils
import time

import pytest

from client.endpoints.retry import FAILURES_TO_LOSE, RetryPolicy, failure, read_retry_after
from client.errors import AuthError, FailedError, RefusedError, RequestError, ServiceLostError, UnavailableError


@pytest.mark.parametrize(
    ("value", "pause_s"),
    [
        *(("3", 3.0), ("0.5", 0.5), (None, None), ("soon", None), ("-1", 0.0), ("inf", None), ("nan", None)),
        *(("1e400", None), ("9" * 400, None), ("1_0", None), ("Mon, 01 Jan 99999 00:00:00 GMT", None)),
    ],
)
def test_retry_after(value: str | None, pause_s: float | None) -> None:
    assert read_retry_after(value) == pause_s


def test_retry_after_may_be_a_date() -> None:
    date = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert 55 < (read_retry_after(date) or 0) <= 60


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, RefusedError) for status in (400, 413, 422)),
        *((status, FailedError) for status in (408, 409, 500)),
        *((status, UnavailableError) for status in (429, 502, 503, 504)),
        (404, RequestError),
        (401, AuthError),
    ],
)
def test_what_a_status_means(status: int, kind: type[Exception]) -> None:
    assert type(failure(status, "why", None)) is kind


def test_a_server_that_fails_at_one_request_is_not_waited_for() -> None:
    assert type(failure(502, "why", None, "poison_request")) is RequestError
    assert type(failure(502, "why", None, "engine_error")) is FailedError
    assert type(failure(502, "why", None, "other")) is UnavailableError


async def test_a_request_that_keeps_failing_is_given_up() -> None:
    notes: list[str] = []
    service = RetryPolicy("it", wait_s=60, notify=notes.append, stop=asyncio.Event())
    tries = 0

    async def fail() -> None:
        nonlocal tries
        tries += 1
        raise FailedError("oops", retry_after=0)

    with pytest.raises(RequestError, match=r"oops \(5 attempts\)"):
        await service.call(fail, "a")
    assert tries == 5
    assert notes == []


async def test_a_busy_server_that_asks_for_too_long_a_wait_is_not_obeyed() -> None:
    service = RetryPolicy("it", wait_s=5, notify=lambda _: None, stop=asyncio.Event())

    async def busy() -> None:
        raise UnavailableError("full", retry_after=3600, busy=True)

    with pytest.raises(RequestError, match="asks to wait 60 min"):
        await service.call(busy, "a")


class Unhurried(RetryPolicy):
    """Notes how long it would pause, and does not."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.notes: list[str] = []
        super().__init__("it", wait_s=600, notify=self.notes.append, stop=asyncio.Event())

    async def _pause(self, pause_s: float) -> None:
        self.pauses.append(pause_s)


async def away(service: RetryPolicy, times: int, retry_after: float | None, *, busy: bool) -> None:
    left = iter(range(times))

    async def attempt() -> None:
        if next(left, None) is not None:
            raise UnavailableError("full", retry_after, busy=busy)

    await service.call(attempt, "a")


@pytest.mark.parametrize("retry_after", [None, 0.0])
async def test_who_is_told_to_come_back_at_once_waits_longer_each_time(retry_after: float | None) -> None:
    service = Unhurried()
    await away(service, 6, retry_after, busy=True)
    assert all(0.25 * 2**tries <= pause <= 0.5 * 2**tries for tries, pause in enumerate(service.pauses))


async def test_pauses_are_jittered() -> None:
    """Requests that wait for the same server come back one by one: within half of the pause, or a quarter beyond."""
    for retry_after, busy, least, most in ((None, True, 1.0, 2.0), (None, False, 1.0, 2.0), (60.0, True, 60.0, 75.0)):
        last: list[float] = []
        for _ in range(40):
            service = Unhurried()
            await away(service, 3, retry_after, busy=busy)
            last.append(service.pauses[-1])
        assert least <= min(last)
        assert max(last) <= most
        assert max(last) - min(last) > (most - least) / 2
        assert len(set(last)) == 40


async def test_a_retry_after_of_moments_is_jittered_by_the_first_pause() -> None:
    service = Unhurried()
    await away(service, 60, 0.01, busy=True)
    assert max(service.pauses) - min(service.pauses) > 0.25
    assert min(service.pauses) >= 0.01
    assert max(service.pauses) <= 0.51


async def test_a_long_pause_that_the_server_asks_for_is_told_before_it() -> None:
    service = Unhurried()
    await away(service, 1, 60, busy=False)
    assert 60 <= service.pauses[0] <= 75
    assert service.notes[0] == "it: full; waiting up to 10 min for it"


async def test_late_answers_of_a_server_that_shuts_down_are_no_return() -> None:
    service, late = Unhurried(), asyncio.Event()
    earlier = asyncio.create_task(service.call(late.wait, "earlier"))
    await asyncio.sleep(0)
    left = iter(range(2))

    async def attempt() -> None:
        if (times := next(left, None)) is None:
            return
        if times:
            late.set()
            await earlier
        raise UnavailableError("shutting down", retry_after=1)

    await service.call(attempt, "a")
    assert [note.partition(" after")[0] for note in service.notes] == [
        "it: shutting down; waiting up to 10 min for it",
        "it: back",
    ]


async def test_a_server_that_is_too_busy_for_anybody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Unhurried()
    await away(service, 3, 0.1, busy=True)
    assert service.notes == []
    monkeypatch.setattr("client.endpoints.retry.BUSY_NOTED_S", 0.0)
    await away(service, 3, 0.1, busy=True)
    assert service.notes[0] == "it: full; waiting up to 10 min for it"


async def test_a_server_that_gives_nothing_but_errors_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.endpoints.retry.FIRST_PAUSE_S", 0.0)
    service = RetryPolicy("it", wait_s=0.1, notify=lambda _: None, stop=asyncio.Event())

    async def fail() -> None:
        await asyncio.sleep(0.005)
        raise FailedError("oops")

    for _ in range(FAILURES_TO_LOSE - 1):
        with pytest.raises(RequestError):
            await service.call(fail, "a")
    with pytest.raises(ServiceLostError, match="20 requests failed one after the other; the last: oops"):
        await service.call(fail, "a")


async def test_an_answer_between_failures_begins_the_count_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.endpoints.retry.FIRST_PAUSE_S", 0.0)
    service = RetryPolicy("it", wait_s=0.0, notify=lambda _: None, stop=asyncio.Event())

    async def fail() -> None:
        await asyncio.sleep(0)
        raise FailedError("oops")

    async def answer() -> str:
        return "words"

    for _ in range(3):
        for _ in range(FAILURES_TO_LOSE - 1):
            with pytest.raises(RequestError):
                await service.call(fail, "a")
        assert await service.call(answer, "a") == "words"
