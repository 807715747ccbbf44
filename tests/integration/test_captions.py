"""Captions over HTTP from the real stack: the guide's forms with real media, hostile uploads, a kill in the middle."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import math
import os
import random
import signal
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import av
import jsonschema
import numpy as np
import orjson
import pytest
import pytest_asyncio
from captioners import events_of
from media_files import write_video

from scripts.demo.world.scenes import describe
from server.gateway.openapi import description
from server.status import ask as ask_supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from scripts.demo.stack import Stack

PATH, JOBS = "/v1/captions", "/v1/captions/jobs"
WAITING_S = 300
"""For what another process does, on a busy machine."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Captions:
    """The stack's captioner, through its gateway."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession, logs: Path) -> None:
        self.port = urlsplit(stack.endpoint).port or 0
        self.http, self.folder = http, logs / f"captioner-{self.port}"

    async def post(self, body: Any, path: str = PATH, **headers: str) -> tuple[int, Any]:
        """Status and JSON of an answer to JSON, or to a form."""
        sent = body if isinstance(body, aiohttp.FormData) else orjson.dumps(body)
        async with self.http.post(path, data=sent, headers=headers) as answer:
            return answer.status, orjson.loads(await answer.read())

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        async with self.http.get(path, headers=headers) as answer:
            return answer.status, orjson.loads(await answer.read())

    @property
    def pid(self) -> int | None:
        """Of its process, once it is ready."""
        told = ask_supervisor(self.port)
        assert told is not None
        (part,) = (part for part in told["parts"] if part["name"] == "captioner")
        return part["pid"] if part["state"] == "ready" else None

    @property
    def files(self) -> list[Path]:
        return [path for name in ("requests", "jobs") for path in (self.folder / name).iterdir()]

    async def until_nothing_is_left(self) -> None:
        async with asyncio.timeout(WAITING_S):
            while self.files:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def captions(stack: Stack, logs: Path) -> AsyncIterator[Captions]:
    timeout = aiohttp.ClientTimeout(WAITING_S)
    async with aiohttp.ClientSession(stack.endpoint.removesuffix("/v1"), timeout=timeout) as http:
        yield Captions(stack, http, logs)


class Ad(NamedTuple):
    """A sample advertisement."""

    name: str
    data: bytes

    @property
    def encoded(self) -> str:
        return base64.b64encode(self.data).decode()


@pytest.fixture
def video(sample_ads: tuple[Path, dict[str, Any]]) -> Ad:
    path = min(sample_ads[0].glob("*.mp4"))
    return Ad(path.name, path.read_bytes())


@pytest.fixture
def picture(sample_ads: tuple[Path, dict[str, Any]]) -> Ad:
    path = min(sample_ads[0].glob("*.jpg"))
    return Ad(path.name, path.read_bytes())


def frames_of(video: Ad) -> list[str]:
    """Eight frames of a video, evenly spread, as PNG in base64."""
    with av.open(io.BytesIO(video.data)) as container:
        images = [frame.to_image() for frame in container.decode(video=0)]
    found = []
    for index in np.linspace(0, len(images) - 1, 8).astype(int):
        data = io.BytesIO()
        images[index].save(data, "PNG", compress_level=1)
        found.append(base64.b64encode(data.getvalue()).decode())
    return found


def conforms(name: str, said: Any) -> bool:
    """Whether an answer is as the gateway's own document says."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": description()["components"]}
    jsonschema.Draft202012Validator(schema).validate(said)
    return True


async def test_the_guides_bodies_work_as_they_are(
    captions: Captions, video: Ad, picture: Ad, sample_ads: tuple[Path, dict[str, Any]]
) -> None:
    truth = sample_ads[1]
    film, still = video.encoded, picture.encoded
    bodies: list[dict[str, Any]] = [
        {"image": still},
        {"image": f"data:image/jpeg;base64,{still}", "languages": ["es", "hi"]},
        {"video": film, "max_length": 200},
        {"frames": frames_of(video), "max_length": 200},
        {"videos": [{"video": film, "max_length": 9}, {"video": film, "max_length": 200, "task": "tags"}]},
        {"audio": film, "task": "transcript"},
    ]
    answers = await asyncio.gather(*(captions.post(body) for body in bodies))
    assert [status for status, _ in answers] == [200] * len(bodies), answers
    assert all(conforms("Captions", answer) for _, answer in answers)
    records = [answer["records"] for _, answer in answers]
    assert [record["error"] for group in records for record in group] == [None] * 7
    assert records[1][0]["tasks"]["describe"]["translations"].keys() == {"spa_Latn", "hin_Deva"}
    told = describe(truth[video.name])
    assert records[2][0]["tasks"]["describe"]["text"] == told
    assert records[3][0]["tasks"]["describe"]["text"] == told
    assert records[4][0]["tasks"]["describe"]["finish_reason"] == "length"
    assert list(records[4][1]["tasks"]) == ["tags"]
    assert records[5][0]["tasks"]["transcript"]["segments"]
    assert captions.files == []


async def test_a_form_in_several_languages_told_as_events(captions: Captions, video: Ad) -> None:
    form = aiohttp.FormData()
    form.add_field("file", video.data, filename=video.name)
    for name, text in (("tasks", "describe,tags"), ("languages", "es,hi"), ("stream", "true")):
        form.add_field(name, text)
    async with captions.http.post(PATH, data=form) as answer:
        assert answer.content_type == "text/event-stream"
        events = events_of(await answer.text())
    done = events[-1]
    assert done["type"] == "done"
    assert conforms("Captions", {name: value for name, value in done.items() if name != "type"})
    (record,) = done["records"]
    assert record["file"] == video.name
    told = ""
    for event in events:
        if event["type"] in ("delta", "retry") and event["task"] == "describe":
            told = told + event["text"] if event["type"] == "delta" else ""
    assert told.strip() == record["tasks"]["describe"]["text"]
    assert record["tasks"]["tags"]["translations"].keys() == {"spa_Latn", "hin_Deva"}


