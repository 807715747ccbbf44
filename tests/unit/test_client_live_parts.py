"""The parts of a live session: which frames are chosen, whose clock counts, what changes, what is kept."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from aiohttp import web
from batch_runs import wait_until
from fake_servers import free_port
from live_events import BEGAN, SECOND, caption

from client.errors import UsageError
from client.live.actions import Actions, webhook_key, webhook_of
from client.live.alerts import AlertState
from client.live.clock import FrameClock
from client.live.files import JsonLines
from client.live.newest import Newest
from client.live.source import Pace
from client.live.subtitles import LiveSubtitles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


# -- frames ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1, 10, 60])
def test_few_frames_are_held_and_the_chosen_ones_are_even(rate: int) -> None:
    newest = Newest[int](4, 2 * SECOND)
    for number in range(10 * rate):
        newest.add(number * SECOND // rate, number)
        assert len(newest._kept) <= 2 * 4 + 2
    chosen = [kept.at_us for kept in newest.choose()]
    assert chosen[-1] == (10 * rate - 1) * SECOND // rate
    assert 2 * SECOND <= chosen[-1] - chosen[0] <= 2 * SECOND + SECOND // min(rate, 4) * 1.01
    gaps = [after - before for before, after in pairwise(chosen)]
    assert max(gaps) - min(gaps) <= 2 * SECOND // 8 + SECOND // rate


def test_frames_between_two_choices_are_counted() -> None:
    newest = Newest[int](2, SECOND)
    for number in range(10):
        newest.add(number * SECOND // 10, number)
        assert newest.is_full == (number >= 8), "three quarters of the time are enough, less is not"
    assert [kept.number for kept in newest.choose()] == [0, 9]
    assert newest.dropped == 0
    assert not newest.has_new
    for number in range(10, 40):
        newest.add(number * SECOND // 10, number)
    first, last = newest.choose()
    assert last.number == 39
    assert newest.dropped == first.number - 10
    assert newest.since_us == first.at_us


def test_a_single_frame_stands_for_the_time_before_it() -> None:
    newest = Newest[int](1, SECOND)
    for number in range(30):
        newest.add(number * SECOND // 10, number)
    assert [kept.number for kept in newest.choose()] == [29]
    assert newest.since_us <= 2 * SECOND


# -- clocks ---------------------------------------------------------------------------------------------------


def test_frames_that_come_late_are_shown_when_they_were_due() -> None:
    clock = FrameClock(Pace.LIVE)
    shown: list[float] = []
    for number, delay_s in enumerate([0.3, 0.0, 0.5, 0.1, 0.0]):
        shown.append(clock.place(50 + number / 2, 10 + number / 2 + delay_s).local_s + clock.offset_s)
    assert shown[1:] == pytest.approx([10.5, 11.0, 11.5, 12.0])


def test_frames_that_lay_in_a_buffer_are_none_that_were_just_made() -> None:
    clock = FrameClock(Pace.LIVE)
    for number in range(50):  # two seconds of them at once
        clock.place(number / 25, 5.0 + number / 1000)
        assert not clock.is_settled
    for number in range(50, 60):
        clock.place(number / 25, 5.05 + (number - 50) / 25)
    assert clock.is_settled


def test_who_decodes_too_slowly_falls_behind_and_a_source_that_is_later_does_not() -> None:
    clock = FrameClock(Pace.LIVE)
    clock.place(0.0, 0.0)
    for number in range(1, 10):
        clock.place(number / 10, number / 10 + 1.5)
        assert clock.is_behind
    clock.place(1.0, 1.0)
    assert not clock.is_behind
    for number in range(80):  # from now on it is two seconds later for good
        clock.place(1.1 + number / 10, 3.1 + number / 10)
    assert not clock.is_behind
    assert clock.offset_s == pytest.approx(2.0)


@pytest.mark.parametrize("pace", [Pace.LIVE, Pace.CLOCK])
@pytest.mark.parametrize("begins_anew", [0.0, 90_000.0])
def test_a_source_whose_time_jumps_goes_on(pace: Pace, begins_anew: float) -> None:
    clock = FrameClock(pace)
    times = [clock.place(500 + number / 10, number / 10) for number in range(10)]
    times += [clock.place(begins_anew + number / 10, 1 + number / 10) for number in range(10)]
    local = [placed.local_s for placed in times]
    assert [after - before for before, after in pairwise(local)] == pytest.approx([0.1] * 19)
    assert max(placed.wait_s for placed in times) < 0.01


def test_a_file_is_shown_by_its_clock_and_goes_on_after_a_stall() -> None:
    clock = FrameClock(Pace.CLOCK)
    assert [clock.place(number / 10, 0.0).wait_s for number in range(3)] == pytest.approx([0.0, 0.1, 0.2])
    assert clock.place(0.3, 7.0).wait_s == 0.0
    assert clock.place(0.4, 7.0).wait_s == pytest.approx(0.1)


def test_a_source_that_tells_no_times_is_shown_as_it_comes() -> None:
    clock = FrameClock(Pace.LIVE)
    assert [clock.place(None, now_s).local_s for now_s in (3.0, 4.0, 4.5)] == [3.0, 4.0, 4.5]


# -- alerts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///etc/passwd", r"^--webhook file://: must be a URL, http:// or https://$"),
        ("https://[::1/secret", r"^--webhook https://\[::1: is no URL: Invalid IPv6 URL$"),
        ("https://door.org:99999/secret", r"^--webhook https://door.org:99999: is no URL: Port out of range 0-65535$"),
        ("https:///secret", "^--webhook https://: names no host$"),
    ],
)
def test_a_webhook_that_cannot_be_one_is_refused_and_its_path_not_shown(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        webhook_of(url)


@pytest.mark.parametrize(
    ("after", "answers", "changes"),
    [
        (1, "ynnyyn", "yn.y.n"),
        (1, "nnn", "..."),
        (2, "ynyynynn", "...y...n"),
        (3, "yyyyy", "..y.."),
    ],
)
def test_an_answer_makes_a_change_once(after: int, answers: str, changes: str) -> None:
    state = AlertState("Is it?", after)
    told = "".join(answer if state.take(answer=answer == "y") else "." for answer in answers)
    assert told == changes


class Hook:
    """A server that is posted to: it answers with what it is told to, the last one again and again."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = [*statuses]
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{free_port()}/hook"

    async def _take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        return web.Response(status=status, headers={"Location": self.url} if status == 307 else {})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", int(self.url.split(":")[2].partition("/")[0])).start()
        try:
            yield
        finally:
            await runner.cleanup()


