"""Whole runs of the batch client, against servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from fake_servers import FakeServers, completion, error, free_port, what_is_seen
from media_files import numbered, write_video
from PIL import Image

from client.batch import main

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def servers() -> Iterator[FakeServers]:
    fake = FakeServers()
    yield fake
    fake.close()


@pytest.fixture
def ads(tmp_path: Path) -> Path:
    """Two videos, a picture, one video in a folder below, and what is not to be taken."""
    folder = tmp_path / "ads"
    (folder / "more").mkdir(parents=True)
    write_video(folder / "a.mp4", 30)
    write_video(folder / "b.mkv", 5)
    write_video(folder / "more" / "c.mp4", 60, options={"g": "10"})
    Image.fromarray(numbered(77)).save(folder / "d.png")
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".hidden.mp4").write_bytes(b"no")
    return folder


def pictures(folder: Path, count: int, first: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(first, first + count):
        Image.fromarray(numbered(number)).save(folder / f"{number:04d}.png")
    return folder


def command(servers: FakeServers | str, *arguments: str | Path) -> tuple[list[str], dict[str, str]]:
    url = servers if isinstance(servers, str) else servers.url
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BABELVIEW_")}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "BABELVIEW_BASE_URL": f"{url}/v1",
        "BABELVIEW_TRANSLATOR": url,
        "BABELVIEW_API_KEY": "secret",
    }
    return [sys.executable, "-m", "client.batch", *map(str, arguments)], environment


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(servers: FakeServers | str, *arguments: str | Path, cwd: Path) -> Done:
    """A run within this process: the same in all but the second that a process takes to start."""
    line, environment = command(servers, *arguments)
    output, errors = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        patch.chdir(cwd)
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            code = main(line[3:])
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Done(code, output.getvalue(), errors.getvalue())


def run_process(servers: FakeServers | str, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    line, environment = command(servers, *arguments)
    return subprocess.run(line, env=environment, cwd=cwd, capture_output=True, text=True, timeout=100, check=False)


def start(servers: FakeServers, *arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    line, environment = command(servers, *arguments)
    return subprocess.Popen(line, env=environment, cwd=cwd, stderr=subprocess.PIPE, text=True)


def results(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "captions" / "results.json").read_text())
    return loaded


def wait_until(condition: Any, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            pytest.fail("it did not happen")
        time.sleep(0.02)


def seen_in(asked: list[dict[str, Any]]) -> list[str]:
    return [what_is_seen(body) for body in asked]


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


def test_errors_that_pass_are_tried_again(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    """One after the other: 429 with Retry-After, 500, a cut connection, garbage, no choices, no text, 503."""

    async def misbehave(request: web.Request, _: dict[str, Any], number: int) -> web.StreamResponse | None:
        assert request.transport
        if number == 1:
            return error(429, "too many", {"Retry-After": "0.1"})
        if number == 2:
            return error(500, "oops")
        if number == 3:
            request.transport.abort()
        if number == 4:
            return web.Response(body=b"{not json", content_type="application/json")
        if number == 5:
            return web.json_response({"choices": []})
        if number == 6:
            return completion(None)
        if number == 7:
            return error(503, "restarting")
        if number == 8:
            return web.Response(text="<html>hello</html>", content_type="text/html")
        return None

    servers.on_ask = misbehave
    done = run(servers, "ads", "--concurrency", "4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(servers.asked) == 4 + 8
    assert all(record["error"] is None for record in results(tmp_path)["files"])


def test_what_is_refused_is_not_asked_again_unless_told(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    async def refuse(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        return error(400, "the prompt is too long") if what_is_seen(body).startswith("0 4") else None

    servers.on_ask = refuse
    done = run(servers, "ads", cwd=tmp_path)
    assert done.returncode == 1
    assert len(servers.asked) == 4
    record = results(tmp_path)["files"][0]
    assert "the prompt is too long" in record["error"]
    assert "failed: ads/a.mp4: describe: HTTP 400: the prompt is too long" in done.stderr
    assert run(servers, "ads", cwd=tmp_path).returncode == 1
    assert len(servers.asked) == 4
    servers.on_ask = None
    assert run(servers, "ads", "--redo", "failed", cwd=tmp_path).returncode == 0
    assert len(servers.asked) == 5


def test_a_hanging_server_meets_the_deadline(servers: FakeServers, tmp_path: Path) -> None:
    async def hang(_: web.Request, __: dict[str, Any], number: int) -> web.StreamResponse | None:
        if number <= 2:
            await asyncio.sleep(60)
        return None

    servers.on_ask = hang
    pictures(tmp_path / "ads", 3)
    done = run(servers, "ads", "--timeout", "0.7", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(servers.asked) == 5


def test_a_wrong_key_ends_the_run_at_once(servers: FakeServers, tmp_path: Path) -> None:
    async def keep_out(*_: Any) -> web.StreamResponse | None:
        return error(401, "invalid key")

    servers.on_ask = keep_out
    done = run(servers, pictures(tmp_path / "ads", 40), "--concurrency", "2", cwd=tmp_path)
    assert done.returncode == 1
    assert "BABELVIEW_API_KEY" in done.stderr
    assert len(servers.asked) < 10


def test_a_killed_model_server_is_waited_for(servers: FakeServers, tmp_path: Path) -> None:
    async def slowly(*_: Any) -> web.StreamResponse | None:
        await asyncio.sleep(0.1)
        return None

    servers.on_ask = slowly
    pictures(tmp_path / "ads", 40)
    process = start(servers, "ads", "--concurrency", "4", cwd=tmp_path)
    wait_until(lambda: len(servers.asked) > 12)
    servers.stop()
    assert process.stderr
    lines: list[str] = []
    while not any("waiting up to 10 min" in line for line in lines):
        lines.append(process.stderr.readline())
        assert lines[-1], "".join(lines)
    servers.start()
    output = "".join(lines) + process.communicate(timeout=60)[1]
    assert process.returncode == 0, output
    assert "back after" in output
    records = results(tmp_path)["files"]
    assert [record["tasks"]["describe"]["text"] for record in records] == [f"I see {n}" for n in range(40)]
    assert results(tmp_path)["stats"]["failures"] == 0


def test_a_server_that_stays_away_ends_the_run_and_loses_nothing(servers: FakeServers, tmp_path: Path) -> None:
    async def then_die(*_: Any) -> web.StreamResponse | None:
        return error(503, "engine is dead") if len(servers.asked) > 5 else None

    servers.on_ask = then_die
    pictures(tmp_path / "ads", 12)
    done = run(servers, "ads", "--concurrency", "1", "--wait", "1", cwd=tmp_path)
    assert done.returncode == 1
    assert "gave up waiting" in done.stderr
    found = results(tmp_path)
    assert sum("describe" in record["tasks"] for record in found["files"]) == 5
    servers.on_ask = None
    assert run(servers, "ads", cwd=tmp_path).returncode == 0
    assert sorted(set(seen_in(servers.asked)), key=int) == [str(n) for n in range(12)]
    assert results(tmp_path)["stats"]["done_earlier"] == 5


def test_the_translator_is_waited_for_and_may_fail_a_file(servers: FakeServers, tmp_path: Path) -> None:
    async def misbehave(_: web.Request, body: dict[str, Any], number: int) -> web.StreamResponse | None:
        if number == 1:
            return error(503, "loading")
        return web.json_response({"error": "no"}, status=400) if body["texts"] == ["I see 2"] else None

    servers.on_translate = misbehave
    pictures(tmp_path / "ads", 4)
    done = run(servers, "ads", "--languages", "fra_Latn", cwd=tmp_path)
    assert done.returncode == 1
    records = results(tmp_path)["files"]
    assert [record["error"] for record in records] == [None, None, "translation: HTTP 400: no", None]
    assert records[2]["tasks"]["describe"]["text"] == "I see 2"
    servers.on_translate = None
    assert run(servers, "ads", "--languages", "fra_Latn", cwd=tmp_path).returncode == 0
    assert len(servers.asked) == 4
    assert results(tmp_path)["files"][2]["tasks"]["describe"]["translations"] == {"fra_Latn": "fra_Latn: I see 2"}


def test_doubtful_translations_are_told(servers: FakeServers, tmp_path: Path) -> None:
    async def doubt(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        sentences = [
            {"source": "a", "text": "b", "verdict": "ok"},
            {"source": "c", "text": "d", "verdict": "doubtful", "reason": "a number was lost"},
        ]
        return web.json_response(
            {"translations": [{"fra_Latn": {"text": "b d", "sentences": sentences}} for _ in body["texts"]]}
        )

    servers.on_translate = doubt
    pictures(tmp_path / "ads", 1)
    for _ in range(2):  # the ledger remembers it
        assert run(servers, "ads", "--languages", "fra_Latn", cwd=tmp_path).returncode == 0
        record = results(tmp_path)["files"][0]
        assert record["tasks"]["describe"]["translations"] == {"fra_Latn": "b d"}
        assert record["warnings"] == ["describe: fra_Latn: doubtful translation: a number was lost"]
    assert len(servers.translated) == 1


def test_concurrency_is_the_number_of_requests_in_flight(servers: FakeServers, tmp_path: Path) -> None:
    async def slowly(*_: Any) -> web.StreamResponse | None:
        await asyncio.sleep(0.2)
        return None

    servers.on_ask = slowly
    pictures(tmp_path / "ads", 30)
    assert run(servers, "ads", "--concurrency", "6", "--languages", "", cwd=tmp_path).returncode == 0
    assert servers.most_in_flight == 6


def test_ctrl_c_finishes_what_is_in_flight(servers: FakeServers, tmp_path: Path) -> None:
    async def slowly(*_: Any) -> web.StreamResponse | None:
        await asyncio.sleep(0.5)
        return None

    servers.on_ask = slowly
    pictures(tmp_path / "ads", 60)
    process = start(servers, "ads", "--concurrency", "3", "--languages", "", cwd=tmp_path)
    wait_until(lambda: len(servers.asked) >= 6)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=30)[1]
    assert process.returncode == 130, output
    assert "interrupted" in output
    found = results(tmp_path)
    asked = len(servers.asked)
    assert asked < 15
    assert sum("describe" in record["tasks"] for record in found["files"]) == asked
    assert found["stats"]["interrupted"]
    servers.on_ask = None
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 0
    assert sorted(map(int, seen_in(servers.asked))) == list(range(60))  # each once, nothing twice


def test_a_second_ctrl_c_stops_at_once(servers: FakeServers, tmp_path: Path) -> None:
    released = asyncio.Event()

    async def never(*_: Any) -> web.StreamResponse | None:
        await released.wait()
        return None

    servers.on_ask = never
    pictures(tmp_path / "ads", 3)
    process = start(servers, "ads", "--languages", "", cwd=tmp_path)
    wait_until(lambda: len(servers.asked) == 3)
    process.send_signal(signal.SIGINT)
    assert process.stderr
    assert "interrupted" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=4)  # less than the grace for what is in flight
    assert process.returncode == 130


def test_killed_again_and_again_every_file_is_done_once(servers: FakeServers, tmp_path: Path) -> None:
    concurrency, kills = 4, 3

    async def slowly(*_: Any) -> web.StreamResponse | None:
        await asyncio.sleep(0.02)
        return None

    servers.on_ask = slowly
    pictures(tmp_path / "ads", 120)
    for round_ in range(kills):
        process = start(servers, "ads", "--concurrency", str(concurrency), "--languages", "fra_Latn", cwd=tmp_path)
        target = len(servers.asked) + 15 + round_
        wait_until(lambda target=target: len(servers.asked) >= target)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert run(servers, "ads", "--languages", "fra_Latn", cwd=tmp_path).returncode == 0
    records = results(tmp_path)["files"]
    assert [record["tasks"]["describe"]["text"] for record in records] == [f"I see {n}" for n in range(120)]
    assert all(record["tasks"]["describe"]["translations"]["fra_Latn"] for record in records)
    assert set(map(int, seen_in(servers.asked))) == set(range(120))
    # In flight at a kill: what the server worked on, and answers on their way into the ledger.
    assert len(servers.asked) - 120 <= kills * 2 * concurrency


def test_a_second_run_on_the_same_ledger_says_so(servers: FakeServers, tmp_path: Path) -> None:
    async def slowly(*_: Any) -> web.StreamResponse | None:
        await asyncio.sleep(3)
        return None

    servers.on_ask = slowly
    pictures(tmp_path / "ads", 1)
    process = start(servers, "ads", "--languages", "", cwd=tmp_path)
    wait_until(lambda: len(servers.asked) == 1)
    second = run(servers, "ads", cwd=tmp_path)
    assert second.returncode == 1
    assert f"another run (process {process.pid})" in second.stderr
    process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere"], "no such file or folder: nowhere"),
        (
            ["ads", "--tasks", "describe,dance"],
            "unknown task dance; there are:\n  ad         Creative analysis of",
        ),
        (
            ["ads", "--languages", "fra_Latn,xxx_Zzzz"],
            "unknown language xxx_Zzzz; the translator knows: eng_Latn",
        ),
        (["ads", "--concurrency", "0"], "must be a whole number above 0"),
        (["ads", "--base-url", "localhost"], "must be a URL"),
        (["ads", "--tasks", "ask"], "needs a question"),
        (["ads", "--redo", "everything"], "must be failed, all or one of the tasks"),
        (["ads", "--prompts", "nowhere"], "no such folder"),
        (["empty"], "no pictures or videos"),
        ([], "PATH"),
    ],
)
def test_wrong_usage_is_told_before_anything_starts(
    servers: FakeServers, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    pictures(tmp_path / "ads", 1)
    (tmp_path / "empty").mkdir()
    done = run(servers, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert reason in done.stderr
    assert servers.asked == []
    assert "Traceback" not in done.stderr


def test_own_prompts_add_and_override(servers: FakeServers, tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 1)
    (tmp_path / "mine" / "haiku").mkdir(parents=True)
    (tmp_path / "mine" / "haiku" / "image.md").write_text("---\nmax_tokens: 33\n---\nWrite a haiku.")
    done = run(servers, "ads", "--tasks", "haiku", "--prompts", "mine", "--languages", "", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert servers.asked[0]["messages"][0]["content"][1]["text"] == "Write a haiku."
    assert servers.asked[0]["max_tokens"] == 33
    assert results(tmp_path)["files"][0]["tasks"]["haiku"]["text"] == "I see 0"


def test_an_answer_that_is_no_list_is_kept_as_text(servers: FakeServers, tmp_path: Path) -> None:
    async def prose(*_: Any) -> web.StreamResponse | None:
        return completion("It shows a red car. It also shows the sky, which is very blue indeed today.", "length")

    servers.on_ask = prose
    pictures(tmp_path / "ads", 1)
    assert run(servers, "ads", "--tasks", "tags", "--languages", "fra_Latn", cwd=tmp_path).returncode == 0
    record = results(tmp_path)["files"][0]
    assert record["tasks"]["tags"]["text"].startswith("It shows a red car.")
    assert record["tasks"]["tags"]["translations"]["fra_Latn"].startswith("fra_Latn: It shows")
    assert any("not a list" in warning for warning in record["warnings"])
    assert any("cut off" in warning for warning in record["warnings"])


def test_the_tone_stands_beside_the_text(servers: FakeServers, tmp_path: Path) -> None:
    async def gloomy(*_: Any) -> web.StreamResponse | None:
        return completion("Negative. It rains.")

    servers.on_ask = gloomy
    pictures(tmp_path / "ads", 1)
    assert run(servers, "ads", "--tasks", "sentiment", "--languages", "fra_Latn", cwd=tmp_path).returncode == 0
    answer = results(tmp_path)["files"][0]["tasks"]["sentiment"]
    assert (answer["text"], answer["label"]) == ("Negative. It rains.", "negative")
    assert answer["translations"] == {"fra_Latn": "fra_Latn: Negative. It rains."}


def test_nobody_there_at_all(tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 1)
    done = run(f"http://127.0.0.1:{free_port()}", "ads", "--wait", "0.5", cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot be reached (Connection refused), for 0.5 s; gave up waiting" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_usage_is_exit_code_2(tmp_path: Path) -> None:
    assert run_process("http://127.0.0.1:9", "nowhere", cwd=tmp_path).returncode == 2


def test_help_teaches(tmp_path: Path) -> None:
    done = run_process("http://127.0.0.1:9", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.count("python -m client.batch ") >= 5