def bomb() -> bytes:
    """A PNG of 3.6 gigapixels, of which a few are there."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    header = (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1 << 22)))
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def protected(tmp_path: Path) -> bytes:
    """A video that is encrypted as streaming services do it (CENC)."""
    how = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76" * 16, "encryption_kid": "a7" * 16}
    return write_video(tmp_path / "drm.mp4", 30, container_options=how).read_bytes()


async def test_hostile_uploads_harm_nobody_and_leave_nothing(
    captions: Captions, video: Ad, picture: Ad, protected: bytes
) -> None:
    before = captions.pid
    uploads = {
        "bomb.png": bomb(),
        "truncated.mp4": video.data[: len(video.data) // 3],
        "drm.mp4": protected,
        "moov.mp4": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + b"\xff\xff\xff\xf0moov" + bytes(64),
        "garbage.mp4": b"\0\0\0\x18ftypisom" + random.Random(3).randbytes(100_000),
        "text.jpg": b"just some text,\nin several lines\n",
        "page.mp4": b"<!doctype html><title>not found</title>",
        "empty.mp4": b"",
        "zeros.jpg": bytes(10_000),
    }

    async def upload(name: str, data: bytes) -> tuple[int, Any]:
        form = aiohttp.FormData()
        form.add_field("file", data, filename=name)
        return await captions.post(form)

    *refused, good = await asyncio.gather(
        *(upload(*each) for each in uploads.items()), captions.post({"image": picture.encoded})
    )
    assert good[0] == 200
    for name, (status, said) in zip(uploads, refused, strict=True):
        assert status == 400 or said["records"][0]["warnings"], (name, said)
        assert status != 400 or said["error"]["code"] == "invalid_media", (name, said)
    (drm,) = [said["error"]["message"] for name, (_, said) in zip(uploads, refused, strict=True) if name == "drm.mp4"]
    assert drm == "drm.mp4: encrypted (DRM): only players that have its key can show it"
    reader, writer = await asyncio.open_connection("127.0.0.1", captions.port)
    writer.write(b"POST /v1/captions HTTP/1.1\r\nHost: x\r\nContent-Length: 4294967296\r\n\r\n{")
    assert b" 413 " in await asyncio.wait_for(reader.readline(), WAITING_S)
    writer.close()
    await captions.until_nothing_is_left()
    assert captions.pid == before


async def test_many_at_once_are_all_described(captions: Captions, video: Ad, picture: Ad) -> None:
    film, still = video.encoded, picture.encoded
    bodies = [{"video": film} if number % 16 == 0 else {"image": still} for number in range(32)]
    answers = await asyncio.gather(*(captions.post(body) for body in bodies))
    assert [status for status, _ in answers] == [200] * 32
    said = {answer["records"][0]["tasks"]["describe"]["text"] for _, answer in answers}
    assert len(said) == 2
    await captions.until_nothing_is_left()


async def test_who_hangs_up_leaves_nothing(captions: Captions, video: Ad) -> None:
    body = {"video": video.encoded, "task": "captions", "window": 0.5, "stream": True}
    for _ in range(3):
        answer = await captions.http.post(PATH, data=orjson.dumps(body))
        await answer.content.readany()
        answer.close()
    await captions.until_nothing_is_left()


async def test_jobs_end_well_although_the_captioner_is_killed(captions: Captions, video: Ad) -> None:
    ours = {"Authorization": "Bearer somebody"}
    body = {"video": video.encoded, "task": "captions", "window": 2}
    made = [await captions.post(body, JOBS, **ours) for _ in range(6)]
    assert [status for status, _ in made] == [202] * 6
    assert all(conforms("CaptionJob", job) for _, job in made)
    names = [job["id"] for _, job in made]
    assert (await captions.get(f"{JOBS}/{names[0]}", Authorization="Bearer somebody-else"))[0] == 404
    assert (await captions.get(f"{JOBS}/{names[0]}"))[0] == 404
    before = captions.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    found: dict[str, Any] = {}
    async with asyncio.timeout(WAITING_S):
        while len(found) < len(names):
            for name in names:
                with contextlib.suppress(aiohttp.ClientError):
                    status, job = await captions.get(f"{JOBS}/{name}", **ours)
                    if status == 200 and job["status"] in ("done", "failed"):
                        found[name] = job
            await asyncio.sleep(0.1)
    assert captions.pid != before
    records = [job["records"][0] for job in found.values()]
    assert [record["error"] for record in records] == [None] * 6
    segments = [record["tasks"]["captions"]["segments"] for record in records]
    assert [[part["start"] for part in each] for each in segments] == 6 * [
        [float(start) for start in range(0, math.ceil(records[0]["duration_sec"]), 2)]
    ]
    for name in names:
        async with captions.http.delete(f"{JOBS}/{name}", headers=ours) as answer:
            assert conforms("CaptionJobDeleted", orjson.loads(await answer.read()))
    status, left = await captions.get(JOBS, **ours)
    assert (status, left["data"]) == (200, [])
    await captions.until_nothing_is_left()
