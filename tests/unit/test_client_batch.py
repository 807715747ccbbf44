"""Whole runs of the batch client, against servers that behave."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from batch_runs import pictures, results, run, run_process, seen_in, wait_until
from behaviours import saying

from client.cli.progress import Progress
from client.media.load import identify

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web
    from fake_servers import FakeServers

    from client.media.kinds import Animated
    from client.media.load import Identity


def test_a_folder_is_described_and_translated(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    done = run_process(servers, "ads", "--tasks", "describe,tags", "--question", "What is sold?", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = results(tmp_path)
    assert [record["file"] for record in found["files"]] == [
        "ads/a.mp4",
        "ads/b.mkv",
        "ads/d.png",
        "ads/more/c.mp4",
    ]
    video, short, picture, _ = found["files"]
    assert video["kind"] == "video"
    assert (video["width"], video["height"], video["frames"]) == (160, 96, 30)
    assert video["fps"] == pytest.approx(25)
    assert video["duration_sec"] == pytest.approx(1.2)
    assert video["size_mb"] == round((ads / "a.mp4").stat().st_size / 1e6, 3)
    assert video["error"] is None
    describe = video["tasks"]["describe"]
    assert describe["text"] == "I see 0 4 8 12 16 20 24 29"
    assert describe["translations"]["hin_Deva"] == "hin_Deva: I see 0 4 8 12 16 20 24 29"
    assert list(describe["translations"]) == ["spa_Latn", "fra_Latn", "hin_Deva"]
    assert describe["generated_tokens"] == 7
    assert describe["finish_reason"] == "stop"
    tags = video["tasks"]["tags"]
    assert tags["tags"] == ["blue sky", "red car"]
    assert tags["raw"] == '```json\n["red car", "blue sky", "red car"]\n```'
    assert tags["translations"]["fra_Latn"] == ["fra_Latn: blue sky", "fra_Latn: red car"]
    assert video["tasks"]["ask"]["question"] == "What is sold?"
    assert video["tasks"]["ask"]["text"] == "You asked: What is sold?"
    assert short["tasks"]["describe"]["text"] == "I see 0 1 2 3 4"
    assert picture["kind"] == "image"
    assert picture["tasks"]["describe"]["text"] == "I see 77"
    assert "fps" not in picture
    stats = found["stats"]
    assert (stats["files"], stats["failures"], stats["requests"]) == (4, 0, 12)
    assert stats["generated_tokens"] == 84
    assert stats["models"] == {"image": "llama-3.2-11b-vision", "video": "llava-next-video-7b"}
    assert "4 of 4 files done" in done.stderr


def test_requests_are_as_the_contract_says(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    assert run(servers, "ads", "--tasks", "describe,tags", "--languages", "spa_Latn", cwd=tmp_path).returncode == 0
    by_media: dict[str, set[str]] = {}
    for body in servers.asked:
        media, text = body["messages"][0]["content"]
        assert text["type"] == "text"
        url = media[media["type"]]["url"]
        by_media.setdefault(url, set()).add(text["text"])
        if media["type"] == "video_url":
            assert url.startswith("data:video/jpeg;base64,")
            assert body["model"] == "llava-next-video-7b"
        else:
            assert url.startswith("data:image/jpeg;base64,")
            assert body["model"] == "llama-3.2-11b-vision"
        assert body["temperature"] == 0
        assert body["max_tokens"] in (512, 256)
    assert len(by_media) == 4  # media are byte-identical for all tasks of a file
    assert all(len(prompts) == 2 for prompts in by_media.values())
    assert {headers["Authorization"] for headers in servers.headers} == {"Bearer secret"}
    assert len(servers.translated) == 4  # one call a file
    assert all(body["source"] == "eng_Latn" and body["targets"] == ["spa_Latn"] for body in servers.translated)


def test_a_bad_file_fails_alone_with_its_reason(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    (ads / "bad.mp4").write_text("<!DOCTYPE html><p>not found</p>")
    (ads / "empty.jpg").touch()
    done = run_process(servers, "ads", cwd=tmp_path)
    assert done.returncode == 1
    records = {record["file"]: record for record in results(tmp_path)["files"]}
    assert "HTML" in records["ads/bad.mp4"]["error"]
    assert "empty" in records["ads/empty.jpg"]["error"]
    assert sum(record["error"] is None for record in records.values()) == 4
    assert results(tmp_path)["stats"]["failures"] == 2
    assert "failed: ads/bad.mp4: this is an HTML page" in done.stderr
    again = run(servers, "ads", cwd=tmp_path)
    assert again.returncode == 1
    assert len(servers.asked) == 4


def test_a_second_run_does_only_what_is_missing(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    assert run(servers, "ads", "--languages", "spa_Latn", cwd=tmp_path).returncode == 0
    first = results(tmp_path)["files"]
    assert len(servers.asked) == 4
    assert run(servers, "ads", "--languages", "spa_Latn", cwd=tmp_path).returncode == 0
    assert (len(servers.asked), len(servers.translated)) == (4, 4)
    assert results(tmp_path)["files"] == first
    # Another language: nothing is asked of the model. Another task: only that. A copy: nothing.
    assert run(servers, "ads", "--languages", "spa_Latn,fra_Latn", cwd=tmp_path).returncode == 0
    assert (len(servers.asked), len(servers.translated)) == (4, 8)
    assert all(body["targets"] == ["fra_Latn"] for body in servers.translated[4:])
    (ads / "copy.mp4").write_bytes((ads / "a.mp4").read_bytes())
    assert run(servers, "ads", "--languages", "spa_Latn", "--tasks", "describe,tags", cwd=tmp_path).returncode == 0
    assert len(servers.asked) == 8
    records = {record["file"]: record for record in results(tmp_path)["files"]}
    assert len(records) == 5
    assert records["ads/copy.mp4"]["tasks"] == records["ads/a.mp4"]["tasks"]
    # Other parameters are new work.
    assert run(servers, "ads", "--languages", "", "--temperature", "0.5", cwd=tmp_path).returncode == 0
    assert len(servers.asked) == 12
    assert run(servers, "ads", "--languages", "", "--redo", "all", cwd=tmp_path).returncode == 0
    assert len(servers.asked) == 16


def test_one_task_can_be_done_again(servers: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 2)
    options = ("ads", "--tasks", "describe,tags", "--languages", "fra_Latn")
    assert run(servers, *options, cwd=tmp_path).returncode == 0
    assert (len(servers.asked), len(servers.translated)) == (4, 2)
    first = results(tmp_path)["files"]
    assert run(servers, *options, "--redo", "tags", cwd=tmp_path).returncode == 0
    assert (len(servers.asked), len(servers.translated)) == (6, 4)
    assert all("JSON array" in body["messages"][0]["content"][1]["text"] for body in servers.asked[4:])
    again = results(tmp_path)["files"]
    assert [record["tasks"]["describe"] for record in again] == [record["tasks"]["describe"] for record in first]
    assert all(record["tasks"]["tags"]["translations"]["fra_Latn"] for record in again)


def test_what_happens_to_files_while_they_wait_is_noticed(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One goes, one changes, when they are hashed and not decoded: no answer is another's, nothing fails for good."""
    ads = pictures(tmp_path / "ads", 4)
    gone, changed = ads / "0001.png", ads / "0002.png"
    before = changed.read_bytes()

    hashed: list[Path] = []

    def noted(path: Path, _: Animated) -> Identity:
        identity = identify(path)
        hashed.append(path)
        return identity

    async def meddle(*_: Any) -> web.StreamResponse | None:
        await asyncio.to_thread(wait_until, lambda: len(hashed) == 4)  # none is decoded before the models are known
        gone.rename(tmp_path / "aside.png")
        changed.write_bytes((ads / "0003.png").read_bytes())
        return None

    monkeypatch.setattr("client.sources.fetch.identify", noted)
    servers.on_models = meddle
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 1
    assert sorted(seen_in(servers.asked)) == ["0", "3"]
    errors = [record["error"] for record in results(tmp_path)["files"]]
    assert errors == [None, "cannot be read: No such file or directory", "it has just changed: run again", None]
    servers.on_models = None
    (tmp_path / "aside.png").rename(gone)
    changed.write_bytes(before)
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 0
    assert sorted(seen_in(servers.asked)) == ["0", "1", "2", "3"]
    texts = [record["tasks"]["describe"]["text"] for record in results(tmp_path)["files"]]
    assert texts == [f"I see {number}" for number in range(4)]


