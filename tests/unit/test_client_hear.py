"""`--hear`: what is said in a video stands in what is asked about it, and other words make another answer."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import simplejpeg
from aiohttp import web
from batch_runs import pictures, results, run, start, wait_until
from fake_servers import completion, listing
from hearing_servers import said_of
from sound_files import tones, write

from client.media.changes import hardly_change
from client.media.content import Span
from client.tasks.transcript import Said, fills, lines, people_talk

if TYPE_CHECKING:
    from pathlib import Path

    from fake_servers import FakeServers

HEARS = ("film.mkv", "--tasks", "describe,captions,tags", "--window", "3", "--hear", "--languages", "fra_Latn")


def film(folder: Path, pitch: float = 300, name: str = "film.mkv") -> Path:
    return write(folder / name, [tones([(1, 2.5), (4, 5)], 6, pitch)], video_s=6)


def prompts(servers: FakeServers) -> list[str]:
    return [body["messages"][0]["content"][-1]["text"] for body in servers.asked]


def test_what_is_said_stands_in_the_prompt_of_its_time(hearing: FakeServers, tmp_path: Path) -> None:
    film(tmp_path)
    done = run(hearing, *HEARS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    asked = prompts(hearing)
    whole = next(text for text in asked if "two or three paragraphs" in text)
    assert "transcript of what is said" in whole
    assert "\n[1.0 s] tone 300\n[4.0 s] tone 300\n" in whole
    windows = [text for text in asked if "transcript of" in text and text != whole]
    assert [("[1.0 s]" in text, "[4.0 s]" in text) for text in windows] == [(True, False), (False, True)]
    assert len(asked) == 4
    tasks = results(tmp_path)["files"][0]["tasks"]
    assert (tasks["describe"]["heard"], tasks["captions"]["heard"]) == (True, True)
    assert "heard" not in tasks["tags"]
    assert [segment["text"] for segment in tasks["transcript"]["segments"]] == ["tone 300"] * 2
    assert "translations" not in tasks["transcript"]["segments"][0]
    assert tasks["describe"]["translations"]["fra_Latn"]
    assert len(tasks["captions"]["segments"]) == 2
    assert run(hearing, *HEARS, cwd=tmp_path).returncode == 0
    assert (len(hearing.asked), len(hearing.heard)) == (4, 2), "asked again"
    assert "1 are done already" in run(hearing, *HEARS, "--dry-run", cwd=tmp_path).stdout


def test_answers_with_and_without_are_not_mixed(hearing: FakeServers, tmp_path: Path) -> None:
    film(tmp_path)
    unheard = [word.replace("--hear", "--no-hear") for word in HEARS]
    assert run(hearing, *unheard, cwd=tmp_path).returncode == 0
    assert len(hearing.asked) == 4
    assert "transcript" not in "".join(prompts(hearing))
    assert run(hearing, *HEARS, cwd=tmp_path).returncode == 0
    assert len(hearing.asked) == 4 + 3, "tags hear nothing"
    assert results(tmp_path)["files"][0]["tasks"]["describe"]["heard"] is True
    assert run(hearing, *unheard, cwd=tmp_path).returncode == 0
    assert "heard" not in results(tmp_path)["files"][0]["tasks"]["describe"]
    assert len(hearing.asked) == 7


def test_a_run_hears_where_a_speech_model_is_served(hearing: FakeServers, tmp_path: Path) -> None:
    film(tmp_path)
    unsaid = [word for word in HEARS if word != "--hear"]
    done = run(hearing, *unsaid, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "heard too, by whisper-large-v3-turbo (--no-hear" in done.stderr
    assert len(hearing.heard) == 2
    assert [word for text in prompts(hearing) if "transcript of" in text for word in ("tone 300",) if word in text]
    assert "translations" not in results(tmp_path)["files"][0]["tasks"]["transcript"]["segments"][0]
    # The folder goes on as it began, also where nobody is to be asked.
    nobody = ("--base-url", "http://127.0.0.1:9/v1", "--wait", "1")
    assert run(hearing, *unsaid, *nobody, cwd=tmp_path).returncode == 0
    assert "1 are done already" in run(hearing, *unsaid, *nobody, "--dry-run", cwd=tmp_path).stdout
    assert (len(hearing.asked), len(hearing.heard)) == (4, 2)


@pytest.mark.parametrize("way", ["option", "variable", "before", "another task", "unlisted", "pictures"])
def test_a_run_does_not_hear(way: str, hearing: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(tmp_path)
    arguments = ["film.mkv", "--languages", "fra_Latn"]
    if way == "option":
        arguments.append("--no-hear")
    elif way == "variable":
        monkeypatch.setenv("BABELVIEW_HEAR", "0")
    elif way == "before":  # of an older version, which did not
        assert run(hearing, "film.mkv", "--no-hear", "--languages", "", cwd=tmp_path).returncode == 0
    elif way == "another task":
        assert (
            run(hearing, "film.mkv", "--no-hear", "--tasks", "sentiment", "--languages", "", cwd=tmp_path).returncode
            == 0
        )
    elif way == "unlisted":
        hearing.on_models = without_speech
    else:
        pictures(tmp_path / "ads", 1)
        arguments[0] = "ads"
    done = run(hearing, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert hearing.heard == []
    assert ("not heard, as in the last run here (--hear" in done.stderr) == (way in ("before", "another task"))
    assert "heard too" not in done.stderr
    assert "transcript" not in "".join(prompts(hearing))
    assert len(hearing.asked) == 1 + (way == "another task")


async def without_speech(*_: Any) -> web.Response:
    return listing("vllm", "llama-3.2-11b-vision", "llava-next-video-7b")


def test_an_endpoint_that_is_away_is_waited_for_before_it_is_decided(hearing: FakeServers, tmp_path: Path) -> None:
    film(tmp_path)
    done = run(hearing, "film.mkv", "--base-url", "http://127.0.0.1:9/v1", "--wait", "1", cwd=tmp_path)
    assert done.returncode == 1
    assert "to go on: " in done.stderr
    assert run(hearing, "film.mkv", cwd=tmp_path).returncode == 0
    assert len(hearing.heard) == 2, "it was taken for one that does not hear"


def test_another_transcript_makes_another_answer(hearing: FakeServers, tmp_path: Path) -> None:
    film(tmp_path)

    async def quote(_: web.Request, body: dict[str, Any], __: int) -> web.Response:
        text = body["messages"][0]["content"][-1]["text"]
        return completion("A voice says " + text.rsplit("] ", 1)[-1].splitlines()[0] + " in a red room.")

    hearing.on_ask = quote
    arguments = ("film.mkv", "--tasks", "describe,transcript", "--hear", "--languages", "")
    assert run(hearing, *arguments, cwd=tmp_path).returncode == 0
    assert "says tone 300 in" in results(tmp_path)["files"][0]["tasks"]["describe"]["text"]

    async def otherwise(_: Any, sound: bytes, __: int) -> web.Response:
        return web.json_response(said_of(sound, text="no tone of {}"))

    hearing.on_hear = otherwise
    assert run(hearing, *arguments, "--redo", "transcript", cwd=tmp_path).returncode == 0
    assert "says no tone of 300 in" in results(tmp_path)["files"][0]["tasks"]["describe"]["text"]
    assert len(hearing.asked) == 2


def test_the_caption_follows_the_sound(hearing: FakeServers, tmp_path: Path) -> None:
    """Two films of the same pictures, with other words."""
    film(tmp_path, 300, "one.mkv")
    film(tmp_path, 900, "other.mkv")
    assert run(hearing, "one.mkv", "other.mkv", "--hear", "--languages", "", cwd=tmp_path).returncode == 0
    assert sorted(text.count("tone 300") - text.count("tone 900") for text in prompts(hearing)) == [-2, 2]


def test_merges_are_made_of_what_was_told_what_is_said(hearing: FakeServers, tmp_path: Path) -> None:
    film(tmp_path)
    arguments = ("film.mkv", "--tasks", "summary", "--window", "3", "--hear", "--languages", "", "--ask-once")
    assert run(hearing, *arguments, cwd=tmp_path).returncode == 0
    answer = results(tmp_path)["files"][0]["tasks"]["summary"]
    assert (answer["heard"], len(answer["segments"])) == (True, 2)
    assert len(hearing.asked) == 3
    assert run(hearing, *arguments, cwd=tmp_path).returncode == 0
    assert len(hearing.asked) == 3


@pytest.mark.parametrize(("moving", "words", "told"), [(False, 9, 1), (True, 9, 0), (False, 1, 0)])
def test_a_summary_of_talk_over_a_still_picture_is_of_what_is_said(
    moving: bool, words: int, told: int, hearing: FakeServers, tmp_path: Path
) -> None:
    """The second window has no talk: there is something to be seen, or nothing."""

    async def at_length(_: Any, sound: bytes, __: int) -> web.Response:
        return web.json_response(said_of(sound, text="tone {}" + " and" * (words - 1)))

    hearing.on_hear = at_length
    write(tmp_path / "film.mkv", [tones([(1, 3)], 9)], video_s=9, moving=moving)
    arguments = ("film.mkv", "--tasks", "summary,captions", "--window", "4", "--languages", "", "--ask-once")
    done = run(hearing, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    asked = [body["messages"][0]["content"] for body in hearing.asked]
    alone = [
        parts for parts in asked if len(parts) == 1 and "This is the transcript of what is said" in parts[0]["text"]
    ]
    assert len(alone) == told
    if told:
        assert " from 0 s to 4 s, " in alone[0][0]["text"]
        assert "\n[1.0 s] tone 440 and and" in alone[0][0]["text"]
        assert "{" not in alone[0][0]["text"]
    assert len(asked) == 3 + 3 + 1
    assert len(results(tmp_path)["files"][0]["tasks"]["summary"]["segments"]) == 3
    assert run(hearing, *arguments, cwd=tmp_path).returncode == 0
    assert len(hearing.asked) == 7, "asked again"


def test_where_nothing_is_said_nothing_is_told(hearing: FakeServers, tmp_path: Path) -> None:
    """But in a place that a prompt has for it."""
    write(tmp_path / "film.mkv", [tones([], 4)], video_s=4)
    (tmp_path / "mine" / "story").mkdir(parents=True)
    (tmp_path / "mine" / "story" / "video.md").write_text("It is said: {transcript} Tell more.")
    arguments = ("film.mkv", "--languages", "", "--prompts", "mine", "--tasks", "describe,story")
    assert run(hearing, *arguments, "--no-hear", cwd=tmp_path).returncode == 0
    done = run(hearing, *arguments, "--hear", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    unheard, heard = sorted(prompts(hearing)[:2]), sorted(prompts(hearing)[2:])
    assert heard == [unheard[0], "It is said: Nothing is said. Tell more."]
    assert hearing.heard == []
    assert results(tmp_path)["files"][0]["tasks"]["describe"]["heard"] is True


def test_pictures_have_nothing_to_hear(hearing: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 2)
    assert run(hearing, "ads", "--hear", "--languages", "", cwd=tmp_path).returncode == 0
    assert "transcript" not in "".join(prompts(hearing))


def test_a_killed_run_that_hears_asks_for_nothing_twice(hearing: FakeServers, tmp_path: Path) -> None:
    film(tmp_path)
    goes_on = threading.Event()

    async def first(_: web.Request, __: dict[str, Any], number: int) -> web.Response | None:
        if number > 1 and not goes_on.is_set():
            await asyncio.sleep(600)
        return None

    hearing.on_ask = first
    process = start(hearing, *HEARS, cwd=tmp_path)
    wait_until(lambda: len(hearing.asked) == 4)
    wait_until(lambda: seen(tmp_path / "captions" / "ledger.db") == 1)
    process.kill()
    process.wait()
    goes_on.set()
    assert run(hearing, *HEARS, cwd=tmp_path).returncode == 0
    assert (len(hearing.asked), len(hearing.heard)) == (4 + 3, 2)


def seen(ledger: Path) -> int:
    with sqlite3.connect(ledger) as connection:
        (count,) = connection.execute(
            "SELECT COUNT(*) FROM answers WHERE state = 'done' AND task != 'transcript'"
        ).fetchone()
    return int(count)


@pytest.mark.parametrize("own", ["Heard: {transcript} Describe it.", "---\nhears: true\n---\nDescribe it."])
def test_a_prompt_of_ones_own_hears(own: str, hearing: FakeServers, tmp_path: Path) -> None:
    film(tmp_path)
    (tmp_path / "mine" / "story").mkdir(parents=True)
    (tmp_path / "mine" / "story" / "video.md").write_text(own)
    arguments = ("film.mkv", "--tasks", "story", "--prompts", "mine", "--languages", "")
    assert run(hearing, *arguments, "--no-hear", cwd=tmp_path).returncode == 0
    assert run(hearing, *arguments, "--hear", cwd=tmp_path).returncode == 0
    without, told = prompts(hearing)
    assert "tone" not in without
    assert "{" not in without
    assert "[1.0 s] tone 300\n[4.0 s] tone 300" in told


def test_people_talk_where_enough_is_said_in_that_time() -> None:
    said = [Said(0, 10, "x" * 60), Said(50, 60, "y" * 60)]
    assert people_talk(said, Span(0, 10_000_000))
    assert people_talk(said, Span(5_000_000, 12_000_000)), "30 characters in 7 s"
    assert not people_talk(said, Span(5_000_000, 16_000_000)), "30 characters in 11 s"
    assert not people_talk(said, Span(0, 60_000_000))
    assert not people_talk([], Span(0, 1_000_000))
    assert not people_talk([Said(3, 3, "at once")], Span(0, 9_000_000))


def test_noise_is_no_change_and_what_moves_is() -> None:
    rng = np.random.default_rng(3)
    picture = np.kron(rng.integers(0, 255, (9, 9, 3)), np.ones((40, 40, 1)))

    def jpeg(pixels: np.ndarray) -> bytes:
        return simplejpeg.encode_jpeg(np.clip(pixels, 0, 255).astype(np.uint8), quality=85)

    noisy = [jpeg(picture + rng.normal(0, 15, picture.shape)) for _ in range(3)]
    moved = picture.copy()
    moved[40:200, 40:200] = picture[80:240, 80:240]
    assert hardly_change(noisy)
    assert hardly_change([jpeg(picture), jpeg(picture * 1.01)])
    assert not hardly_change([*noisy, jpeg(moved)])
    assert not hardly_change(noisy[:1]), "of one frame it is not known"


def test_a_long_transcript_is_cut_to_fit() -> None:
    said = [Said(at, at + 2, f"line {at} of a long talk") for at in range(0, 1000, 2)]
    text = lines(said, None, 400)
    assert len(text) < 400 + 40
    assert text.startswith("[0.0 s] line 0 of a long talk\n")
    assert text.endswith("\n[more lines are left out]")
    taken = text.count("\n")
    assert lines(said[: taken + 1], None, 400) == text, "what comes after it makes no difference"
    assert (fills(said[: taken + 1], 400), fills(said[:taken], 400)) == (True, False)
    assert lines([], None) == "Nothing is said."
