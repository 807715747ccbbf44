"""What an endpoint says of its models: lists are advice, and limits are told before anything is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from batch_runs import pictures, run
from behaviours import answering
from fake_servers import FakeServers, error, free_port, listing

if TYPE_CHECKING:
    from pathlib import Path

    from fake_servers import Behaviour


def test_nobody_there_at_all(tmp_path: Path) -> None:
    pictures(tmp_path / "ads", 1)
    done = run(f"http://127.0.0.1:{free_port()}", "ads", "--wait", "0.5", cwd=tmp_path)
    assert done.returncode == 1
    said = "cannot be reached (Connection refused), for 0.5 s; gave up waiting (is it running? babelview up starts it)"
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_towards_another_endpoint_frames_are_pictures(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    servers.on_models = answering(lambda: listing("openai", "gpt-4o"))
    options = ("ads", "--model", "gpt-4o", "--languages", "")
    assert run(servers, *options, cwd=tmp_path).returncode == 0
    by_name = {body["messages"][0]["content"][0]["type"] for body in servers.asked}
    assert by_name == {"image_url"}
    contents = [body["messages"][0]["content"] for body in servers.asked]
    assert sorted(len(content) for content in contents) == [2, 6, 9, 9]  # a picture; 5 and 8 frames; and a question
    assert all(content[-1]["type"] == "text" for content in contents)
    frames = [part["image_url"]["url"] for content in contents for part in content[:-1]]
    assert all(frame.startswith("data:image/jpeg;base64,") and "," not in frame[23:] for frame in frames)
    assert {body["model"] for body in servers.asked} == {"gpt-4o"}
    # How frames are sent is no new question.
    assert run(servers, *options, "--frames-as", "video", cwd=tmp_path).returncode == 0
    assert len(servers.asked) == 4
    assert run(servers, *options, "--frames-as", "video", "--redo", "all", cwd=tmp_path).returncode == 0
    assert sum(body["messages"][0]["content"][0]["type"] == "video_url" for body in servers.asked) == 3


def test_a_model_that_is_neither_listed_nor_known_ends_the_run(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    servers.on_ask = answering(lambda: error(404, "The model `gpt-5` does not exist."))
    done = run(servers, "ads", "--model", "gpt-5", cwd=tmp_path)
    assert done.returncode == 2
    assert "does not serve gpt-5" in done.stderr
    assert "it lists llama-3.2-11b-vision, llava-next-video-7b" in done.stderr
    servers.on_ask = None
    # Who looks at no picture needs no model for pictures.
    (ads / "d.png").unlink()
    assert run(servers, "ads", "--image-model", "none", "--languages", "", cwd=tmp_path).returncode == 0


def test_a_model_that_is_not_listed_is_warned_about_and_tried(servers: FakeServers, tmp_path: Path) -> None:
    servers.on_models = answering(lambda: listing("litellm", "openai/*", "llava:latest", "models/gemini-2.0-flash"))
    pictures(tmp_path / "ads", 1)
    for model, warned in (("gpt-5", True), ("openai/gpt-5", False), ("gemini-2.0-flash", False), ("llava", False)):
        done = run(servers, "ads", "--model", model, "--languages", "", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (f"does not list {model}, which is tried all the same" in done.stderr) == warned


@pytest.mark.parametrize("status", [403, 404, 501])
def test_an_endpoint_that_does_not_list_its_models_is_asked_all_the_same(
    servers: FakeServers, tmp_path: Path, status: int
) -> None:
    servers.on_models = answering(lambda: web.Response(status=status))
    pictures(tmp_path / "ads", 2)
    assert run(servers, "ads", "--model", "mine", "--languages", "", cwd=tmp_path).returncode == 0
    assert len(servers.asked) == 2


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (404, "<h1>Not Found</h1>", "HTTP 404"),
        (405, '{"detail": "Method Not Allowed"}', "HTTP 405"),
        (
            404,
            '{"error": {"message": "POST /v1/chat/completions: Not Found"}}',
            "HTTP 404",
        ),  # as our translator says it
        (200, "<h1>Welcome</h1>", "no JSON"),
        (200, '{"status": "ok"}', "no chat completion"),
    ],
)
def test_an_address_that_is_no_endpoint_is_told_before_anything_is_decoded(
    servers: FakeServers, tmp_path: Path, status: int, body: str, reason: str
) -> None:
    servers.on_models = answering(lambda: web.Response(status=404))
    servers.on_probe = answering(lambda: web.Response(status=status, text=body))
    (tmp_path / "ads").mkdir()
    (tmp_path / "ads" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    done = run(servers, "ads", "--languages", "", cwd=tmp_path)
    assert done.returncode == 2
    assert f"--base-url {servers.url}/v1: no OpenAI endpoint there (/chat/completions: {reason})" in done.stderr
    assert "broken.jpg" not in done.stderr
    assert "is /v1 missing?" not in done.stderr  # it is not
    assert servers.asked == []


@pytest.mark.parametrize(("status", "words"), [(404, "The model does not exist"), (500, "?"), (401, "Who?")])
def test_an_endpoint_that_refuses_in_openais_words_is_one(
    servers: FakeServers, tmp_path: Path, status: int, words: str
) -> None:
    servers.on_models = answering(lambda: web.Response(status=404))
    servers.on_probe = answering(lambda: error(status, words))
    pictures(tmp_path / "ads", 1)
    assert run(servers, "ads", "--languages", "", cwd=tmp_path).returncode == 0


def limits(**of_llava: int) -> Behaviour:
    """A gateway of ours that says how much LLaVA takes."""

    models = [
        {"id": "llama-3.2-11b-vision", "owned_by": "babelview", "max_frames": 0, "max_images": 1},
        {"id": "llava-next-video-7b", "owned_by": "babelview", **of_llava},
    ]
    return answering(lambda: web.json_response({"object": "list", "data": models}))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--frames", "17"], "llava-next-video-7b takes at most 16 frames of a video, not 17 (--frames, or"),
        (["--every", "1", "--max-frames", "17"], "llava-next-video-7b takes at most 16 frames of a video, not 17"),
        (["--frames-as", "images"], "llava-next-video-7b takes at most 4 pictures in a request, and frames are sent"),
        (["--model", "llama-3.2-11b-vision"], "llama-3.2-11b-vision takes no videos (--model, --video-model"),
        (["--frames", "16"], None),
        (["--frames-as", "images", "--frames", "4"], None),
    ],
)
def test_more_frames_than_the_model_takes_are_told_before_anything_is_decoded(
    servers: FakeServers, ads: Path, tmp_path: Path, options: list[str], reason: str | None
) -> None:
    servers.on_models = limits(max_frames=16, max_images=4)
    done = run(servers, "ads", "--languages", "", *options, cwd=tmp_path)
    if reason is None:
        assert done.returncode == 0
        return
    assert done.returncode == 2
    assert reason in done.stderr
    assert servers.asked == []
    # Pictures alone have no frames.
    (tmp_path / "pictures").mkdir()
    (ads / "d.png").rename(tmp_path / "pictures" / "d.png")
    assert run(servers, "pictures", "--languages", "", *options, cwd=tmp_path).returncode == 0


def test_a_model_that_takes_no_pictures_is_told(servers: FakeServers, tmp_path: Path) -> None:
    servers.on_models = limits(max_frames=16, max_images=0)
    pictures(tmp_path / "ads", 1)
    done = run(servers, "ads", "--languages", "", "--model", "llava-next-video-7b", cwd=tmp_path)
    assert done.returncode == 2
    assert "llava-next-video-7b takes no pictures (--model, --image-model" in done.stderr


def test_newer_models_want_another_name_for_the_limit(servers: FakeServers, tmp_path: Path) -> None:
    async def particular(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        if "max_tokens" not in body:
            return None
        return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")

    servers.on_ask = particular
    pictures(tmp_path / "ads", 6)
    assert run(servers, "ads", "--concurrency", "2", "--languages", "", cwd=tmp_path).returncode == 0
    assert 7 <= len(servers.asked) <= 8  # each slot learns it once
    assert servers.asked[-1]["max_completion_tokens"] > 0


def test_when_nothing_is_to_be_done_nobody_need_be_there(servers: FakeServers, ads: Path, tmp_path: Path) -> None:
    assert run(servers, "ads", cwd=tmp_path).returncode == 0
    servers.stop()
    done = run(servers, "ads", "--wait", "0.1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 files done (4 by an earlier run)" in done.stderr
