"""What is asked while later sound is still transcribed: as soon as it is known what is said in its own time."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from batch_runs import pictures, results, run, start, wait_until
from hearing_servers import said_of
from sound_files import tones, write

from client.media.content import SoundPiece, SoundSilence, Span
from client.media.sound import sound_pieces
from client.pending_transcript import Hearing, Held, Parts
from client.tasks.plan import UnitRequest
from client.tasks.transcript import Said
from client.tasks.units import window

if TYPE_CHECKING:
    from collections.abc import Callable

    from fake_servers import FakeServers

HELD_AT_MOST_S = 200
"""Sound is held so long at most, for what must be asked before; then the test fails by what it finds."""
LONG_S = 70
SPOKEN = {300: (1, 2.5), 500: (25, 27), 700: (50, 52), 900: (65, 67)}
"""Pitch -> seconds of its tone."""
TASKS = ("film.mkv", "--languages", "", "--ask-once", "--hear", "--tasks")


@cache
def film_of(higher: int) -> bytes:
    sound = sum(tones([span], LONG_S, pitch + higher, noise=0.0002) for pitch, span in SPOKEN.items())
    with tempfile.TemporaryDirectory() as folder:
        return write(Path(folder) / "film.mkv", [sound], video_s=LONG_S).read_bytes()  # type: ignore[list-item]


def film(folder: Path, name: str = "film.mkv", higher: int = 0) -> Path:
    path = folder / name
    path.write_bytes(film_of(higher))
    return path


def pitch_of(sound: bytes) -> int:
    return int(said_of(sound)["text"].split()[1])


def prompts(servers: FakeServers) -> list[str]:
    return [body["messages"][0]["content"][-1]["text"] for body in servers.asked]


def holding(servers: FakeServers, first: int, until: Callable[[], bool], text: str = "tone {}") -> list[bool]:
    """Hold what is said from the tone of a pitch on until something is true; whether it came to be, each time."""
    came: list[bool] = []

    async def hear(_: Any, sound: bytes, __: int) -> web.Response:
        if pitch_of(sound) >= first:
            for _attempt in range(HELD_AT_MOST_S * 20):
                if until():
                    break
                await asyncio.sleep(0.05)
            came.append(until())
        return web.json_response(said_of(sound, text=text))

    servers.on_hear = hear
    return came


@pytest.mark.parametrize("window_s", [10, 3])
def test_a_window_is_asked_about_while_later_sound_is_held(window_s: int, hearing: FakeServers, tmp_path: Path) -> None:
    """Seven windows are decoded before it is known what is said in them, two dozen are not."""
    film(tmp_path)
    early = 24 // window_s  # the second piece begins at 24.8 s
    came = holding(hearing, 500, lambda: len(hearing.asked) >= early)
    done = run(hearing, *TASKS, "captions", "--window", str(window_s), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ended(tmp_path)
    assert came == [True] * 3
    asked = prompts(hearing)
    assert sum("[1.0 s] tone 300" in text for text in asked[:early]) == 1
    assert not any("[25.0 s]" in text for text in asked[:early])
    count = -(-LONG_S // window_s)
    assert len(asked) == len(set(asked)) == count
    for pitch, (start_s, _) in SPOKEN.items():
        assert any(f"[{start_s}.0 s] tone {pitch}" in text for text in asked)
    segments = results(tmp_path)["files"][0]["tasks"]["captions"]["segments"]
    assert [segment["start"] for segment in segments] == [window_s * number for number in range(count)]
    assert run(hearing, *TASKS, "captions", "--window", str(window_s), cwd=tmp_path).returncode == 0
    assert len(hearing.asked) == count, "the same transcript is not the same question"


def test_what_is_told_nothing_waits_for_nothing(hearing: FakeServers, tmp_path: Path) -> None:
    """Pictures, other tasks, and merges of theirs; also of a third film, when two are heard."""
    pictures(tmp_path / "ads", 1)
    for number in range(3):
        film(tmp_path / "ads", f"{number}.mkv", 50 * number)
    (tmp_path / "mine" / "steps").mkdir(parents=True)
    (tmp_path / "mine" / "steps" / "window.md").write_text("What is seen from {start} to {end}?")
    (tmp_path / "mine" / "steps" / "merge.md").write_text("Sum up: {answers}")
    untold = 1 + 3 * (1 + 4 + 1)
    came = holding(hearing, 300, lambda: len(hearing.asked) >= untold)
    arguments = ("--tasks", "tags,steps,captions", "--prompts", "mine", "--window", "20", "--hear", "--languages", "")
    done = run(hearing, "ads", *arguments, "--ask-once", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ended(tmp_path)
    assert came == [True] * 12
    assert not any("tone" in text for text in prompts(hearing)[:untold])
    assert len(hearing.asked) == untold + 3 * 4
    assert results(tmp_path)["stats"]["failures"] == 0


def test_a_file_is_asked_about_when_what_is_said_fills_the_prompt(hearing: FakeServers, tmp_path: Path) -> None:
    film(tmp_path)
    came = holding(hearing, 700, lambda: len(hearing.asked) >= 1, "tone {}" + " and" * 300)
    assert run(hearing, *TASKS, "describe", cwd=tmp_path).returncode == 0
    assert came == [True] * 2
    (asked,) = prompts(hearing)
    assert "[1.0 s] tone 300 and and" in asked
    assert "[more lines are left out]" in asked
    assert run(hearing, *TASKS, "describe", cwd=tmp_path).returncode == 0
    assert len(hearing.asked) == 1, "the whole transcript makes the same question"


def test_a_file_waits_for_its_sound_where_little_is_said(hearing: FakeServers, tmp_path: Path) -> None:
    film(tmp_path)
    asked: list[int] = []

    def looked_often() -> bool:
        asked.append(len(hearing.asked))
        return len(asked) > 8

    holding(hearing, 300, looked_often)
    assert run(hearing, *TASKS, "describe,sentiment", cwd=tmp_path).returncode == 0
    assert set(asked) == {0}
    assert [text.count("] tone ") for text in prompts(hearing)] == [4, 4]


@pytest.mark.parametrize(("room", "window_s"), [(0, 30), (64 << 20, 30), (64 << 20, 4)])
def test_the_answers_are_those_of_a_run_that_heard_before(
    room: int, window_s: int, hearing: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, windows and merges, whether there is room to hold what is decoded or not."""
    monkeypatch.setattr("client.job.MOST_HELD_BYTES", room)
    film(tmp_path)
    arguments = (*TASKS, "describe,tags,summary,captions", "--window", str(window_s))
    assert run(hearing, *TASKS, "transcript", "--output", "heard", cwd=tmp_path).returncode == 0
    came = holding(hearing, 500, lambda: len(hearing.asked) >= 1)
    assert run(hearing, *arguments, "--output", "early", cwd=tmp_path).returncode == 0
    assert ended(tmp_path, "early")
    assert came == [True] * 3
    early, hearing.asked[:] = prompts(hearing), []
    assert run(hearing, *arguments, "--output", "heard", cwd=tmp_path).returncode == 0
    assert sorted(prompts(hearing)) == sorted(early)
    assert len(early) == 2 + 2 * -(-LONG_S // window_s) + 1
    files = [json.loads((tmp_path / name / "results.json").read_text())["files"][0] for name in ("early", "heard")]
    early_tasks, heard_tasks = (file["tasks"] for file in files)
    assert early_tasks.keys() == heard_tasks.keys()
    assert early_tasks["summary"]["text"]


@pytest.mark.parametrize("window", ["3", "scenes"])
def test_a_run_that_is_killed_while_it_hears_asks_nothing_twice(
    window: str, hearing: FakeServers, tmp_path: Path
) -> None:
    if window == "scenes":
        pytest.importorskip("scenedetect", reason="the extra `scenes` finds cuts: pip install -e '.[scenes]'")
    film(tmp_path)
    arguments = (*TASKS, "captions,tags", "--window", window)
    stops = [False]
    holding(hearing, 700, lambda: stops[0])
    early = 1 + {"3": 16, "scenes": 12}[window]  # the third piece begins at 49.8 s; scenes are of 4 s
    process = start(hearing, *arguments, cwd=tmp_path)
    wait_until(lambda: stored(tmp_path / "captions" / "ledger.db") >= early)
    process.kill()
    process.wait()
    stops[0] = True
    before = len(hearing.asked)
    done = run(hearing, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ended(tmp_path)
    asked = prompts(hearing)
    assert len(asked) == len(set(asked)), "asked twice"
    assert before == early < len(asked)
    assert len(results(tmp_path)["files"][0]["tasks"]["captions"]["segments"]) == len(asked) - 1
    assert run(hearing, *arguments, cwd=tmp_path).returncode == 0
    assert len(hearing.asked) == len(asked)


def ended(folder: Path, output: str = "captions") -> bool:
    """Whether the last run knows that it has done all about each file."""
    with sqlite3.connect(folder / output / "ledger.db") as connection:
        found = connection.execute("SELECT finished FROM sources WHERE run = (SELECT MAX(run) FROM sources)").fetchall()
    return bool(found) and all(finished for (finished,) in found)


def stored(ledger: Path) -> int:
    """Answers that are not about sound."""
    if not ledger.exists():
        return 0
    with sqlite3.connect(ledger) as connection:
        try:
            (count,) = connection.execute(
                "SELECT COUNT(*) FROM answers WHERE state = 'done' AND task != 'transcript'"
            ).fetchone()
        except sqlite3.OperationalError:  # it is being made
            return 0
    return int(count)


def test_a_piece_that_fails_is_missing_in_its_window_alone(hearing: FakeServers, tmp_path: Path) -> None:
    film(tmp_path)

    async def hear(_: Any, sound: bytes, __: int) -> web.Response:
        if pitch_of(sound) == 500:
            return web.json_response({"error": {"message": "no"}}, status=400)
        return web.json_response(said_of(sound))

    hearing.on_hear = hear
    arguments = (*TASKS, "captions,summary", "--window", "10")
    done = run(hearing, *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert "transcript" in done.stderr
    assert len(hearing.asked) == 7 + 7 + 1
    assert sum("] tone " in text for text in prompts(hearing)) == 2 * 3
    assert results(tmp_path)["files"][0]["tasks"]["summary"]["text"]


def test_a_film_that_changes_meanwhile_is_not_asked_about_further(hearing: FakeServers, tmp_path: Path) -> None:
    path = film(tmp_path)
    early = 1 + 24 // 3

    async def hear(_: Any, sound: bytes, __: int) -> web.Response:
        if pitch_of(sound) == 500:
            await asyncio.to_thread(wait_until, lambda: len(hearing.asked) >= early)
            path.write_bytes(path.read_bytes() + b"more")
        return web.json_response(said_of(sound))

    hearing.on_hear = hear
    done = run(hearing, *TASKS, "captions,tags", "--window", "3", cwd=tmp_path)
    assert done.returncode == 1
    assert "changed" in done.stderr
    assert len(hearing.asked) == early


def test_of_a_film_that_changes_while_it_is_decoded_nothing_is_asked_that_was_held(
    hearing: FakeServers, tmp_path: Path
) -> None:
    """A window has more pieces of sound than are transcribed at once: its last ones are those of another file."""
    spoken = [(at + 1, at + 2) for at in range(0, LONG_S, 5)]
    path = write(tmp_path / "film.mkv", [tones(spoken, LONG_S)], video_s=LONG_S)  # type: ignore[arg-type]
    changed = threading.Event()

    async def hear(_: Any, sound: bytes, number: int) -> web.Response:
        if number == 1:
            await asyncio.to_thread(wait_until, lambda: hearing.asked)
            path.write_bytes(path.read_bytes() + b"more")
            changed.set()
        await asyncio.to_thread(changed.wait, 100)
        return web.json_response(said_of(sound))

    hearing.on_hear = hear
    done = run(hearing, *TASKS, "captions,tags", "--window", "60", cwd=tmp_path)
    assert done.returncode == 1
    assert "changed" in done.stderr
    assert len(hearing.asked) == 1
    assert ended(tmp_path)


def request_of(start_s: float, end_s: float) -> UnitRequest:
    unit = window("0" * 64, Span(round(start_s * 1e6), round(end_s * 1e6)))
    return UnitRequest(unit, None)  # type: ignore[arg-type]


def test_it_is_known_what_is_said_up_to_the_first_piece_that_is_not_transcribed() -> None:
    hearing = Hearing()
    spans = [Span(at * 10_000_000, at * 10_000_000 + 8_000_000) for at in range(3)]
    said = [[Said(at * 10.0, at * 10.0 + 8, f"line {at}")] for at in range(3)]
    first, second = Span(0, 8_000_000), Span(8_000_000, 20_000_000)
    for span in spans:
        hearing.begin(span)
    assert not hearing.knows(first)
    hearing.add(spans[1], said[1])
    assert hearing.said == []
    hearing.add(spans[0], said[0])
    assert (hearing.said, hearing.reached_us) == (said[0] + said[1], 20_000_000)
    assert hearing.knows(first)
    assert not hearing.knows(second), "a piece that begins at its end may be rounded into it"
    hearing.add(spans[2], said[2])
    assert hearing.knows(second)
    assert hearing.reached_us == 28_000_000
    hearing.pass_silence(90_000_000)
    assert hearing.knows(Span(40_000_000, 50_000_000))
    assert not hearing.knows(None)
    hearing.end()
    assert hearing.knows(None)
    assert hearing.said == [each for some in said for each in some]


def test_what_is_held_is_given_in_its_turn() -> None:
    hearing = Hearing()
    held = [Held([request_of(at, at + 5)], Parts({None: b"12345"})) for at in (0, 5, 10)]
    for each in held:
        news = hearing.news
        hearing.hold(each)
        assert news.is_set()
    hearing.begin(Span(7_000_000, 9_000_000))
    assert hearing.take_held() == held[:1]
    assert hearing.take_held() == []
    hearing.end(lost=True)
    assert hearing.take_held() == held[1:]
    assert held[0].parts.size == 5


def test_long_silence_is_told_as_it_passes(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mkv", [tones([(1, 2), (120, 121)], 125)])
    found = list(sound_pieces(path))
    silences = [part.until_us / 1e6 for part in found if isinstance(part, SoundSilence)]
    assert silences == sorted(silences)
    assert 3 <= len(silences) <= 5
    assert all(2 < until_s < 120 for until_s in silences)
    before, later = [part.span for part in found if isinstance(part, SoundPiece)]
    assert before.end_us / 1e6 < silences[0] < silences[-1] <= later.start_us / 1e6
