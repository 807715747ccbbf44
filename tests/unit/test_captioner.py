"""Captions over HTTP: what may be sent, what comes back, and what is left on the disk; against the fake endpoint."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from batch_runs import pictures, seen_in
from captioners import KEY, captioner, encoded, events_of
from fake_servers import completion, error
from media_files import write_video

if TYPE_CHECKING:
    from pathlib import Path

    from fake_servers import FakeServers


DOT = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cc`\0\0\0\2\0\1H\xaf\xa4q"
    b"\0\0\0\0IEND\xaeB`\x82"
).decode()
"""A picture of one pixel."""


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "ad.mp4", frames=20)


@pytest.fixture
def frames(tmp_path: Path) -> list[str]:
    """Numbered pictures, 3 to 7, as base64."""
    folder = pictures(tmp_path / "frames", 5, first=3)
    return [encoded(path) for path in sorted(folder.iterdir())]


def asked_tokens(servers: FakeServers) -> list[int]:
    return [body["max_tokens"] for body in servers.asked]


async def test_the_guides_forms_are_taken_as_they_are(
    servers: FakeServers, tmp_path: Path, video: Path, frames: list[str]
) -> None:
    async with captioner(servers, tmp_path / "own") as running:
        picture = await running.ask({"image": frames[0]})
        film = await running.ask({"video": encoded(video), "max_length": 30})
        shots = await running.ask({"frames": frames, "max_length": 31})
        several = await running.ask(
            {"videos": [{"video": encoded(video), "max_length": 40}, {"frames": frames[:2], "max_length": 60}]}
        )
        assert running.files == []
    (record,) = picture["records"]
    assert (record["file"], record["kind"], record["tasks"]["describe"]["text"]) == ("image", "image", "I see 3")
    assert film["records"][0]["tasks"]["describe"]["text"] == "I see 0 2 5 8 10 13 16 19"
    (record,) = shots["records"]
    assert record["kind"] == "video"
    assert record["frames"] == 5
    assert record["tasks"]["describe"]["text"] == "I see 3 4 5 6 7"
    assert [record["file"] for record in several["records"]] == ["videos[0].video", "videos[1].frames"]
    assert [record["tasks"]["describe"]["text"] for record in several["records"]] == [
        *("I see 0 2 5 8 10 13 16 19", "I see 3 4"),
    ]
    assert asked_tokens(servers)[1:3] == [30, 31]
    assert sorted(asked_tokens(servers)[3:]) == [40, 60]
    assert several["object"] == "captions"
    assert set(several["timings"]) == {"upload_s", "waiting_s", "captioning_s"}


async def test_data_urls_are_taken_with_frames_after_commas_too(
    servers: FakeServers, tmp_path: Path, video: Path, frames: list[str]
) -> None:
    async with captioner(servers, tmp_path / "own") as running:
        await running.ask({"video": f"data:video/mp4;base64,{encoded(video)}"})
        await running.ask({"video": f"data:video/jpeg;base64,{','.join(frames)}"})
        broken = "\n".join(encoded(video)[at : at + 76] for at in range(0, len(encoded(video)), 76))
        await running.ask({"video": broken})
    assert seen_in(servers.asked) == ["0 2 5 8 10 13 16 19", "3 4 5 6 7", "0 2 5 8 10 13 16 19"]


async def test_tasks_questions_and_languages_are_those_of_the_batch(
    servers: FakeServers, tmp_path: Path, video: Path
) -> None:
    async with captioner(servers, tmp_path / "own") as running:
        answer = await running.ask(
            {
                "video": encoded(video),
                "tasks": ["describe", "tags"],
                "question": "Who?",
                "languages": ["fr"],
                "num_frames": 4,
                "temperature": 0.5,
            }
        )
    tasks = answer["records"][0]["tasks"]
    assert list(tasks) == ["describe", "tags", "ask"]
    assert tasks["describe"]["translations"] == {"fra_Latn": "fra_Latn: I see 0 6 12 19"}
    assert tasks["describe"]["verdict"] == "ok"
    assert {body["temperature"] for body in servers.asked} == {0.5}


async def test_what_one_of_several_says_itself_stands_for_what_is_said_for_all(
    servers: FakeServers, tmp_path: Path, frames: list[str]
) -> None:
    videos = [{"frames": frames[:1]}, {"frames": frames[1:2], "question": "Who?"}]
    async with captioner(servers, tmp_path / "own") as running:
        answer = await running.ask({"videos": videos, "task": "tags", "max_length": 50})
    assert [list(record["tasks"]) for record in answer["records"]] == [["tags"], ["ask"]]
    assert asked_tokens(servers) == [50, 50]


async def test_a_form_is_taken_with_several_files(
    servers: FakeServers, tmp_path: Path, video: Path, frames: list[str]
) -> None:
    form = aiohttp.FormData(quote_fields=False)  # as curl and browsers do
    for name, file in (("file", "../ads/spring \u00e9t\u00e9.mp4"), ("videos", "b.mp4")):
        form.add_field(name, base64.b64decode(encoded(video)), filename=file)
    for frame in frames[2:]:
        form.add_field("frames", base64.b64decode(frame), filename="a.png")
    for name, text in (("languages", "fr, hi"), ("task", "describe"), ("max_length", "33"), ("num_frames", "2")):
        form.add_field(name, text)
    async with captioner(servers, tmp_path / "own") as running:
        async with running.http.post(f"{running.url}/v1/captions", data=form) as response:
            answer = await response.json()
            assert response.status == 200, answer
        assert running.files == []
    assert [record["file"] for record in answer["records"]] == ["spring \u00e9t\u00e9.mp4", "b.mp4", "frames"]
    assert [record["tasks"]["describe"]["text"] for record in answer["records"]] == ["I see 0 19"] * 2 + ["I see 5 7"]
    assert set(answer["records"][0]["tasks"]["describe"]["translations"]) == {"fra_Latn", "hin_Deva"}
    assert asked_tokens(servers) == [33, 33, 33]


async def test_the_models_are_asked_with_the_callers_key_and_with_no_other(
    servers: FakeServers, tmp_path: Path, frames: list[str]
) -> None:
    async with captioner(servers, tmp_path / "own") as running:
        await running.ask({"image": frames[0]}, key="bv-somebody-elses-key")
        await running.ask({"image": frames[0]}, key=None)
    assert [headers.get("Authorization") for headers in servers.headers] == ["Bearer bv-somebody-elses-key", None]


async def test_events_tell_of_progress_and_of_the_answer_as_it_comes(
    servers: FakeServers, tmp_path: Path, video: Path
) -> None:
    body = {"video": encoded(video), "languages": ["fr"], "question": "Who is it?", "task": "describe"}
    async with captioner(servers, tmp_path / "own") as running:
        told = []
        for asked, headers in (({**body, "stream": True}, {}), (body, {"Accept": "text/event-stream"})):
            async with running.http.post(f"{running.url}/v1/captions", json=asked, headers=headers) as answer:
                assert answer.content_type == "text/event-stream"
                told.append(events_of(await answer.text()))
        whole = await running.ask(body)
        assert running.files == []
    for events in told:
        assert events[0] == {**events[0], "type": "progress", "status": "queued", "files": 1, "done": 0}
        said = {"describe": "", "ask": ""}
        for event in events:
            if event["type"] == "delta":
                said[event["task"]] += event["text"]
        assert said == {"describe": "I see 0 2 5 8 10 13 16 19", "ask": "You asked: Who is it?"}
        (record,) = (event["value"] for event in events if event["type"] == "record")
        assert events[-1]["type"] == "done"
        assert events[-1]["records"] == [record]
        assert list(record["tasks"]) == list(whole["records"][0]["tasks"])
        assert record["tasks"]["describe"]["translations"]
        shares = [event["share"] for event in events if event["type"] == "progress"]
        assert shares == sorted(shares)
        assert shares[-1] == 1


async def test_an_answer_that_is_asked_for_again_voids_what_was_told_of_it(
    servers: FakeServers, tmp_path: Path, frames: list[str]
) -> None:
    async def refuses_first(request: web.Request, body: dict[str, Any], count: int) -> web.StreamResponse | None:
        return completion("I'm sorry, but I can't help with that.") if count == 1 else None

    servers.on_ask = refuses_first
    async with (
        captioner(servers, tmp_path / "own") as running,
        running.http.post(f"{running.url}/v1/captions", json={"image": frames[0], "stream": True}) as answer,
    ):
        events = [event for event in events_of(await answer.text()) if event["type"] in ("delta", "retry")]
    assert [event["type"] for event in events] == ["delta", "retry", "delta"]
    assert events[-1]["text"] == "I see 3"


WRONG: list[tuple[Any, str | None, str]] = [
    ({}, None, "nothing to describe"),
    ({"image": ""}, "image", "empty"),
    ({"image": "~~~"}, "image", "not base64"),
    ({"image": "data:image/png,abc"}, "image", "data URL"),
    ({"image": "https://example.org/a.jpg"}, "image", "URLs are not fetched"),
    ({"video": 7}, "video", "Expected `str"),
    ({"frames": []}, "frames", "length >= 1"),
    ({"frames": ["aGFsbG8="] * 65}, "frames[64]", "more than 64 files"),
    ({"videos": [{"max_length": 40}]}, "videos[0]", "no video"),
    ({"videos": [{"video": "aGFsbG8=", "colour": "red"}]}, "videos[0].colour", "no parameter"),
    ({"image": "aGFsbG8=", "max_length": 0}, "max_length", ">= 1"),
    ({"image": "aGFsbG8=", "window": 0.001}, "window", ">= 0.5"),
    (
        {"image": "aGFsbG8=", "window": "cuts"},
        "window",
        "window: is so many seconds, from 0.5 to 3600, or scenes (Invalid",
    ),
    ({"image": "aGFsbG8=", "task": "describ"}, "task", "did you mean describe"),
    ({"image": DOT, "tasks": ["describe", "describ"]}, "tasks", "did you mean describe"),
    (
        {"image": DOT, "task": "describe", "window": 2},
        "window",
        "windows are for tasks over time, such as captions; describe",
    ),
    ({"image": DOT, "languages": ["en"]}, "languages", "English already"),
    ({"image": DOT, "languages": ["klingon"]}, "languages", "unknown language klingon"),
    ({"image": DOT, "languages": ["deu_Latn"]}, "languages", "the translator knows"),
    ({"image": "aGFsbG8=", "prompts": "/etc"}, "prompts", "no parameter"),
    ([1], None, "Expected `object`"),
]
"""Bodies, the parameter that is named, and words of the refusal."""


async def test_what_is_wrong_is_named_before_anything_is_asked(servers: FakeServers, tmp_path: Path) -> None:
    async with captioner(servers, tmp_path / "own") as running:
        for body, param, said in WRONG:
            status, answer = await running.try_to_ask(body)
            told = (status, answer["error"]["type"], answer["error"]["param"])
            assert told == (400, "invalid_request_error", param), body
            assert said in answer["error"]["message"], body
            assert running.files == []
    assert servers.asked == []


async def test_a_file_that_cannot_be_read_fails_alone(
    servers: FakeServers, tmp_path: Path, video: Path, frames: list[str]
) -> None:
    text = base64.b64encode(b"just\nsome\ntext\n").decode()
    async with captioner(servers, tmp_path / "own") as running:
        answer = await running.ask({"videos": [{"video": encoded(video)}, {"video": text}, {"frames": [text]}]})
        status, refused = await running.try_to_ask({"video": text})
        assert running.files == []
    assert [record["error"] and record["error"][:20] for record in answer["records"]] == [
        *(None, "this is a text file,", "frame 0: this is a t"),
    ]
    assert status == 400
    assert refused["error"]["code"] == "invalid_media"
    assert "video: this is a text file" in refused["error"]["message"]


async def test_a_model_that_fails_is_told_apart_from_a_file_that_does(
    servers: FakeServers, tmp_path: Path, frames: list[str]
) -> None:
    async def fails(request: web.Request, body: dict[str, Any], count: int) -> web.StreamResponse:
        return error(400, "no pictures today") if body["max_tokens"] == 1 else error(503, "starting")

    servers.on_ask = fails
    async with captioner(servers, tmp_path / "own", wait_s=0.2) as running:
        refused = await running.try_to_ask({"image": frames[0], "max_length": 1})
        away = await running.try_to_ask({"image": frames[0]})
        events = events_of(
            await (
                await running.http.post(f"{running.url}/v1/captions", json={"image": frames[0], "stream": True})
            ).text()
        )
    assert refused[0] == 502
    assert "no pictures today" in refused[1]["error"]["message"]
    assert away[0] == 503
    assert away[1]["error"]["code"] == "engine_unavailable"
    assert events[-1]["type"] == "error"
    assert events[-1]["error"]["code"] == "engine_unavailable"


async def test_who_is_gone_leaves_nothing_behind(servers: FakeServers, tmp_path: Path, frames: list[str]) -> None:
    asked, gone = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def never(request: web.Request, body: dict[str, Any], count: int) -> web.StreamResponse:
        loop.call_soon_threadsafe(asked.set)
        try:
            await asyncio.sleep(1000)
        finally:
            loop.call_soon_threadsafe(gone.set)
        raise AssertionError

    servers.on_ask = never
    async with captioner(servers, tmp_path / "own") as running:
        for stream in (False, True):
            asked.clear()
            gone.clear()
            asking = asyncio.create_task(running.try_to_ask({"image": frames[0], "stream": stream}))
            await asked.wait()
            assert running.files
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await gone.wait()  # the endpoint is let go too
            await running.until(files=False)


async def test_an_upload_that_is_broken_off_leaves_nothing_behind(servers: FakeServers, tmp_path: Path) -> None:
    async with captioner(servers, tmp_path / "own") as running:
        host, port = running.url.removeprefix("http://").split(":")
        for kind, begin in (("application/json", b'{"image": "aGFs'), ("multipart/form-data; boundary=x", b"--x\r\n")):
            _, writer = await asyncio.open_connection(host, int(port))
            head = f"POST /v1/captions HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 100000\r\n\r\n"
            writer.write(head.encode() + begin)
            await running.until(files=True)
            writer.transport.abort()
            await running.until(files=False)


async def test_what_a_killed_one_left_is_removed_and_its_folder_is_private(
    servers: FakeServers, tmp_path: Path
) -> None:
    left = tmp_path / "own" / "requests" / "tmpabc" / "0.mp4"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of somebody")
    (tmp_path / "own" / "captioner.lock").touch()
    async with captioner(servers, tmp_path / "own") as running:
        assert running.files == []
        assert (tmp_path / "own").stat().st_mode & 0o777 == 0o700
        with pytest.raises(Exception, match="another captioner uses it"):
            async with captioner(servers, tmp_path / "own"):
                pass


async def test_the_answer_is_json_as_it_says(servers: FakeServers, tmp_path: Path, frames: list[str]) -> None:
    async with captioner(servers, tmp_path / "own") as running:
        async with running.http.post(
            f"{running.url}/v1/captions",
            data=json.dumps({"image": frames[0]}),
            headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/x-www-form-urlencoded"},
        ) as answer:
            assert (answer.status, answer.content_type) == (200, "application/json")
        for method, path, status in (
            ("GET", "/v1/captions", 405),
            ("POST", "/v1/nothing", 404),
            ("GET", "/v1/captions/jobs/none", 404),
        ):
            code, said = await running.try_to_ask(path=path, method=method)
            assert (code, said["error"]["type"]) == (status, "invalid_request_error")
        async with running.http.get(f"{running.url}/metrics") as page:
            text = await page.text()
    assert 'babelview_captioner_requests_total{method="POST",path="/v1/captions",status="200"} 1.0' in text
    assert 'babelview_captioner_records_total{kind="image",outcome="ok"} 1.0' in text
