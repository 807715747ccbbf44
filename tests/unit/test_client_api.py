"""`from client import Babelview`: the batch's own stages, tasks and records, file by file or as they are finished."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from batch_runs import pictures, results, run
from fake_servers import FakeServers, completion, what_is_seen
from media_files import write_video

import client
from client import Babelview, UsageError
from client.api.options import plan_of
from client.media.fork_server import ForkServer
from client.media.kinds import Kind
from client.tasks.steps import windows

if TYPE_CHECKING:
    from aiohttp import web

pytestmark = pytest.mark.usefixtures("shared_decoders")
OF_A_RUN = ("request_time_sec", "answered_at", "total_processing_time_sec")


def at(servers: FakeServers, **more: Any) -> Babelview:
    return Babelview(servers.url, translator=servers.url, **more)


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what differs from run to run, and without the folder of its file."""
    tasks = {
        key: {name: value for name, value in answer.items() if name not in OF_A_RUN}
        for key, answer in record["tasks"].items()
    }
    left = {name: value for name, value in record.items() if name not in OF_A_RUN}
    return {**left, "file": Path(record["file"]).name, "tasks": tasks}


def test_a_file_gets_the_record_that_a_batch_writes(servers: FakeServers, tmp_path: Path) -> None:
    video = write_video(tmp_path / "ad.mp4", frames=20)
    asks = ("--tasks", "describe,tags", "--languages", "fr", "--frames", "4", "--question", "Who?")
    assert run(servers, video, *asks, cwd=tmp_path).returncode == 0
    with at(servers) as bv:
        record = bv.caption(video, tasks=["describe", "tags"], languages=["fr"], frames=4, questions=["Who?"])
    assert timeless(record) == timeless(results(tmp_path)["files"][0])
    assert record["tasks"]["describe"]["translations"] == {
        "fra_Latn": f"fra_Latn: {record['tasks']['describe']['text']}"
    }
    assert len(servers.asked) == 6


async def test_a_question_alone_is_asked_without_a_description(servers: FakeServers, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "ads", 1)
    async with at(servers) as bv:
        record = await bv.caption(folder / "0000.png", questions=["Who?"])
        assert list((await bv.caption(folder / "0000.png"))["tasks"]) == ["describe"]
    assert record["tasks"]["ask"]["text"] == "You asked: Who?"
    assert len(servers.asked) == 2
    assert servers.translated == []


def test_answers_are_cut_off_where_it_is_said_and_not_where_sound_is_heard(
    servers: FakeServers, tmp_path: Path
) -> None:
    video = write_video(tmp_path / "ad.mp4", frames=20)
    with at(servers) as bv:
        record = bv.caption(video, tasks=["describe", "tags"], max_tokens=33)
    assert [body["max_tokens"] for body in servers.asked] == [33, 33]
    assert record["error"] is None
    assert run(servers, video, "--languages", "", "--max-tokens", "34", cwd=tmp_path).returncode == 0
    assert servers.asked[-1]["max_tokens"] == 34
    models = at(servers).models
    heard, seen = (plan_of({"tasks": [name], "max_tokens": 35}, models).plan for name in ("transcript", "describe"))
    assert {request.max_tokens for request in seen.requests[Kind.VIDEO]} == {35}
    assert 35 not in {request.max_tokens for request in heard.requests[Kind.VIDEO]}


async def test_windows_are_asked_as_in_a_batch(servers: FakeServers, tmp_path: Path) -> None:
    video = write_video(tmp_path / "ad.mp4", frames=50, rate=10)
    async with at(servers) as bv:
        for window in (2, windows(2)):
            record = await bv.caption(video, tasks=["captions"], window=window)
            assert [(it["start"], it["end"]) for it in record["tasks"]["captions"]["segments"]] == [
                (0, 2),
                (2, 4),
                (4, 5),
            ]
        for wrong in (0.01, "cuts"):
            with pytest.raises(UsageError, match="window"):
                await bv.caption(video, tasks=["captions"], window=wrong)
        with pytest.raises(UsageError, match="over time"):
            await bv.caption(video, window=2)


