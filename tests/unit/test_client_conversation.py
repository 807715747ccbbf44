"""Conversations: answers that stream, the media once and first, a history that fits, moments of a video."""

from __future__ import annotations

import asyncio
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from batch_runs import pictures
from fake_servers import FakeServers, completion, error, stream, what_is_seen
from media_files import numbered, write_video
from PIL import Image
from sound_files import tones, write
from web_site import Site, png

from client import Babelview, MediaError, RequestError, UsageError
from scripts.benchmarks.fakes.endpoint import MODELS, models_document

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("shared_decoders")


def at(servers: FakeServers, **more: Any) -> Babelview:
    return Babelview(servers.url, translator=servers.url, **more)


def texts(body: dict[str, Any]) -> list[str]:
    """What is said in a request, message by message, without media."""
    said = [message["content"] for message in body["messages"]]
    return [each if isinstance(each, str) else each[-1]["text"].rpartition(": ")[2] for each in said]


def media(body: dict[str, Any]) -> list[list[str]]:
    """The types of the media, message by message."""
    return [
        [part["type"] for part in message["content"] if isinstance(part, dict) and part["type"] != "text"]
        for message in body["messages"]
    ]


def files_below(folder: Path) -> list[str]:
    """The names of all files in a folder and those below."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def answering(*answers: str) -> Any:
    """A behaviour that streams these answers, one after the other."""

    async def on_ask(request: web.Request, _: dict[str, Any], number: int) -> web.StreamResponse:
        return await stream(request, answers[(number - 1) % len(answers)])

    return on_ask


async def test_an_answer_comes_word_by_word_before_it_is_done(servers: FakeServers, tmp_path: Path) -> None:
    picture = pictures(tmp_path / "ads", 1) / "0000.png"
    first, loop = asyncio.Event(), asyncio.get_running_loop()

    async def on_ask(request: web.Request, _: dict[str, Any], __: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b': a comment\n\nevent: x\ndata: {"choices":[{"delta":{"role":"assistant"}}]}\n\n')
        await response.write(b'data: {"choices":[{"delta":{"content":"A "}}]}\n\n')
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(first.wait(), loop))
        await response.write(b'data: {"choices":[{"delta":{"content":"ca')
        await response.write(b't."},"finish_reason":"stop"}],"metrics":{"tokens_per_second":5.0}}\r\n\r\n')
        await response.write(
            b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}\n\ndata: [DONE]\n\n'
        )
        return response

    servers.on_ask = on_ask
    seen = []
    async with at(servers) as bv:
        reply = bv.ask(picture, "What is it?")
        async for piece in reply:
            seen.append(piece)
            first.set()
    assert seen == ["A ", "cat."]
    answer = reply.answer
    assert answer is not None
    assert (answer.text, answer.finish_reason, answer.verdict) == ("A cat.", "stop", "ok")
    assert (answer.prompt_tokens, answer.generated_tokens, answer.tokens_per_s) == (9, 3, 5.0)
    assert servers.asked[0]["stream"] is True


async def test_pictures_side_by_side_stand_first_in_one_message(servers: FakeServers, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "ads", 3)
    async with at(servers) as bv:
        answer = await bv.ask([folder / "0002.png", folder / "0000.png"], "Which is brighter?")
    assert answer.text == "You asked: Which is brighter?"
    assert what_is_seen(servers.asked[0]) == "2 0"
    assert media(servers.asked[0]) == [["image_url", "image_url"]]


async def test_what_cannot_be_asked_about_together_is_refused(servers: FakeServers, tmp_path: Path) -> None:
    picture = pictures(tmp_path / "ads", 1) / "0000.png"
    video = write_video(tmp_path / "ad.mp4", frames=10)
    (tmp_path / "note.txt").write_text("a note\n")
    async with at(servers) as bv:
        with pytest.raises(UsageError, match="together"):
            await bv.ask([picture, video], "What?")
        with pytest.raises(UsageError, match="give a file"):
            bv.ask([], "What?")
        with pytest.raises(UsageError, match="not one question about a whole video"):
            await bv.ask(video, tasks=["captions"])
        with pytest.raises(UsageError, match="not one question"):
            await bv.ask(picture, tasks=["describe", "tags"])
        with pytest.raises(UsageError, match="not both"):
            await bv.chat(picture).ask("What?", task="tags")
        with pytest.raises(UsageError, match="did you mean"):
            await bv.ask(picture, tasks=["tag"])
        with pytest.raises(MediaError, match=r"note\.txt: this is a text file"):
            await bv.ask(tmp_path / "note.txt", "What?")
    assert servers.asked == []


async def test_a_model_that_takes_fewer_pictures_is_not_asked(servers: FakeServers, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "ads", 3)

    async def on_models(*_: Any) -> web.Response:
        document = models_document("vllm", *MODELS)
        document["data"][0]["max_images"] = 2
        return web.json_response(document)

    servers.on_models = on_models
    async with at(servers) as bv:
        with pytest.raises(UsageError, match="at most 2 pictures in a request, not 3"):
            await bv.ask(sorted(folder.iterdir()), "What?")
        await bv.ask(sorted(folder.iterdir())[:2], "What?")
    assert len(servers.asked) == 1


async def test_a_conversation_goes_on_with_the_media_first(servers: FakeServers, tmp_path: Path) -> None:
    video = write_video(tmp_path / "ad.mp4", frames=20)
    servers.on_ask = answering("Red.", "Blue.", "Both of them.")
    async with at(servers) as bv:
        talk = bv.chat(video)
        for question in ("How does it begin?", "And then?"):
            await talk.ask(question)
        await talk.ask(task="tags")
        await talk.close()
    begun, then, last = servers.asked
    assert texts(begun) == ["How does it begin?"]
    assert texts(then) == ["How does it begin?", "Red.", "And then?"]
    assert texts(last)[:4] == ["How does it begin?", "Red.", "And then?", "Blue."]
    assert [media(body)[0] for body in servers.asked] == [["video_url"]] * 3
    assert not any(found for body in servers.asked for found in media(body)[1:])
    assert then["messages"][0] == begun["messages"][0]  # byte for byte: the server's caches serve it
    assert [(it.asked, it.answer.text) for it in talk.answered][:2] == [
        ("How does it begin?", "Red."),
        ("And then?", "Blue."),
    ]


async def test_the_oldest_goes_where_the_context_ends(servers: FakeServers, tmp_path: Path) -> None:
    picture = pictures(tmp_path / "ads", 1) / "0000.png"
    servers.on_ask = answering("word " * 100)

    async def on_models(*_: Any) -> web.Response:
        document = models_document("vllm", *MODELS)
        for model in document["data"]:
            model["max_model_len"] = 1000
        return web.json_response(document)

    servers.on_models = on_models
    async with at(servers) as bv:
        talk = bv.chat(picture)
        for number in range(6):
            await talk.ask(f"Number {number}?")
    asked = [texts(body) for body in servers.asked]
    assert [len(each) for each in asked[:3]] == [1, 3, 5]
    assert max(map(len, asked)) < 11
    last = asked[-1]
    assert last[-1] == "Number 5?"
    assert last[0] == f"Number {5 - len(last) // 2}?"
    assert [media(body)[0] for body in servers.asked] == [["image_url"]] * 6
    assert len(talk.answered) == 6


async def test_the_oldest_goes_where_the_model_says_that_it_is_too_much(servers: FakeServers, tmp_path: Path) -> None:
    picture = pictures(tmp_path / "ads", 1) / "0000.png"

    async def on_ask(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        if len(body["messages"]) > 3:
            return error(400, "This model's maximum context length is 40 tokens.")
        return None

    servers.on_ask = on_ask
    async with at(servers) as bv:
        talk = bv.chat(picture)
        for question in ("a", "b", "c"):
            await talk.ask(question)
        assert [len(body["messages"]) for body in servers.asked] == [1, 3, 5, 3]
        assert texts(servers.asked[-1])[0] == "b"
        servers.on_ask = lambda *_: asyncio.sleep(0, error(400, "no such thing"))
        with pytest.raises(RequestError, match="no such thing"):
            await talk.ask("d")
        assert len(talk.answered) == 3
        servers.on_ask = None
        assert (await talk.ask("e")).text
    assert texts(servers.asked[-1])[-1] == "e"


async def test_a_moment_of_a_video(servers: FakeServers, tmp_path: Path) -> None:
    video = write_video(tmp_path / "ad.mp4", frames=100, rate=10)
    async with at(servers) as bv:
        talk = bv.chat(video, frames=2)
        await talk.ask("a")
        talk.look_at(5.0)
        await talk.ask("b")
        await talk.ask("c")
        talk.look_at(None)
        await talk.ask("d")
        talk.look_at(30)
        with pytest.raises(UsageError, match=r"lasts 10 s: there is nothing at 29 s"):
            await talk.ask("e")
        still = bv.chat(pictures(tmp_path / "ads", 1) / "0000.png")
        still.look_at(1)
        with pytest.raises(UsageError, match="only videos"):
            await still.ask("f")
    assert [what_is_seen(body) for body in servers.asked] == ["0 99", "40 59", "40 59", "0 99"]
    assert [len(body["messages"]) for body in servers.asked] == [1, 1, 3, 1]
    assert [it.at_s for it in talk.answered] == [None, 5.0, 5.0, None]


async def test_a_url_is_fetched_once_for_a_conversation_and_removed(
    servers: FakeServers, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    url = site.put("/seven.png", png(7))
    async with at(servers) as bv:
        talk = bv.chat([url, f"{site.url}/seven.png?2"])
        for question in ("a", "b"):
            await talk.ask(question)
        assert files_below(tmp_path) == ["0.png", "1.png"]
        await talk.close()
        assert files_below(tmp_path) == []
        with pytest.raises(MediaError, match="404"):
            await bv.ask(f"{site.url}/gone.png", "What?")
        assert (await bv.caption(url))["tasks"]["describe"]["text"] == "I see 7"
    assert site.asked == ["/seven.png", "/seven.png?2", "/gone.png", "/seven.png"]
    assert [what_is_seen(body) for body in servers.asked] == ["7 7", "7 7", "7"]


async def test_of_several_pictures_one_that_moves_counts_as_its_first(servers: FakeServers, tmp_path: Path) -> None:
    frames = [Image.fromarray(numbered(number)) for number in (4, 5)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:], duration=100)
    still = pictures(tmp_path / "ads", 1) / "0000.png"
    async with at(servers) as bv:
        await bv.ask([tmp_path / "moving.gif", still], "What?")
        await bv.ask(tmp_path / "moving.gif", "What?")
    assert [what_is_seen(body) for body in servers.asked] == ["4 0", "4 5"]


async def test_a_recording_is_asked_about_by_what_is_said_in_it(hearing: FakeServers, tmp_path: Path) -> None:
    sound = write(tmp_path / "talk.wav", [tones([(1, 2)], 3, 440)])
    async with at(hearing, text_model="writer") as bv:
        talk = bv.chat(sound)
        await talk.ask("Who speaks?")
        await talk.ask("Of what?")
        with pytest.raises(UsageError, match="sound alone"):
            await talk.ask(task="describe")
    assert len(hearing.heard) == 1
    asked = hearing.asked[0]
    assert asked["model"] == "writer"
    text = asked["messages"][0]["content"][-1]["text"]
    assert "Question: Who speaks?" in text
    assert "[1.0 s] tone 440" in text
    assert media(asked) == [[]]
    assert len(hearing.asked[1]["messages"]) == 3


async def test_a_video_is_heard_where_that_is_wanted(hearing: FakeServers, tmp_path: Path) -> None:
    film = write(tmp_path / "film.mkv", [tones([(1, 2.5)], 4, 300)], video_s=4)
    async with at(hearing) as bv:
        await bv.ask(film, "What is said?", hear=True)
        await bv.ask(film, "What is said?")
    heard, unheard = (body["messages"][0]["content"][-1]["text"] for body in hearing.asked)
    assert "[1.0 s] tone 300" in heard
    assert "tone" not in unheard


async def test_who_does_not_stream_is_heard_all_the_same(servers: FakeServers, tmp_path: Path) -> None:
    picture = pictures(tmp_path / "ads", 1) / "0000.png"
    servers.on_ask = lambda *_: asyncio.sleep(0, completion("A cat."))
    async with at(servers) as bv:
        reply = bv.ask(picture, "What?")
        assert [piece async for piece in reply] == ["A cat."]
        assert reply.answer is not None
        assert reply.answer.generated_tokens == 7
        assert await reply == reply.answer


async def test_who_takes_no_stream_options_is_asked_without(servers: FakeServers, tmp_path: Path) -> None:
    picture = pictures(tmp_path / "ads", 1) / "0000.png"

    async def on_ask(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        return error(422, "stream_options: extra inputs are not permitted") if "stream_options" in body else None

    servers.on_ask = on_ask
    async with at(servers) as bv:
        assert (await bv.ask(picture, "What?")).text == "You asked: What?"
        await bv.ask(picture, "What?")
    assert ["stream_options" in body for body in servers.asked] == [True, False, False]


@pytest.mark.parametrize("broken", ["cut off", "an error"])
async def test_an_answer_that_breaks_off_is_an_error(servers: FakeServers, tmp_path: Path, broken: str) -> None:
    picture = pictures(tmp_path / "ads", 1) / "0000.png"

    async def on_ask(request: web.Request, _: dict[str, Any], __: int) -> web.StreamResponse:
        response = await stream(request, "A cat ", end=False)
        if broken == "an error":
            await response.write(b'data: {"error": {"message": "the engine died"}}\n\n')
        return response

    servers.on_ask = on_ask
    message = {"cut off": "broke off: it ended too early", "an error": "broke off: .*the engine died"}[broken]
    async with at(servers) as bv:
        pieces = aiter(bv.ask(picture, "What?"))
        seen = [await anext(pieces), await anext(pieces)]
        with pytest.raises(RequestError, match=message):
            await anext(pieces)
    assert seen == ["A ", "cat "]
    assert len(servers.asked) == 1


async def test_a_server_that_is_busy_is_asked_again(servers: FakeServers, tmp_path: Path) -> None:
    picture = pictures(tmp_path / "ads", 1) / "0000.png"

    async def on_ask(_: web.Request, __: dict[str, Any], number: int) -> web.StreamResponse | None:
        return error(503, "busy") if number == 1 else None

    servers.on_ask = on_ask
    async with at(servers) as bv:
        assert (await bv.ask(picture, "What?")).text == "You asked: What?"
    assert len(servers.asked) == 2


async def test_reasoning_is_told_apart_and_bad_answers_are_said_to_be(servers: FakeServers, tmp_path: Path) -> None:
    picture = pictures(tmp_path / "ads", 1) / "0000.png"
    servers.on_ask = answering("<think>Hm, a cat?</think>A cat.", "I'm sorry, but I can't help with that.")
    async with at(servers) as bv:
        answer = await bv.ask(picture, "What?")
        assert (answer.text, answer.reasoning, answer.verdict) == ("A cat.", "Hm, a cat?", "ok")
        assert (await bv.ask(picture, "What?")).verdict == "doubtful"
