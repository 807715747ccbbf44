"""How much the captioner takes, of whom, and in which order."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from batch_runs import pictures
from captioners import JOBS, captioner, encoded, taken_place

from client.captioner import sse
from client.captioner.body import BodyReader
from client.captioner.command import command, main
from client.captioner.config import Limits
from client.captioner.feed import Feed
from client.captioner.slots import Slots
from client.captioner.uploads import Upload, Uploads
from server.parts import CAPTIONER_STOP_S
from server.profile import load_profile
from server.shipped_profiles import available_profiles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import web
    from fake_servers import FakeServers

FORM = b'--x\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n'


def form(*parts: tuple[bytes, bytes, bytes]) -> bytes:
    return b"\r\n".join([FORM % (name, more) + data for name, more, data in parts] + [b"--x--\r\n"])


async def post(running: Any, body: Any, kind: str = "multipart/form-data; boundary=x") -> tuple[int, Any]:
    async with running.http.post(f"{running.url}/v1/captions", data=body, headers={"Content-Type": kind}) as answer:
        return answer.status, (await answer.json())["error"]


async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
    """A body whose length nobody has told."""
    yield body


async def test_what_is_too_large_is_refused_told_or_not(servers: FakeServers, tmp_path: Path) -> None:
    large = form((b"file", b'; filename="a.png"', bytes(1_000_000)))
    json = b'{"image": "' + b"a" * 50_000 + b'"}'
    async with captioner(servers, tmp_path / "own", upload_bytes=900_000, json_bytes=40_000) as running:
        for body, kind in ((large, "multipart/form-data; boundary=x"), (json, "application/json")):
            for sent in (body, in_chunks(body)):
                status, error = await post(running, sent, kind)
                assert (status, error["code"]) == (413, "request_too_large")
        assert running.files == []


async def test_uploads_of_all_are_bounded_together(servers: FakeServers, tmp_path: Path) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def waits(*_: Any) -> None:
        loop.call_soon_threadsafe(asked.set)
        await asyncio.sleep(1000)

    servers.on_ask = waits
    picture = (pictures(tmp_path / "one", 1) / "0000.png").read_bytes()
    room = 2 * len(picture)
    async with captioner(servers, tmp_path / "own", uploads_bytes=room) as running:
        await running.ask({"image": encoded(tmp_path / "one" / "0000.png")}, path=JOBS)
        await asked.wait()
        for body in (form((b"file", b'; filename="a.png"', bytes(room))),):
            for sent in (body, in_chunks(body)):
                status, error = await post(running, sent)
                assert (status, error["code"]) == (429, "rate_limit_exceeded")


async def test_who_comes_when_it_is_full_is_told_when_to_come_again(servers: FakeServers, tmp_path: Path) -> None:
    async with captioner(servers, tmp_path / "own", at_once=1, waiting=0, body_idle_s=60) as running:
        host, port = running.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/captions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        await running.until(files=True)
        async with running.http.post(f"{running.url}/v1/captions", data=b"{}") as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) > 0
        writer.close()
        await running.until(files=False)
        assert (await running.try_to_ask({}))[0] == 400


async def test_one_key_does_not_take_all_places(servers: FakeServers, tmp_path: Path) -> None:
    async with captioner(servers, tmp_path / "own", at_once=1, waiting=3, body_idle_s=60) as running:
        host, port = running.url.removeprefix("http://").split(":")
        writers = []
        for number in range(1, 4):  # three of four places
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(
                b"POST /v1/captions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nContent-Length: 100\r\n\r\n{"
            )
            writers.append(writer)
            while len(list((running.folder / "requests").iterdir())) < number:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.01)
        assert (await running.try_to_ask({}, key="a"))[0] == 429
        assert (await running.try_to_ask({}, key="b"))[0] == 400
        for writer in writers:
            writer.close()


async def test_only_the_sender_is_held_to_the_time_of_a_body(tmp_path: Path) -> None:
    limits = Limits(body_idle_s=0.01, body_bytes_per_s=1e12)
    request, upload = web_request(), Uploads(tmp_path, limits)
    blocks = BodyReader(limits)._blocks(request, Upload(upload, tmp_path))
    request.content.feed_data(bytes(1 << 20))
    await anext(blocks)
    await asyncio.sleep(0.05)  # a slow disk
    request.content.feed_data(b"end")
    request.content.feed_eof()
    assert [block async for block in blocks] == [b"end"]


def web_request() -> web.Request:
    """A request whose body is fed by hand."""
    protocol = BaseProtocol(asyncio.get_running_loop())
    return make_mocked_request("POST", "/", payload=StreamReader(protocol, 1 << 22, loop=asyncio.get_running_loop()))


async def test_without_a_key_nothing_is_taken_where_keys_are_needed(servers: FakeServers, tmp_path: Path) -> None:
    async with captioner(servers, tmp_path / "own", keys_only=True) as running:
        for path in (JOBS, "/v1/captions"):
            assert (await running.try_to_ask({}, path=path, key=None))[0] == 401
            assert (await running.try_to_ask({}, path=path))[0] == 400
        assert (await running.try_to_ask(path="/health", method="GET", key=None))[0] == 200


class Stalled:
    """A connection whose other end reads nothing."""

    transport = None

    async def write(self, _: bytes) -> None:
        await asyncio.sleep(1000)


async def test_who_follows_and_reads_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "WRITE_S", 0.01)
    stalled: Any = Stalled()
    with pytest.raises(ConnectionResetError):
        await sse._write(stalled, stalled, b"data")


def test_the_supervisor_waits_longer_than_requests_in_flight_may_take() -> None:
    assert Limits().finish_s < CAPTIONER_STOP_S


async def test_a_body_that_does_not_come_is_not_waited_for(servers: FakeServers, tmp_path: Path) -> None:
    async with captioner(servers, tmp_path / "own", body_idle_s=0.2) as running:
        host, port = running.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/captions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert b" 408 " in await reader.readline()
        writer.close()
        await running.until(files=False)


WRONG_FORMS = [
    (b"", "does not end with its boundary"),
    (b"--x\r\n", "does not end with its boundary"),
    (b"no form", "no multipart form"),
    (form((b"file", b'; filename="a"', b"data"))[:-4], "does not end"),
    (form((b"task", b"", b"describe")), "no file"),
    (form((b"colour", b"", b"red"), (b"file", b"", b"data")), "there is no parameter colour"),
    (form((b"max_length", b"", b"many"), (b"file", b"", b"data")), "max_length"),
    (form((b"task", b"", b"a"), (b"task", b"", b"b"), (b"file", b"", b"data")), "given 2 times"),
    (form((b"task", b"", b"\xff\xfe"), (b"file", b"", b"data")), "not in UTF-8"),
    (form(*[(b"file", b"", b"data")] * 65), "more than 64 files"),
    (
        form((b"vedio", b'; filename="a.mp4"', b"\xff" * 70_000)),
        "there is no parameter vedio; files stand in the fields",
    ),
    (form((b"task", b'; filename="a.mp4"', b"\xff" * 70_000)), "task: is not a file; files stand in the fields audio,"),
    (form(*[(b"tasks", b"", b"")] * 66), "more than 64 form fields"),
    (form((b"task", b"", b"x" * 70_000), (b"file", b"", b"data")), "more than 64 KiB"),
    (form((b"", b"", b"data")), "no name"),
    (b"--x\r\n" + b"A: b\r\n" * 100 + b"\r\n\r\n--x--", "no multipart form"),
]


async def test_a_form_that_is_wrong_is_refused(servers: FakeServers, tmp_path: Path) -> None:
    async with captioner(servers, tmp_path / "own") as running:
        for body, said in WRONG_FORMS:
            status, error = await post(running, body)
            named = re.match(r"(?:there is no parameter )?(\w+)(?=;|:)", said)
            assert named is None or error["param"] == named[1]
            assert status == (413 if said == "more than 64 KiB" else 400), said
            assert said in error["message"]
            assert running.files == []


async def test_other_wrong_bodies_are_refused(servers: FakeServers, tmp_path: Path) -> None:
    async with captioner(servers, tmp_path / "own") as running:
        assert "boundary" in (await post(running, b"--x", "multipart/form-data"))[1]["message"]
        long = await post(running, b"--x", f"multipart/form-data; boundary={'x' * 300}")
        assert "oundary" in long[1]["message"]
        assert (await post(running, b'{"image": "a', "application/json"))[1]["code"] == "invalid_json"
        assert (await post(running, b"\xff{}", "application/json"))[1]["code"] == "invalid_json"
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        async with running.http.post(f"{running.url}/v1/captions", data=b"{}", headers=headers) as answer:
            assert answer.status == 415
        assert running.files == []


async def test_places_are_given_to_who_has_the_fewest() -> None:
    slots, order, go_on = Slots(2), list[str](), asyncio.Event()

    async def work(owner: str, name: str) -> None:
        async with slots.one(owner):
            order.append(name)
            await go_on.wait()

    names = [("a", "a1"), ("a", "a2"), ("a", "a3"), ("a", "a4"), ("b", "b1")]
    tasks = []
    for owner, name in names:
        tasks.append(asyncio.create_task(work(owner, name)))
        await asyncio.sleep(0)
    assert (order, slots.working, slots.waiting) == (["a1", "a2"], 2, 3)
    tasks[2].cancel()
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["a1", "a2", "b1", "a4"]
    assert (slots.working, slots.waiting) == (0, 0)
    async with slots.one("c"), slots.one("c"):
        assert slots.working == 2


async def test_a_place_that_comes_as_its_taker_goes_is_not_lost() -> None:
    slots, first, waiting = await taken_place()
    await first.__aexit__(None, None, None)  # now the place is the other one's, who does not know yet
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(60), slots.one("c"):
        assert slots.working == 1


async def test_a_follower_who_is_slow_gets_the_newest_progress_and_whole_pieces() -> None:
    feed = Feed(["a"])
    with feed.follow() as follower:
        told = feed.told(0)
        assert told is not None
        ask: Any = type("Ask", (), {"request": type("R", (), {"key": "tags"}), "unit": type("U", (), {"span": None})})
        for piece in ("one ", "two ", "three"):
            told(ask, piece)
            feed.refresh()
        feed.end({"type": "done"})
        (events,) = [batch async for batch in follower.batches(10)]
    assert [event["type"] for event in events] == ["delta", "progress", "done"]
    assert "".join(event.get("text", "") for event in events) == "one two three"
    assert feed.told(0) is None  # nobody follows any more


def test_a_share_never_becomes_smaller() -> None:
    feed = Feed(["a", "b"])
    shares = []
    for partial, done in ((0.5, 0), (1.0, 0), (0.0, 0), (0.0, 1)):
        feed.counters(0).partial, feed.counters(0).done = partial, done
        shares.append(feed.progress["share"])
    assert shares == [0.25, 0.5, 0.5, 0.5]


def test_help_names_limits_and_a_key_of_ones_own_is_not_for_everybody(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for option in command.params:
        assert option.opts[0] in text
    for name in ("BABELVIEW_API_KEY", "OPENAI_API_KEY", "BABELVIEW_TRANSLATOR_API_KEY"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "a-key-of-the-operator")
            assert main(["--host", "0.0.0.0", "--port", "0"]) == 2
        assert "everybody could ask with the key" in capsys.readouterr().err


@pytest.mark.parametrize("name", available_profiles())
def test_a_profile_counts_what_decoders_may_take(name: str) -> None:
    profile = load_profile(name).captioner
    assert profile
    given = command.make_context("captioner", [*profile.args]).params
    decoders_gib = given["captioner_decoders"] * given["captioner_decoder_mb"] / 1024
    assert profile.memory_gib == pytest.approx(0.4 + decoders_gib, abs=0.01)