async def posted(hook: Hook, *alerts: dict[str, Any], key: bytes | None = b"key", untold: int = 0) -> list[str]:
    """What the user is told when these alerts are posted, of which so many are not taken."""
    told: list[str] = []
    async with hook.running():
        actions = Actions(None, hook.url, key, told.append, first_pause_s=0.01)
        for alert in alerts:
            actions.add(alert)
        await actions.close()
    assert actions.untold == untold
    return told


async def test_a_webhook_is_signed_as_standard_webhooks_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABELVIEW_WEBHOOK_KEY", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    key, hook = webhook_key(), Hook(204)
    assert not await posted(hook, {"question": "Is it?"}, key=key)
    ((headers, body),) = hook.got
    assert json.loads(body) == {"question": "Is it?"}
    assert key == base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


async def test_a_webhook_is_tried_again_under_the_same_id() -> None:
    hook = Hook(503, 429, 200)
    assert not await posted(hook, {"number": 1}, {"number": 2})
    bodies = [json.loads(body)["number"] for _, body in hook.got]
    assert bodies == [1, 1, 1, 2]
    ids = [headers["webhook-id"] for headers, _ in hook.got]
    assert len(set(ids[:3])) == 1
    assert ids[3] != ids[0]


@pytest.mark.parametrize(("status", "tries"), [(307, 1), (404, 1), (500, 6)])
async def test_a_webhook_that_is_not_taken_is_told(status: int, tries: int) -> None:
    hook = Hook(status)
    told = await posted(hook, {"number": 1}, untold=1)
    assert len(hook.got) == tries, "it was redirected, or not tried as often as it should be"
    assert told == [f"--webhook {hook.url.removesuffix('/hook')}: the alert was not taken (HTTP {status})"]


