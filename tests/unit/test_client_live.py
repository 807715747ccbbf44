"""Live sessions: what comes of a source, asked of an endpoint whose speed and answers the test decides."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from batch_runs import Done, wait_until
from fake_servers import FakeServers, completion, error, what_is_seen
from media_files import number_of, write_video
from sound_files import tones, write

from client import Babelview, LiveAlert, LiveCaption, LiveSaid, MediaError, UsageError
from client.cli import signals
from client.cli.live import command
from client.ledger.results import Results
from client.record import Record, records

if TYPE_CHECKING:
    from aiohttp import web

ROOT = Path(__file__).resolve().parents[2]
RATE = 20
ANY_LAG_S = 1000
"""A machine with other work may take longer than two of these short periods."""
QUICK: dict[str, Any] = {"realtime": True, "frames": 3, "every_s": 0.4, "max_lag_s": ANY_LAG_S}


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two seconds, in the working folder."""
    for name in [name for name in os.environ if name.startswith("BABELVIEW_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return write_video(tmp_path / "film.mp4", 2 * RATE, rate=RATE)


def at(servers: FakeServers, **more: Any) -> Babelview:
    return Babelview(servers.url, translator=servers.url, **more)


def live(servers: FakeServers, *arguments: str) -> Done:
    """The command within this process: the same in all but the second that a process takes to start."""
    output, errors = io.StringIO(), io.StringIO()
    where = ["--base-url", servers.url, "--translator", servers.url, "--max-lag", f"{ANY_LAG_S}"]
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        patch.setattr(signals, "leave", sys.exit)
        patch.setattr(signals, "end_at_once", lambda *_: None)
        with pytest.raises(SystemExit) as ended:
            command.main([*arguments, *where], "babelview live")
    return Done(int(ended.value.code or 0), output.getvalue(), errors.getvalue())


def kept(folder: str = "kept") -> list[Record]:
    """The records of what a folder holds."""
    with Results(Path(folder)) as results:
        return list(records(results))


def written(*names: str) -> str:
    """The contents of files, all together; empty where there is none."""
    return "".join(path.read_text() for name in names for path in sorted(Path().glob(name)))


def newest(body: dict[str, Any]) -> int:
    """The number of the newest frame that was sent."""
    return int(what_is_seen(body).split()[-1])


def test_captions_go_to_the_terminal_and_into_files(servers: FakeServers, film: Path) -> None:
    how = ("--realtime", "--frames", "3", "--every", "0.5", "--languages", "es")
    done = live(servers, "film.mp4", *how, "--output", "kept", "--subtitles")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    seen = [what_is_seen(body) for body in servers.asked]
    assert [line.split("  ")[1] for line in lines[::2]] == [f"I see {numbers}" for numbers in seen]
    assert [line.strip() for line in lines[1::2]] == [f"spa_Latn: spa_Latn: I see {numbers}" for numbers in seen]
    assert newest(servers.asked[-1]) == 2 * RATE - 1
    assert f"{len(seen)} captions; lag" in done.stderr
    prompts = {body["messages"][0]["content"][-1]["text"].partition(" Say in one")[0] for body in servers.asked}
    assert all(prompt.startswith("These are frames of a video, from ") for prompt in prompts), prompts
    assert all(body["stream"] for body in servers.asked)

    (file,) = Path("kept").glob("live-*.jsonl")
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert [event["tasks"]["captions"]["text"] for event in events] == [f"I see {numbers}" for numbers in seen]
    assert events[0]["tasks"]["captions"]["translations"] == {"spa_Latn": f"spa_Latn: I see {seen[0]}"}
    (record,) = kept()
    assert record["file"].startswith("film.mp4#")
    assert record["error"] is None
    assert (record["frames"], record["width"]) == (2 * RATE, 160)
    segments = record["tasks"]["captions"]["segments"]
    assert [(it["start"], it["end"], it["text"]) for it in segments] == [
        (event["start"], event["end"], event["tasks"]["captions"]["text"]) for event in events
    ]
    assert written("kept/subtitles/spa_Latn.m3u8").endswith("#EXT-X-ENDLIST\n")
    subtitles = written("kept/subtitles/spa_Latn-*.vtt")
    assert subtitles.startswith("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:")
    assert all(f"spa_Latn: I see {numbers}" in subtitles for numbers in seen)


async def test_a_slow_model_gets_the_newest_frames_and_nothing_waits_for_it(servers: FakeServers, film: Path) -> None:
    took_s, every_s = 0.6, 0.2

    async def slow(*_: Any) -> None:
        await asyncio.sleep(took_s)

    servers.on_ask = slow
    async with at(servers) as bv:
        session = bv.live(film, **(QUICK | {"every_s": every_s}))
        captions = [event async for event in session if isinstance(event, LiveCaption)]
    assert servers.most_in_flight == 1
    assert len(captions) == len(servers.asked) >= 2
    assert len(captions) <= 2 / took_s + 2, "frames waited to be asked about"
    assert all(caption.lag_s >= took_s for caption in captions)
    shown = [newest(body) for body in servers.asked]
    assert shown == sorted(set(shown))
    assert session.stats.skipped >= 2 * (len(captions) - 1)
    assert session.reader
    assert session.reader.received == 2 * RATE


def is_there(number: int) -> bool:
    """Somebody comes every second, for half of it; at last somebody is there."""
    return number // 10 % 2 == 1


async def at_the_door(_: web.Request, body: dict[str, Any], __: int) -> web.Response | None:
    if "structured_outputs" not in body:
        return None
    assert body["structured_outputs"] == {"choice": ["Yes", "No"]}
    return completion("Yes" if is_there(newest(body)) else "No")


RING = """
import json, os, sys
told = json.load(sys.stdin)
assert told["question"] == os.environ["ALERT_QUESTION"] and "BABELVIEW_API_KEY" not in os.environ, told
print(told["answer"], os.environ["ALERT_SOURCE"], file=open("rung", "a"))
"""


async def test_each_change_alerts_once(servers: FakeServers, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await asyncio.to_thread(Path("ring.py").write_text, RING)
    monkeypatch.setenv("BABELVIEW_API_KEY", "secret")
    monkeypatch.setattr("client.live.actions._CLOSE_S", 100.0)
    servers.on_ask = at_the_door
    question = "Is anybody; touch $(pwned) at the door?"
    async with at(servers) as bv:
        session = bv.live(
            film,
            **(QUICK | {"every_s": 0.2}),
            tasks=[],
            hear=False,
            alerts=[question],
            output="kept",
            on_alert=f"{sys.executable} ring.py",
        )
        events = [event async for event in session]
    answers = [is_there(newest(body)) for body in servers.asked]
    changes = [after for before, after in pairwise([False, *answers]) if before != after]
    assert changes, "somebody is there at the end"
    alerts = [event for event in events if isinstance(event, LiveAlert)]
    assert [alert.answer for alert in alerts] == changes
    assert events == alerts, "captions of which nobody asked for any"
    assert written("rung") == "".join(f"{'yes' if change else 'no'} {film}\n" for change in changes)
    assert not written("pwned")
    for alert in alerts:
        stills = [still for still in (alert.before, alert.after) if still]
        shown = [number_of(await asyncio.to_thread(still.read_bytes)) for still in stills]
        assert [is_there(number) for number in shown] == [not alert.answer, alert.answer][-len(shown) :]
    (record,) = kept()
    told = record["tasks"]["alert"]
    assert told["question"] == question
    assert [segment["text"] for segment in told["segments"]] == ["Yes" if change else "No" for change in changes]


async def test_a_model_that_is_away_for_a_while_costs_the_steps_of_that_time(servers: FakeServers, film: Path) -> None:
    write_video(film, 20 * RATE, rate=RATE)
    errors: list[str] = []
    async with at(servers) as bv, aclosing(bv.live(film, **QUICK, answer_s=1.5)) as session:
        async for event in session:
            assert isinstance(event, LiveCaption)
            if event.error:
                errors.append(event.error)
                servers.start()
            elif errors:
                break
            else:
                servers.stop()
    assert "no answer within 1.5 s" in errors[0]


async def test_without_the_translator_captions_go_on(servers: FakeServers, film: Path) -> None:
    write_video(film, 20 * RATE, rate=RATE)

    async def hangs(_: web.Request, __: dict[str, Any], number: int) -> None:
        if number == 1:
            await asyncio.sleep(60)

    servers.on_translate = hangs
    errors: list[str | None] = []
    async with at(servers) as bv, aclosing(bv.live(film, **QUICK, languages=["es"], answer_s=2)) as session:
        async for event in session:
            assert isinstance(event, LiveCaption)
            assert event.text.startswith("I see")
            if event.tasks["captions"].get("translations"):
                break
            errors.append(event.error)
    assert errors[0] == "translation: none within 2 s"


async def test_a_refusal_is_told_and_the_next_step_is_asked(servers: FakeServers, film: Path) -> None:
    write_video(film, 20 * RATE, rate=RATE)

    async def refuse_once(_: web.Request, __: dict[str, Any], number: int) -> web.Response | None:
        return error(400, "not this one") if number == 1 else None

    servers.on_ask = refuse_once
    async with at(servers) as bv, aclosing(bv.live(film, **QUICK)) as session:
        first, second = [await anext(aiter(session)) for _ in range(2)]
    assert isinstance(first, LiveCaption)
    assert first.error == "captions: HTTP 400: not this one"
    assert first.tasks == {}
    assert second.to_json()["error"] is None


async def test_what_is_said_is_transcribed_beside(hearing: FakeServers, film: Path) -> None:
    spans = [(0.3, 0.9), (2.1, 2.7)]
    write(film.with_suffix(".mkv"), [tones(spans, 3.0)], codec="aac", video_s=3)
    async with at(hearing) as bv:
        session = bv.live(
            "film.mkv",
            realtime=True,
            frames=2,
            every_s=1.0,
            max_lag_s=ANY_LAG_S,
            languages=["es"],
            output="kept",
            subtitles=True,
        )
        events = [event async for event in session]
    said = [event for event in events if isinstance(event, LiveSaid)]
    assert [(event.text, event.language) for event in said] == [("tone 440", "eng_Latn")] * 2
    assert said[0].translations == {"spa_Latn": "spa_Latn: tone 440"}
    apart_s = (said[1].start_us - said[0].start_us) / 1e6
    assert apart_s == pytest.approx(spans[1][0] - spans[0][0], abs=0.1)
    assert any(isinstance(event, LiveCaption) for event in events)
    for language in ("eng_Latn", "spa_Latn"):
        assert written(f"kept/subtitles/said.{language}-*.vtt").count("tone 440") >= 2  # of one at a border two
    assert session._watch
    assert session._watch._hearing
    assert not session._watch._hearing.open_us
    (record,) = kept()
    assert [part["text"] for part in record["tasks"]["transcript"]["segments"]] == ["tone 440"] * 2


async def test_a_new_session_begins_after_a_while_and_old_files_go(servers: FakeServers, film: Path) -> None:
    async with at(servers) as bv:
        session = bv.live(film, **(QUICK | {"every_s": 0.1}), output="kept", rotate_s=0.7, keep=1)
        events = [event async for event in session]
    sessions = list(dict.fromkeys(event.session.id for event in events))
    assert len(sessions) >= 2
    assert {json.loads(line)["session"] for line in written("kept/live-*.jsonl").splitlines()} == {sessions[-1]}
    found = kept()
    assert [record["file"].partition("#")[2] for record in found] == sessions
    assert all(record["tasks"]["captions"]["segments"][0]["start"] < 0.7 for record in found), "not its own clock"
    assert sum(record["frames"] for record in found) == 2 * RATE


async def test_a_single_frame_goes_to_the_model_of_pictures(servers: FakeServers, film: Path) -> None:
    both = {"tasks": ["describe", "tags"], "frames": 1}
    async with at(servers) as bv, aclosing(bv.live(film, **(QUICK | both))) as session:
        event = await anext(aiter(session))
    assert isinstance(event, LiveCaption)
    assert event.tasks["tags"]["tags"] == ["blue sky", "red car"]
    assert {body["model"] for body in servers.asked} == {"llama-3.2-11b-vision"}
    assert {part["type"] for body in servers.asked for part in body["messages"][0]["content"]} == {"image_url", "text"}


def test_it_blocks_for_programs_without_asyncio(servers: FakeServers, film: Path) -> None:
    others = set(psutil.Process().children())  # of other tests
    with at(servers) as bv:
        for event in bv.live(film, **QUICK):
            assert event.to_json()["kind"] == "caption"
            break
    left = set(psutil.Process().children()) - others
    wait_until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in left))


def test_ctrl_c_ends_it_at_once(servers: FakeServers, film: Path) -> None:
    write_video(film, 20 * RATE, rate=RATE)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "BABELVIEW_BASE_URL": servers.url}
    more = ["--every", "0.3", "--realtime", "--subtitles", "--frames", "2", "--output", "kept"]
    more += ["--max-lag", f"{ANY_LAG_S}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "client.cli.main", "live", "film.mp4", *more],
        env=environment,
        cwd=Path.cwd(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    for _ in range(2):
        assert "I see" in process.stdout.readline()
    children = psutil.Process(process.pid).children()
    assert children
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert " captions; lag " in errors, "what was counted is not told"
    wait_until(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))
    assert Path("kept/subtitles/eng_Latn.m3u8").read_text().endswith("#EXT-X-ENDLIST\n")
    (record,) = kept()
    assert len(record["tasks"]["captions"]["segments"]) >= 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.mp4",), "no such file"),
        (("ftp://here/a.mp4",), "no source has the scheme ftp"),
        (("rtsp://here/a", "--realtime"), "--realtime is for files"),
        (("/dev/video99",), "no such device"),
        (("film.mp4", "--every", "0"), "must be more than 0"),
        (("film.mp4", "--tasks", "quality"), "quality: cannot be asked about"),
        (("film.mp4", "--tasks", "captions", "--frames", "1"), "captions: cannot be asked about a picture"),
        (("film.mp4", "--on-alert", "true"), "--on-alert and --webhook are for --alert"),
        (("film.mp4", "--alert", "Is it?", "--on-alert", "there-is-none"), "no program 'there-is-none'"),
        (("film.mp4", "--alert", "Is it?", "--webhook", "file:///etc/passwd"), "must be a URL, http:// or https://"),
        (("film.mp4", "--alert", " "), "say what to ask"),
        (("film.mp4", "--input-option", "framerate"), "must be KEY=VALUE"),
    ],
)
def test_what_cannot_be_fails_before_anything_is_opened(
    servers: FakeServers, film: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = live(servers, *arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert servers.checked == 0
    assert [path.name for path in film.parent.iterdir()] == ["film.mp4"], "something was kept"


async def test_a_speech_model_that_is_wanted_must_be_there(servers: FakeServers, film: Path) -> None:
    async with at(servers) as bv:
        session = bv.live(film, **QUICK, hear=True)
        with pytest.raises(UsageError, match="serves no speech model"):
            await anext(aiter(session))


async def test_a_source_that_cannot_be_opened_ends_it(servers: FakeServers, film: Path) -> None:
    await asyncio.to_thread(film.write_bytes, b"no video at all" * 99)
    async with at(servers) as bv:
        with pytest.raises(MediaError, match=r"film\.mp4: invalid data"):
            await anext(aiter(bv.live(film, **QUICK)))


def test_a_start_that_fails_counts_nothing(servers: FakeServers, film: Path) -> None:
    film.write_bytes(b"no video at all" * 99)
    done = live(servers, "film.mp4", "--realtime")
    assert done.returncode == 1
    assert done.stderr == "Error: film.mp4: invalid data found when processing input\n"