async def test_a_broken_file_has_an_error_in_its_record(servers: FakeServers, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    async with at(servers) as bv:
        record = await bv.caption(tmp_path / "a.jpg")
    assert record["error"]
    assert record["tasks"] == {}
    assert servers.asked == []


@pytest.mark.parametrize(
    ("file", "message"), [("ads", "is a folder"), ("none.png", "no such file"), ("list.csv", "names 2 files")]
)
async def test_what_is_not_one_file_is_refused(servers: FakeServers, tmp_path: Path, file: str, message: str) -> None:
    pictures(tmp_path / "ads", 2)
    (tmp_path / "list.csv").write_text("file\nads/0000.png\nads/0001.png\n")
    async with at(servers) as bv:
        with pytest.raises(UsageError, match=message):
            await bv.caption(tmp_path / file)


async def test_wrong_options_are_refused_before_anything_is_read(servers: FakeServers) -> None:
    bv = at(servers)
    with pytest.raises(UsageError, match="not open"):
        await bv.caption(__file__)
    async with bv:
        for wrong, message in (
            ({"tasks": ["describ"]}, "did you mean"),
            ({"languages": ["eng_Latn"]}, "English already"),
            ({"languages": "fr"}, "a list"),
            ({"tasks": "tags"}, r"tasks are a list, such as \['tags'\]"),
            ({"lnguages": ["fr"]}, r"no option lnguages \(did you mean languages\?\)"),
            ({"frames": 0}, "frames must be 1 or more"),
        ):
            with pytest.raises(UsageError, match=message):
                await bv.caption("none.png", **wrong)
        with pytest.raises(UsageError, match=r"no option alert \(did you mean alerts\?\)"):
            bv.live("none.mp4", alert=["Is it red?"])  # type: ignore[call-arg]
        with pytest.raises(UsageError, match="--redo"):
            await anext(bv.batch("none", redo="describ"))
        with pytest.raises(UsageError, match="no pictures"):
            await anext(bv.batch())
    for address in ({"base_url": "8000"}, {"translator": "ftp://host"}):
        with pytest.raises(UsageError, match="must be a URL"):
            Babelview(**address)  # type: ignore[arg-type]


async def test_addresses_and_keys_come_from_the_environment(
    servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BABELVIEW_BASE_URL", servers.url)
    monkeypatch.setenv("BABELVIEW_TRANSLATOR", servers.url)
    monkeypatch.setenv("BABELVIEW_API_KEY", "from-the-environment")
    folder = pictures(tmp_path / "ads", 1)
    async with Babelview() as bv:
        assert (await bv.caption(folder / "0000.png", languages=["es"]))["error"] is None
    async with Babelview(api_key="given") as bv:
        await bv.caption(folder / "0000.png")
    keys = [headers["Authorization"] for headers in servers.headers]
    assert keys == ["Bearer from-the-environment", "Bearer given"]
    assert len(servers.translated) == 1


async def test_records_of_a_batch_come_as_files_are_finished(servers: FakeServers, tmp_path: Path) -> None:
    folder, given = pictures(tmp_path / "ads", 3), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def on_ask(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
        if what_is_seen(body) != "1":  # the others are answered once the first record is there
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(given.wait(), loop))
        return None

    servers.on_ask = on_ask
    seen = []
    async with at(servers) as bv:
        async for record in bv.batch(folder, output=tmp_path / "out"):
            seen.append(Path(record["file"]).name)
            given.set()
        assert seen[0] == "0001.png"
        assert sorted(seen) == ["0000.png", "0001.png", "0002.png"]
        again = [record async for record in bv.batch(folder, output=tmp_path / "out", exclude=["0002.png"])]
    assert [record["tasks"]["describe"]["text"] for record in again] == ["I see 0", "I see 1"]
    assert len(servers.asked) == 3
    assert (tmp_path / "out" / ".thumbnails" / "0.js").stat().st_size


async def test_a_batch_that_is_left_goes_on_later(servers: FakeServers, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "ads", 4)
    async with at(servers, concurrency=1, loaders=1) as bv:
        records = bv.batch(folder, output=tmp_path / "out")
        first = await anext(records)
        await records.aclose()
        assert len([record async for record in bv.batch(folder, output=tmp_path / "out")]) == 4
        seen = [f"I see {what_is_seen(body)}" for body in servers.asked]
        assert seen.count(first["tasks"]["describe"]["text"]) == 1  # what was in flight may be asked again
        assert len(set(seen)) == 4
        for _ in range(2):  # the second one begins anew: the first has come to its end
            asked = len(servers.asked)
            assert len([record async for record in bv.batch(folder, output=tmp_path / "out", redo="all")]) == 4
            assert len(servers.asked) == asked + 4


async def test_a_lost_server_is_an_error_and_may_come_back(servers: FakeServers, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "ads", 1)
    async with at(servers, wait_s=0.1) as bv:
        await bv.caption(folder / "0000.png")
        servers.stop()
        try:
            said = (await bv.caption(folder / "0000.png"))["error"]
        except client.ServiceLostError as error:  # unless the first attempt took longer than `wait_s`
            said = str(error)
        assert "cannot be reached" in said
        servers.start()
        assert (await bv.caption(folder / "0000.png"))["error"] is None


async def test_files_at_the_same_time_do_not_hinder_each_other(servers: FakeServers, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "ads", 3)
    async with at(servers) as bv:
        found = await asyncio.gather(*(bv.caption(path) for path in sorted(folder.iterdir())))
    assert [record["tasks"]["describe"]["text"] for record in found] == ["I see 0", "I see 1", "I see 2"]


async def test_nothing_is_left_behind(servers: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr("client.api.session.ForkServer", ForkServer)
    folder = pictures(tmp_path / "ads", 1)
    before = {process.pid for process in psutil.Process().children(recursive=True)}

    async def on_ask(*_: Any) -> web.StreamResponse | None:
        assert list((tmp_path / "tmp").iterdir())
        return completion("A picture.")

    servers.on_ask = on_ask
    async with at(servers) as bv:
        assert (await bv.caption(folder / "0000.png"))["error"] is None
        assert [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()] == []
        await bv.ask(folder / "0000.png", "What?")
    assert list((tmp_path / "tmp").iterdir()) == []
    assert {process.pid for process in psutil.Process().children(recursive=True)} == before


def test_a_language_that_there_is_not_is_refused_without_servers() -> None:
    with pytest.raises(UsageError, match="unknown language jp"):
        Babelview("http://127.0.0.1:9").live("rtsp://127.0.0.1/1", languages=["es", "jp"])


async def test_texts_are_translated(servers: FakeServers) -> None:
    async with at(servers) as bv:
        rows = await bv.translate(["one", "two"], ["es", "fra_Latn"])
        assert [row["spa_Latn"].text for row in rows] == ["spa_Latn: one", "spa_Latn: two"]
        with pytest.raises(UsageError, match="unknown language"):
            await bv.translate(["one"], ["xxx_Xxxx"])


def test_the_same_without_asyncio(servers: FakeServers, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "ads", 2)
    picture = folder / "0001.png"
    with at(servers) as bv:
        assert bv.caption(picture)["tasks"]["describe"]["text"] == "I see 1"
        reply = bv.ask(picture, "Who is it?")
        assert list(reply) == ["You ", "asked: ", "Who ", "is ", "it?"]
        assert reply.answer is not None
        assert reply.answer.text == bv.ask(picture, "Who is it?").result().text == "You asked: Who is it?"
        records = bv.batch(folder, output=tmp_path / "out")
        assert next(iter(records))["error"] is None
        records.close()
        assert len(list(bv.batch(folder, output=tmp_path / "out"))) == 2
        talk = bv.chat(picture)
        talk.ask("a").result()
        assert talk.ask(task="tags").result().text
        assert [it.asked for it in talk.answered] == ["a", "tags"]
        talk.look_at(None)
        talk.close()
        assert bv.translate(["one"], ["es"])[0]["spa_Latn"].text == "spa_Latn: one"
        with pytest.raises(UsageError, match="no such file"):
            bv.caption(tmp_path / "none.png")
        with pytest.raises(UsageError, match="no such file"):
            bv.ask(tmp_path / "none.png", "Who?").result()


def test_all_that_is_offered_is_there() -> None:
    assert [name for name in client.__all__ if not getattr(client, name)] == []
    assert sorted(name for names in client._HOMES.values() for name in names) == client.__all__
    with pytest.raises(AttributeError, match="nothing"):
        client.nothing  # noqa: B018