async def test_alerts_that_come_too_fast_are_bounded_and_those_that_are_left_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    actions = Actions(["sleep", "60"], None, None, told.append)
    for number in range(100):
        actions.add({"number": number})
    assert sum("the oldest was left out" in line for line in told) == 100 - 64
    monkeypatch.setattr("client.live.actions._CLOSE_S", 0.0)
    await actions.close()
    assert told[-1] == "--on-alert: 64 alerts were not told when the session ended"
    assert actions.untold == 100


async def test_an_alert_that_cannot_be_told_does_not_stop_the_next_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.live.actions._CLOSE_S", 30.0)
    told: list[str] = []
    file = tmp_path / "told"
    actions = Actions(["sh", "-c", f'echo "$ALERT_QUESTION" >> {file}'], None, None, told.append)
    for question in ("a\0b", "\ud800", "Is it?"):
        actions.add({"question": question})
    await actions.close()
    assert file.read_text() == "Is it?\n"
    assert len(told) == actions.untold == 2, told
    hook = Hook(204)
    assert len(await posted(hook, {"question": "\ud800"}, {"question": "Is it?"}, untold=1)) == 1
    assert [json.loads(body)["question"] for _, body in hook.got] == ["Is it?"]


async def test_what_a_command_has_started_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.live.actions._CLOSE_S", 0.0)
    file = tmp_path / "pid"
    actions = Actions(["sh", "-c", f"sleep 300 & echo $! > {file}; wait"], None, None, print)
    actions.add({"question": "Is it?"})
    await asyncio.to_thread(wait_until, lambda: file.exists() and file.read_text().endswith("\n"))
    child = psutil.Process(int(file.read_text()))
    await actions.close()
    await asyncio.to_thread(wait_until, lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 10.0)


@pytest.mark.parametrize(("key", "message"), [("whsec_!", "no base64"), ("whsec_é", "no base64"), ("whsec_", "no key")])
def test_a_webhook_key_that_cannot_be_one_is_refused(monkeypatch: pytest.MonkeyPatch, key: str, message: str) -> None:
    monkeypatch.setenv("BABELVIEW_WEBHOOK_KEY", key)
    with pytest.raises(UsageError, match=message):
        webhook_key()


# -- what is kept ---------------------------------------------------------------------------------------------


def test_lines_are_rotated_by_size_too(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path, 3, most_bytes=1000)
    for number in range(20):
        lines.write(caption(number, number + 1, "x" * 400))
    lines.close()
    files = sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert len(files) == 3
    assert all(path.stat().st_size < 2000 for path in files)
    last = json.loads(files[-1].read_text().splitlines()[-1])
    assert (last["start"], last["at"]) == (19.0, "2026-11-30T12:00:20.000+00:00")


def test_subtitles_are_a_window_that_moves(tmp_path: Path) -> None:
    subtitles = LiveSubtitles(tmp_path, BEGAN)
    subtitles.pts_at_0_s = 100.0
    for number in range(200):  # 400 seconds, each caption of the last three
        subtitles.add(caption(max(0, 2 * number - 1), 2 * number + 2, f"caption {number}"))
        playlist = tmp_path / "subtitles" / "eng_Latn.m3u8"
        if playlist.exists():
            listed = [line for line in playlist.read_text().splitlines() if not line.startswith("#")]
            assert len(listed) <= 10
            assert all((tmp_path / "subtitles" / name).exists() for name in listed)
    assert len(list((tmp_path / "subtitles").glob("*.vtt"))) <= 20
    assert max(len(track.texts) for track in subtitles._tracks.values()) <= 4
    subtitles.close()
    text = playlist.read_text()
    assert "#EXT-X-MEDIA-SEQUENCE:57\n#EXT-X-PROGRAM-DATE-TIME:2026-11-30T12:05:42.000+00:00\n" in text
    assert text.endswith("#EXT-X-ENDLIST\n")
    first = (tmp_path / "subtitles" / "eng_Latn-00000057.vtt").read_text()
    header = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:9000000,LOCAL:00:00:00.000\n\n"
    assert first.startswith(f"{header}00:05:42.000 --> 00:05:44.000\n")
    assert first.count("caption") == 3
