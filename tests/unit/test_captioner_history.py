"""Captions over HTTP: a question after others about the same file."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from batch_runs import pictures
from captioners import captioner, encoded
from fake_servers import error
from sound_files import tones, write

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web
    from fake_servers import FakeServers

HISTORY = [
    {"task": "describe", "answer": "A red car."},
    {"question": "Who drives?", "answer": "A woman."},
]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return pictures(tmp_path / "ads", 1) / "0000.png"


def roles(body: dict[str, Any]) -> list[str]:
    return [message["role"] for message in body["messages"]]


def words(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else content[-1]["text"]


async def test_the_model_is_told_what_was_asked_before(servers: FakeServers, tmp_path: Path, picture: Path) -> None:
    image = encoded(picture)
    async with captioner(servers, tmp_path / "own") as running:
        await running.ask({"image": image})
        answer = await running.ask({"image": image, "question": "Where to?", "tasks": ["tags"], "history": HISTORY})
    first, *later = servers.asked
    assert set(answer["records"][0]["tasks"]) == {"tags", "ask"}
    tags, asked = sorted(later, key=lambda body: len(body["messages"]))
    assert roles(tags) == ["user"], "a task is asked as ever"
    assert roles(asked) == ["user", "assistant", "user", "assistant", "user"]
    assert asked["messages"][0] == first["messages"][0], "as it was put then: media first, and a cache serves"
    said = [words(message) for message in asked["messages"][1:]]
    assert (said[0], said[2]) == ("A red car.", "A woman.")
    assert "Who drives?" in said[1]
    assert "Where to?" in said[3]
    assert all(isinstance(message["content"], str) or len(message["content"]) == 1 for message in asked["messages"][1:])


async def test_where_it_is_heard_all_questions_are_told_what_is_said(hearing: FakeServers, tmp_path: Path) -> None:
    film = write(tmp_path / "film.mkv", [tones([(1, 2.5)], 6, 300)], video_s=6)
    silent = write(tmp_path / "silent.mkv", [tones([], 6, 300)], video_s=6)
    more = {"question": "Where to?", "history": [*HISTORY, {"task": "tags", "answer": "[]"}]}
    async with captioner(hearing, tmp_path / "own") as running:
        for path in (film, silent):
            await running.ask({"video": encoded(path), "hear": True})
            await running.ask({"video": encoded(path), "hear": True, **more})
    first, asked, of_silence, asked_of_silence = hearing.asked
    assert asked["messages"][0] == first["messages"][0]
    told = [words(message) for message in asked["messages"][::2]]
    assert ["[1.0 s] tone 300" in prompt for prompt in told] == [True, True, False, True]
    assert asked_of_silence["messages"][0] == of_silence["messages"][0]
    assert not [message for message in asked_of_silence["messages"] if "transcript" in words(message)]


async def test_a_form_has_it_as_json(servers: FakeServers, tmp_path: Path, picture: Path) -> None:
    data = base64.b64decode(encoded(picture))
    async with captioner(servers, tmp_path / "own") as running:
        for history, status in ((json.dumps(HISTORY), 200), ("[{", 400), ('[{"answer": 3}]', 400)):
            form = aiohttp.FormData({"question": "Where to?", "history": history})
            form.add_field("file", data, filename="a.png")
            async with running.http.post(f"{running.url}/v1/captions", data=form) as answer:
                assert answer.status == status
                if status == 400:
                    assert "history" in (await answer.json())["error"]["message"]
    assert [len(body["messages"]) for body in servers.asked] == [5]


async def test_the_oldest_goes_where_it_is_too_much_for_the_model(
    servers: FakeServers, tmp_path: Path, picture: Path
) -> None:
    async def on_ask(_: web.Request, body: dict[str, Any], __: int) -> web.Response | None:
        too_long = len(body["messages"]) > 3
        return error(400, "the prompt is longer than the maximum context length") if too_long else None

    servers.on_ask = on_ask
    async with captioner(servers, tmp_path / "own") as running:
        answer = await running.ask({"image": encoded(picture), "question": "Where to?", "history": HISTORY})
    assert answer["records"][0]["tasks"]["ask"]["text"]
    assert [len(body["messages"]) for body in servers.asked] == [5, 3]
    assert words(servers.asked[-1]["messages"][1]) == "A woman."


@pytest.mark.parametrize(
    ("earlier", "says"),
    [
        ({"answer": "Yes."}, "either a question or a task"),
        ({"answer": "Yes.", "question": "Why?", "task": "tags"}, "either a question or a task"),
        ({"answer": "Yes.", "task": "captions"}, "not one question about a whole file"),
        ({"answer": "Yes.", "task": "tag"}, "did you mean"),
        ({"question": "Why?"}, "answer"),
        ({"question": "Why?", "answer": "Yes.", "role": "system"}, "role"),
    ],
)
async def test_what_was_no_such_question_is_refused(
    servers: FakeServers, tmp_path: Path, picture: Path, earlier: dict[str, str], says: str
) -> None:
    async with captioner(servers, tmp_path / "own") as running:
        body = {"image": encoded(picture), "question": "Where to?", "history": [earlier]}
        status, said = await running.try_to_ask(body)
    assert status == 400
    assert says in said["error"]["message"]
    assert servers.asked == []
