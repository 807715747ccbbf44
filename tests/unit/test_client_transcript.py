"""The task `transcript`: pieces of sound are transcribed once, stand in the record with true times, and are translated.

The endpoint is that of `hearing_servers`.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from aiohttp import web
from batch_runs import pictures, results, run, start, wait_until
from fake_servers import error
from hearing_servers import MODELS, said_of
from media_files import write_video
from sound_files import tones, write

from client.checks.speech import find_speech_issues
from client.endpoints.speech import Transcribed, code_of
from client.media.load import identify
from client.media.thumbnail_folder import Thumbnails
from client.tasks.transcript import Said

if TYPE_CHECKING:
    from pathlib import Path

    from fake_servers import FakeServers


def lines(folder: Path, number: int = 0) -> list[tuple[float, float, str]]:
    answer = results(folder)["files"][number]["tasks"]["transcript"]
    return [(round(it["start"], 1), round(it["end"], 1), it["text"]) for it in answer["segments"]]


def test_what_is_said_stands_in_the_record_with_its_times(hearing: FakeServers, tmp_path: Path) -> None:
    write(tmp_path / "talk.flac", [tones([(1, 3), (5, 6.5)], 8)], codec="flac")
    arguments = ("talk.flac", "--tasks", "transcript", "--format", "json,vtt,srt,csv")
    done = run(hearing, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (record,) = results(tmp_path)["files"]
    assert (record["kind"], record["error"], record["warnings"]) == ("audio", None, [])
    assert record["duration_sec"] == pytest.approx(8, abs=0.1)
    assert "width" not in record
    assert lines(tmp_path) == [(1.0, 3.0, "tone 440"), (5.0, 6.5, "tone 440")]
    first = record["tasks"]["transcript"]["segments"][0]
    assert first["translations"]["fra_Latn"] == "fra_Latn: tone 440"
    assert first["data"] == {"language": "eng_Latn"}
    assert record["tasks"]["transcript"]["verdict"] == "ok"
    subtitles = tmp_path / "captions" / "subtitles"
    assert "tone 440" in (subtitles / "talk.flac.transcript.eng_Latn.vtt").read_text()
    assert "00:00:05" in (subtitles / "talk.flac.transcript.fra_Latn.srt").read_text()
    fields = hearing.heard[0]
    assert (fields["model"], fields["response_format"]) == ([MODELS[2]], ["verbose_json"])
    assert fields["timestamp_granularities[]"] == ["segment"]
    assert run(hearing, *arguments, cwd=tmp_path).returncode == 0
    assert len(hearing.heard) == 2, "asked again"


def test_a_video_is_seen_and_heard(hearing: FakeServers, tmp_path: Path) -> None:
    write(tmp_path / "film.mkv", [tones([(1, 3)], 6, 300), tones([(1, 3)], 6, 600)], video_s=6)
    both = ("film.mkv", "--tasks", "describe,captions,transcript", "--window", "3", "--no-hear")
    assert run(hearing, *both, cwd=tmp_path).returncode == 0
    tasks = results(tmp_path)["files"][0]["tasks"]
    assert [segment["text"] for segment in tasks["transcript"]["segments"]] == ["tone 300"]
    assert len(tasks["captions"]["segments"]) == 2
    assert tasks["describe"]["text"].startswith("I see")
    asked = len(hearing.asked)
    assert run(hearing, *both, "--audio-track", "2", cwd=tmp_path).returncode == 0
    assert [line[2] for line in lines(tmp_path)] == ["tone 600"]
    assert run(hearing, *both, cwd=tmp_path).returncode == 0
    assert [line[2] for line in lines(tmp_path)] == ["tone 300"]
    assert (len(hearing.asked), len(hearing.heard)) == (asked, 2), "asked again"


def test_scenes_and_sound_are_found_at_the_same_time(hearing: FakeServers, tmp_path: Path) -> None:
    write(tmp_path / "film.mkv", [tones([(1, 3)], 6)], video_s=6)
    arguments = ("film.mkv", "--tasks", "captions,transcript", "--window", "scenes", "--no-hear")
    assert run(hearing, *arguments, cwd=tmp_path).returncode == 0
    asked = len(hearing.asked)
    assert asked
    with sqlite3.connect(tmp_path / "captions" / "ledger.db") as ledger:
        (probe,) = ledger.execute("SELECT probe FROM media").fetchone()
    assert len(json.loads(probe)["scenes"]) == len(json.loads(probe)["sound"]) == 1
    assert run(hearing, *arguments, cwd=tmp_path).returncode == 0
    assert (len(hearing.asked), len(hearing.heard)) == (asked, 1), "asked again"


def test_a_video_is_asked_about_before_its_sound_is_heard(hearing: FakeServers, tmp_path: Path) -> None:
    usual = hearing.on_hear
    assert usual

    async def after_the_picture(fields: Any, sound: bytes, number: int) -> web.StreamResponse:
        await asyncio.to_thread(wait_until, lambda: hearing.asked)
        return await usual(fields, sound, number)

    hearing.on_hear = after_the_picture
    write(tmp_path / "film.mkv", [tones([(1, 3)], 6)], video_s=6)
    assert run(hearing, "film.mkv", "--tasks", "describe,transcript", "--no-hear", cwd=tmp_path).returncode == 0
    assert lines(tmp_path) == [(1.0, 3.0, "tone 440")]


def test_a_video_without_sound_has_an_empty_transcript(hearing: FakeServers, tmp_path: Path) -> None:
    write_video(tmp_path / "silent.mp4", 8)
    arguments = ("silent.mp4", "--tasks", "transcript")
    for _ in range(2):
        assert run(hearing, *arguments, cwd=tmp_path).returncode == 0
        (record,) = results(tmp_path)["files"]
        assert (record["error"], record["tasks"]["transcript"]["segments"]) == (None, [])
        assert record["warnings"] == ["sound: there is no sound in this file"]
    assert hearing.heard == []


def test_sound_in_which_nobody_speaks_has_an_empty_transcript(hearing: FakeServers, tmp_path: Path) -> None:
    async def nothing(*_: Any) -> web.StreamResponse:
        return web.json_response({"text": "", "language": "en", "duration": 2.4, "segments": []})

    hearing.on_hear = nothing
    write(tmp_path / "song.wav", [tones([(1, 3)], 4)])
    assert run(hearing, "song.wav", "--tasks", "transcript", cwd=tmp_path).returncode == 0
    assert Thumbnails(tmp_path / "captions").has(identify(tmp_path / "song.wav").sha256), "its waveform"
    assert len(hearing.heard) == 1
    (record,) = results(tmp_path)["files"]
    assert (record["error"], record["tasks"]["transcript"]["segments"]) == (None, [])


def test_other_tasks_pass_over_files_of_sound(hearing: FakeServers, tmp_path: Path) -> None:
    write(pictures(tmp_path / "mixed", 1) / "song.ogg", [tones([(1, 3)], 4)], codec="libopus")
    done = run(hearing, "mixed", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 .ogg" in done.stderr
    assert run(hearing, "mixed", "--tasks", "describe,transcript", cwd=tmp_path).returncode == 0
    assert [record["kind"] for record in results(tmp_path)["files"]] == ["image", "audio"]
    assert lines(tmp_path, 1) == [(1.0, 3.0, "tone 440")]


def test_a_video_without_pictures_is_told_to_be_sound(hearing: FakeServers, tmp_path: Path) -> None:
    write(tmp_path / "talk.mp4", [tones([(1, 3)], 4)], codec="aac")
    done = run(hearing, "talk.mp4", "--no-hear", cwd=tmp_path)
    assert done.returncode == 1
    assert "not done: 1 file of sound alone: no task of this run asks anything about them (--tasks" in done.stderr
    assert run(hearing, "talk.mp4", "--tasks", "transcript", cwd=tmp_path).returncode == 0
    (record,) = results(tmp_path)["files"]
    assert (record["kind"], len(record["tasks"]["transcript"]["segments"])) == ("audio", 1)


def test_without_a_speech_model_nothing_begins(servers: FakeServers, tmp_path: Path) -> None:
    write(tmp_path / "talk.wav", [tones([(1, 3)], 4)])
    done = run(servers, "talk.wav", "--tasks", "transcript", cwd=tmp_path)
    assert done.returncode == 2
    assert "serves no speech model whisper-large-v3-turbo" in done.stderr
    assert not (tmp_path / "captions" / "results.json").exists()


def test_speech_in_another_language_is_translated_from_it(hearing: FakeServers, tmp_path: Path) -> None:
    async def in_spanish(_: Any, sound: bytes, __: int) -> web.Response:
        return web.json_response(said_of(sound, "spanish", "hola {}"))

    hearing.on_hear = in_spanish
    write(tmp_path / "talk.wav", [tones([(1, 3)], 4)])
    done = run(hearing, "talk.wav", "--tasks", "transcript", "--format", "json,vtt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {body["source"] for body in hearing.translated} == {"spa_Latn"}
    (segment,) = results(tmp_path)["files"][0]["tasks"]["transcript"]["segments"]
    assert sorted(segment["translations"]) == ["eng_Latn", "fra_Latn", "hin_Deva"]
    subtitles = tmp_path / "captions" / "subtitles"
    assert "\nhola 440" in (subtitles / "talk.wav.transcript.spa_Latn.vtt").read_text()
    assert "eng_Latn: hola 440" in (subtitles / "talk.wav.transcript.eng_Latn.vtt").read_text()


def test_a_killed_run_asks_for_no_piece_twice(hearing: FakeServers, tmp_path: Path) -> None:
    usual, goes_on = hearing.on_hear, threading.Event()
    assert usual

    async def some(fields: Any, sound: bytes, number: int) -> web.StreamResponse:
        if number > 3 and not goes_on.is_set():
            await asyncio.sleep(600)
        return await usual(fields, sound, number)

    hearing.on_hear = some
    said = [(at, at + 2) for at in range(1, 40, 4)]
    write(tmp_path / "talk.wav", [tones(said, 42)])
    arguments = ("talk.wav", "--tasks", "transcript", "--languages", "")
    process = start(hearing, *arguments, cwd=tmp_path)
    wait_until(lambda: len(hearing.heard) == len(said))
    ledger = tmp_path / "captions" / "ledger.db"
    wait_until(lambda: answers(ledger) == 3)
    process.kill()
    process.wait()
    goes_on.set()
    assert run(hearing, *arguments, cwd=tmp_path).returncode == 0
    assert len(hearing.heard) == 2 * len(said) - 3
    assert [line[:2] for line in lines(tmp_path)] == said


def answers(ledger: Path) -> int:

    with sqlite3.connect(ledger) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM answers WHERE state = 'done'").fetchone()[0])


def test_a_piece_that_is_refused_fails_alone(hearing: FakeServers, tmp_path: Path) -> None:
    usual = hearing.on_hear
    assert usual

    async def but_the_second(fields: Any, sound: bytes, number: int) -> web.StreamResponse:
        return (
            error(400, "not this one") if said_of(sound)["text"].endswith("600") else await usual(fields, sound, number)
        )

    hearing.on_hear = but_the_second
    samples = np.concatenate([tones([(1, 3)], 5, pitch) for pitch in (300, 600, 900)])
    write(tmp_path / "talk.wav", [samples])
    arguments = ("talk.wav", "--tasks", "transcript")
    assert run(hearing, *arguments, cwd=tmp_path).returncode == 1
    assert [line[2] for line in lines(tmp_path)] == ["tone 300", "tone 900"]
    assert "not this one" in results(tmp_path)["files"][0]["error"]
    hearing.on_hear = usual
    assert run(hearing, *arguments, "--redo", "failed", cwd=tmp_path).returncode == 0
    assert [line[2] for line in lines(tmp_path)] == ["tone 300", "tone 600", "tone 900"]
    assert len(hearing.heard) == 4


def test_text_that_was_not_said_is_asked_for_again_and_doubtful(hearing: FakeServers, tmp_path: Path) -> None:
    async def thanks(_: Any, sound: bytes, __: int) -> web.Response:
        return web.json_response(said_of(sound, text="Thanks for watching!"))

    hearing.on_hear = thanks
    write(tmp_path / "talk.wav", [tones([(1, 3)], 4)])
    assert run(hearing, "talk.wav", "--tasks", "transcript", cwd=tmp_path).returncode == 0
    answer = results(tmp_path)["files"][0]["tasks"]["transcript"]
    assert answer["verdict"] == "doubtful"
    assert answer["reasons"] == ["not said: 'Thanks for watching!', as Whisper writes where nobody speaks"]
    assert [fields["temperature"] for fields in hearing.heard] == [["0"], ["0.4"]]


def test_times_of_words_where_they_are_asked_for(hearing: FakeServers, tmp_path: Path) -> None:
    async def with_words(_: Any, sound: bytes, __: int) -> web.Response:
        words = [{"word": "tone", "start": 0.2, "end": 0.9}, {"word": "440", "start": 1.0, "end": 1.8}]
        return web.json_response({**said_of(sound), "words": words})

    hearing.on_hear = with_words
    write(tmp_path / "talk.wav", [tones([(1, 3)], 4)])
    assert run(hearing, "talk.wav", "--tasks", "transcript", "--word-times", cwd=tmp_path).returncode == 0
    (segment,) = results(tmp_path)["files"][0]["tasks"]["transcript"]["segments"]
    assert segment["data"]["words"] == [
        {"start": 1.0, "end": 1.7, "word": "tone"},
        {"start": 1.8, "end": 2.6, "word": "440"},
    ]
    assert hearing.heard[0]["timestamp_granularities[]"] == ["segment", "word"]


def test_options_of_sound_are_for_tasks_about_sound(hearing: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 1)
    done = run(hearing, "ads", "--audio-track", "2", cwd=tmp_path)
    assert done.returncode == 2
    assert "--audio-track and --word-times are for --hear, and for tasks about sound" in done.stderr


@pytest.mark.parametrize(
    ("text", "length_s", "silence", "compression", "reason"),
    [
        ("It opens with red everywhere.", 2.0, 0.1, 1.1, None),
        ("Thanks for watching the whole team at work.", 3.0, None, None, None),
        ("Subscribe to one of three plans.", 2.0, None, None, None),
        ("Thank you for watching.", 2.0, None, None, "as Whisper writes"),
        ("Subtitles by the Amara.org community", 2.0, None, None, "as Whisper writes"),
        ("Untertitelung des ZDF, 2020", 2.0, None, None, "as Whisper writes"),
        ("ご視聴ありがとうございました", 2.0, None, None, "as Whisper writes"),
        ("so " * 40, 9.0, None, None, "loop"),
        ("It is fine.", 2.0, None, 3.1, "repeats itself"),
        (
            "A text of more than eighty characters that nobody can say within one second, however fast.",
            1,
            None,
            None,
            "faster",
        ),
        ("It opens.", 2.0, 0.9, None, "nobody speaks"),
    ],
)
def test_what_whisper_writes_where_nobody_speaks(
    text: str, length_s: float, silence: float | None, compression: float | None, reason: str | None
) -> None:
    probability = -1.4 if silence and silence > 0.5 else -0.2
    heard = Transcribed([Said(0, length_s, text)], "eng_Latn", probability, silence, compression, 5, 0.1)
    found = [str(issue) for issue in find_speech_issues(heard)]
    assert [reason in issue for issue in found if reason] == [True] * bool(reason)
    assert bool(found) == bool(reason)


def test_languages_are_known_by_code_and_by_name() -> None:
    assert [code_of(name) for name in ("en", "english", "zh", "chinese", "arabic", "xx", "")] == [
        *("eng_Latn", "eng_Latn", "zho_Hans", "zho_Hans", "arb_Arab"),
        *(None, None),
    ]
    assert json.loads('{"segments":[]}') == {"segments": []}