def test_the_bar_moves_with_the_requests_of_a_file(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = Progress()
    seen: list[tuple[int, float]] = []

    async def note(*_: Any) -> web.StreamResponse | None:
        seen.append((progress.done, round(progress.partial, 3)))
        return None

    monkeypatch.setattr("client.cli.run.Progress", lambda **_: progress)
    servers.on_ask = note
    pictures(tmp_path / "ads", 2)
    questions = ["--question", "What?", "--question", "Who?"]
    options = ("ads", *questions, "--languages", "", "--concurrency", "1", "--loaders", "1")
    assert run(servers, *options, cwd=tmp_path).returncode == 0
    assert seen == [(0, 0.0), (0, 0.333), (0, 0.667), (1, 0.0), (1, 0.333), (1, 0.667)]
    assert (progress.done, progress.percent) == (2, 100)
    assert progress.partial == pytest.approx(0)


def test_own_prompts_add_and_override(servers: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 1)
    (tmp_path / "mine" / "haiku").mkdir(parents=True)
    (tmp_path / "mine" / "haiku" / "image.md").write_text("---\nmax_tokens: 33\n---\nWrite a haiku.")
    done = run(servers, "ads", "--tasks", "haiku", "--prompts", "mine", "--languages", "", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert servers.asked[0]["messages"][0]["content"][1]["text"] == "Write a haiku."
    assert servers.asked[0]["max_tokens"] == 33
    assert results(tmp_path)["files"][0]["tasks"]["haiku"]["text"] == "I see 0"


def test_a_file_without_a_prompt_is_no_success(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    (tmp_path / "mine" / "haiku").mkdir(parents=True)
    (tmp_path / "mine" / "haiku" / "image.md").write_text("Write a haiku.")
    haiku = ("ads", "--tasks", "haiku", "--prompts", "mine", "--languages", "")
    done = run(servers, *haiku, cwd=tmp_path)
    assert done.returncode == 1
    warning = "warning: no task of this run asks anything about videos: add one that does, such as describe, or leave "
    assert done.stderr.count(warning) == 1
    assert "not done: 3 videos: no task of this run asks anything about them\n" in done.stderr
    assert "1 of 4 files done, 0 failed, 3 without a prompt in " in done.stderr
    found = results(tmp_path)
    assert (found["stats"]["done"], found["stats"]["without_prompt"], found["stats"]["failures"]) == (1, 3, 0)
    assert len(servers.asked) == 1
    # A second run finds the same: it is not a success of an earlier one either.
    again = run(servers, *haiku, cwd=tmp_path)
    assert again.returncode == 1
    assert "1 of 4 files done (1 by an earlier run), 0 failed, 3 without a prompt in " in again.stderr
    assert run(servers, *haiku, "--exclude", "*.m*", cwd=tmp_path).returncode == 0


def test_an_answer_that_is_no_list_is_kept_as_text(servers: FakeServers, tmp_path: Path) -> None:
    servers.on_ask = saying("It shows a red car. It also shows the sky, which is very blue indeed today.", "length")
    pictures(tmp_path / "ads", 1)
    assert run(servers, "ads", "--tasks", "tags", "--languages", "fra_Latn", cwd=tmp_path).returncode == 0
    record = results(tmp_path)["files"][0]
    assert record["tasks"]["tags"]["text"].startswith("It shows a red car.")
    assert record["tasks"]["tags"]["translations"]["fra_Latn"].startswith("fra_Latn: It shows")
    assert any("not a list" in warning for warning in record["warnings"])
    assert any("cut off" in warning for warning in record["warnings"])


def test_the_tone_stands_beside_the_text(servers: FakeServers, tmp_path: Path) -> None:
    servers.on_ask = saying("Negative. It rains.")
    pictures(tmp_path / "ads", 1)
    assert run(servers, "ads", "--tasks", "sentiment", "--languages", "fra_Latn", cwd=tmp_path).returncode == 0
    answer = results(tmp_path)["files"][0]["tasks"]["sentiment"]
    assert (answer["text"], answer["label"]) == ("Negative. It rains.", "negative")
    assert answer["translations"] == {"fra_Latn": "fra_Latn: Negative. It rains."}
