"""What is kept of a live session: also of one that is over while something of it still comes."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
from collections import Counter
from contextlib import aclosing
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from fake_servers import FakeServers, completion
from live_cameras import ScriptedReader, Watched, clip
from live_events import BEGAN, PLAN, SECOND, caption, said

from client.api.live import _close, _Outputs
from client.endpoints.translation import Translated
from client.export.atomic import replacing
from client.ledger.results import Results
from client.live.alerts import AlertState
from client.live.asker import AlertAnswer, Asked
from client.live.events import LiveAlert, LiveSession
from client.live.files import JsonLines
from client.live.live_ledger import LiveLedger
from client.live.subtitles import LiveSubtitles
from client.live.watch import Hearing, LiveStats, Watch
from client.media.content import SoundPiece, Span
from client.media.worker import memory_bytes
from client.record import records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import web

    from client import LiveEvent
    from client.live.events import LiveCaption


def two_sessions() -> list[LiveCaption]:
    """Of which the first one's last caption comes after the second one's first."""
    first, second = LiveSession("20261130-a", BEGAN), LiveSession("20261130-b", BEGAN, 6 * SECOND)
    return [
        caption(0, 2, "one", first),
        caption(2, 4, "two", first),
        caption(6, 8, "four", second),
        caption(4, 6, "three, late", first),
        caption(8, 10, "five", second),
    ]


def test_lines_of_a_session_that_is_over_stand_in_the_newest_file(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path, 1)
    for event in two_sessions():
        lines.write(event)
    lines.close()
    (file,) = tmp_path.iterdir()
    assert file.name == "live-20261130-b-0001.jsonl"
    assert [json.loads(line)["end"] for line in file.read_text().splitlines()] == [8, 6, 10]


async def test_a_session_that_is_over_gets_its_late_answers_and_is_not_ended_again(tmp_path: Path) -> None:
    ledger = LiveLedger(tmp_path, PLAN, "camera")
    for event in two_sessions():
        ledger.received += 20
        await ledger.add(event)
    ledger.close({})
    with Results(tmp_path) as results:
        found = list(records(results))
    assert [record["file"] for record in found] == ["camera#20261130-a", "camera#20261130-b"]
    assert [record["frames"] for record in found] == [60, 40]
    texts = [[it["text"] for it in record["tasks"]["captions"]["segments"]] for record in found]
    assert texts == [["one", "two", "three, late"], ["four", "five"]]


def shown(folder: Path, language: str) -> str:
    """All segments that are there."""
    return "".join(path.read_text() for path in sorted((folder / "subtitles").glob(f"{language}-*.vtt")))


def test_what_is_heard_late_is_in_the_subtitles(tmp_path: Path) -> None:
    subtitles = LiveSubtitles(tmp_path, BEGAN)
    pieces = [said(4 * number, 4 * number + 3, f"<{number}>") for number in range(12)]
    waiting = list(pieces)
    for now_s in range(0, 80, 2):  # a piece is heard 15 seconds after its end
        subtitles.heard_until_s = min([now_s - 10.0, *(piece.start_us / SECOND for piece in waiting[:1])])
        subtitles.add(caption(now_s, now_s + 2, f"caption {now_s}"))
        while waiting and waiting[0].end_us / SECOND + 15 <= now_s:
            subtitles.add(waiting.pop(0))
    found = shown(tmp_path, "said.eng_Latn")
    assert [number for number in range(12) if f"&lt;{number}&gt;" not in found] == []
    assert "caption 70" in shown(tmp_path, "eng_Latn"), "captions wait for what is heard"


def test_subtitles_of_what_is_said_alone_are_written_too(tmp_path: Path) -> None:
    subtitles = LiveSubtitles(tmp_path, BEGAN)
    for number in range(60):
        subtitles.heard_until_s = 4.0 * number - 8
        subtitles.add(said(4 * number, 4 * number + 3, f"piece {number}"))
    assert len(subtitles._tracks["said.eng_Latn"].texts) <= 6
    assert "piece 50" in shown(tmp_path, "said.eng_Latn")
    assert "said.eng_Latn-00000037.vtt" in (tmp_path / "subtitles" / "said.eng_Latn.m3u8").read_text()
    subtitles.close()
    assert "piece 59" in shown(tmp_path, "said.eng_Latn")


def test_the_last_words_before_a_silence_are_written_all_the_same(tmp_path: Path) -> None:
    subtitles = LiveSubtitles(tmp_path, BEGAN)
    subtitles.add(caption(0, 4, "the last caption"))
    subtitles.add(said(1, 4, "the last words"))
    assert not shown(tmp_path, "*")
    subtitles.heard_until_s = 20.0
    subtitles.flush(12.0)
    assert "the last caption" in shown(tmp_path, "eng_Latn")
    assert "the last words" in shown(tmp_path, "said.eng_Latn")
    subtitles.add(caption(4, 14, "late"))
    subtitles.close()
    assert "00:00:12.000 --> 00:00:14.000\nlate" in shown(tmp_path, "eng_Latn")


async def test_subtitles_are_written_while_nothing_comes(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: asyncio.Queue[float] = asyncio.Queue()
    monkeypatch.setattr("client.api.live.SEGMENT_S", 0.01)
    monkeypatch.setattr(LiveSubtitles, "flush", lambda _, until_s: flushed.put_nowait(until_s))
    watched = Watched(servers.url, tmp_path, monkeypatch)
    monkeypatch.setattr("live_cameras.ScriptedReader.clip", lambda *_: asyncio.Event().wait())
    watching = asyncio.create_task(anext(watched(output=tmp_path, subtitles=True, answer_s=1000)))  # type: ignore[arg-type]
    assert await flushed.get() < await flushed.get() < -900, "an answer may still come"
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


def test_a_language_that_comes_late_and_one_after_a_long_silence_begin_where_the_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []

    def noted(path: Path) -> Any:
        written.append(path)
        return replacing(path)

    monkeypatch.setattr("client.live.subtitles.replacing", noted)
    subtitles = LiveSubtitles(tmp_path, BEGAN)
    hours_s = 12 * 3600
    subtitles.add(caption(0, 10, "A car."))
    for start_s in (hours_s, hours_s + 10):
        event = caption(start_s, start_s + 10, "A car.")
        translated = {"spa_Latn": [Translated("Un coche.", Counter(), [])]}
        subtitles.add(replace(event, answers=(replace(event.answers[0], translations=translated),)))
    for language in ("eng_Latn", "spa_Latn"):
        files = sorted(path.name for path in (tmp_path / "subtitles").glob(f"{language}-*.vtt"))
        playlist = (tmp_path / "subtitles" / f"{language}.m3u8").read_text()
        listed = [line for line in playlist.splitlines() if line.endswith(".vtt")]
        assert listed == files[-len(listed) :]
        assert len(files) <= 20
        assert listed[-1] == f"{language}-{(hours_s + 20) // 6 - 1:08}.vtt"
    assert len(written) < 30, "those that nobody looks for were written too"


def test_what_was_heard_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.live.watch.time.monotonic", lambda: 100.0)
    nobody: Any = None
    hearing = Hearing(nobody, nobody)
    watch = Watch(
        nobody, nobody, [], every_s=1, rotate_s=60, began=(0.0, BEGAN), name="it", notify=print, hearing=hearing
    )
    assert watch.heard_until_s == 90
    for number in range(5):
        watch.heard(SoundPiece(Span((10 + number) * SECOND, (11 + number) * SECOND), b""))
    assert watch.heard_until_s == 11, "the oldest one was left out"


async def test_all_is_closed_whatever_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError("no space left on device")

    about: Any = SimpleNamespace(
        planned=SimpleNamespace(plan=PLAN),
        source=SimpleNamespace(name="camera"),
        options={"subtitles": True},
        stats=LiveStats(),
        received=0,
    )
    outputs = _Outputs(about, tmp_path, BEGAN, about, about)
    assert outputs.subtitles
    monkeypatch.setattr(outputs.subtitles, "close", full)
    actions: Any = SimpleNamespace(close=asyncio.Event().wait)
    closing = asyncio.create_task(_close(actions, outputs))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(OSError, match="no space left"):
        await closing
    LiveLedger(tmp_path, PLAN, "camera").close({})  # it would else be another run's


async def test_an_error_of_what_hears_ends_the_run_at_once() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    nobody: Any = None
    source: Any = SimpleNamespace(clip=never, close=lambda: None)
    asker: Any = SimpleNamespace(timeout_s=60)
    watch = Watch(
        *(source, asker, []),
        every_s=1,
        rotate_s=60,
        began=(0.0, BEGAN),
        name="it",
        notify=print,
        hearing=Hearing(nobody, nobody),
    )
    watch.heard(SoundPiece(Span(0, SECOND), b""))
    async with asyncio.timeout(30):
        with pytest.raises(AttributeError):
            await anext(watch.events())


class HalfFull:
    """A file on a disk that is full in the middle of a line."""

    def __init__(self, file: Any) -> None:
        self._file, self.truncate, self.close = file, file.truncate, file.close

    def write(self, line: memoryview) -> int:
        if len(line) < 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return int(self._file.write(line[:100]))


def test_a_line_that_a_full_disk_cuts_off_is_taken_back(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path, None)
    lines.write(caption(0, 2, "one"))
    full: Any = HalfFull(lines._file)
    lines._file = full
    with pytest.raises(OSError, match="No space left"):
        lines.write(caption(2, 4, "two"))
    lines.close()
    (file,) = tmp_path.iterdir()
    assert [json.loads(line)["end"] for line in file.read_text().splitlines()] == [2]


@pytest.mark.parametrize("in_the_way", ["alerts", "live-*.jsonl"])
async def test_an_alert_that_cannot_be_kept_is_told_all_the_same(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_the_way: str
) -> None:
    async def yes(_: web.Request, body: dict[str, Any], __: int) -> web.Response | None:
        return completion("Yes") if "structured_outputs" in body else None

    servers.on_ask = yes
    monkeypatch.setattr("client.live.actions._CLOSE_S", 100.0)
    kept, rung = tmp_path / "kept", tmp_path / "rung"
    kept.mkdir()
    if in_the_way == "alerts":  # a file where the folder of the stills would be
        (kept / in_the_way).touch()
    else:
        monkeypatch.setattr(JsonLines, "_begin", lambda *_: (kept / "none" / "live.jsonl").open("ab"))
    watched = Watched(servers.url, tmp_path, monkeypatch)
    events: list[LiveEvent] = []

    async def take(all_of_them: AsyncIterator[LiveEvent]) -> None:
        async for event in all_of_them:
            events.append(event)  # noqa: PERF401  # those that came before it failed stay

    how: dict[str, Any] = {"tasks": [], "alerts": ["Is it?"], "output": kept, "on_alert": f"sh -c 'cat > {rung}'"}
    with pytest.raises(OSError, match=r"File exists|No such file"):
        await take(watched(clip, clip, **how))
    (told,) = [event.to_json() for event in events]
    assert told["answer"] == "yes"
    assert json.loads(await asyncio.to_thread(rung.read_text)) == {"source": str(tmp_path / "camera.mjpg"), **told}
    assert watched.stats.untold == 0


async def test_alerts_that_wait_for_room_are_told_when_something_else_ends_the_run(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def yes(*_: Any) -> web.Response:
        return completion("Yes")

    servers.on_ask = yes
    watched, failed = Watched(servers.url, tmp_path, monkeypatch), asyncio.Event()
    questions, told = [f"Is it {number}?" for number in range(6)], []

    async def fail(*_: Any) -> None:
        while watched.stats.alerts < len(questions):  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(0.01)
        failed.set()
        raise RuntimeError("what hears is gone")

    async def ready(*_: Any) -> Hearing:
        return Hearing(*(cast("Any", None),) * 2)

    monkeypatch.setattr("client.api.live._ready", ready)
    monkeypatch.setattr(Watch, "_hear", fail)
    kept = tmp_path / "kept"
    kept.mkdir()

    async def take(events: AsyncIterator[LiveEvent]) -> None:
        async for event in events:
            told.append(event.to_json()["question"])
            await failed.wait()

    with pytest.raises(RuntimeError, match="is gone"):
        await take(watched(clip, tasks=[], alerts=questions, answer_s=1000, output=kept))
    assert sorted(told) == questions
    (lines,) = kept.glob("live-*.jsonl")
    assert [json.loads(line)["question"] for line in lines.read_text().splitlines()] == told


async def test_all_that_has_come_is_known_also_what_the_queue_has_no_room_for() -> None:
    """Of a run that ends, as on a full disk, alerts are told all the same."""
    shown, nobody = clip(), SimpleNamespace()
    questions = [f"Is it {number}?" for number in range(6)]

    async def ask(_: Any, __: Any, answered: Any, **___: Any) -> Asked:
        for number in range(len(questions)):
            answered(AlertAnswer(number, True, *(cast("Any", nobody),) * 2))
        return Asked()

    reader: Any = ScriptedReader((lambda: shown,))
    watch = Watch(
        *(reader, cast("Any", SimpleNamespace(ask=ask)), [AlertState(question, 1) for question in questions]),
        every_s=1,
        rotate_s=60,
        began=(0.0, BEGAN),
        name="it",
        notify=print,
    )
    async with aclosing(watch.events()) as events:
        first = await anext(events)
        assert [it.question for it in (first, *watch.waiting()) if isinstance(it, LiveAlert)] == questions


async def test_alerts_that_are_not_told_when_it_ends_are_counted_and_said(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def yes(*_: Any) -> web.Response:
        return completion("Yes")

    servers.on_ask = yes
    monkeypatch.setattr("client.live.actions._CLOSE_S", 0.0)
    watched = Watched(servers.url, tmp_path, monkeypatch)
    hook = "http://127.0.0.1:9/"  # where nobody listens: it is tried again, for a minute
    assert [event async for event in watched(clip, tasks=[], alerts=["Is it?"], webhook=hook)]
    assert watched.told == ["--webhook: 1 alert was not told when the session ended"]
    assert (watched.stats.alerts, watched.stats.untold) == (1, 1)


def test_a_worker_takes_no_more_than_the_machine_lets_it_take() -> None:
    assert memory_bytes(1 << 30) == 1 << 30
    assert memory_bytes(8 << 30) == memory_bytes(resource.RLIM_INFINITY) == 3 << 30
