"""The reader of live sources, with real ones: it gives the newest frames, and is there again after whatever happens."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import av
import pytest
from live_sources import free_udp_port, sending
from media_files import number_of, write_video

from client.errors import MediaError
from client.live.reader import Reader
from client.live.reader_process import _why
from client.live.source import source_of
from client.media.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from web_site import Site

    from client.live.messages import Clip

SPAN_S = 0.4


@asynccontextmanager
async def reading(
    where: str, *, frames: int = 3, options: dict[str, str] | None = None, realtime: bool = False, **more: Any
) -> AsyncIterator[tuple[Reader, list[str]]]:
    """A reader of a source, and what it tells the user."""
    told: list[str] = []
    source = source_of(where, realtime=realtime, options=options)
    waits = {"wait_s": 30.0, "open_s": 10.0, "read_s": 10.0, **more}
    reader = Reader(
        source,
        Sampling(frames=frames),
        SPAN_S,
        hears=False,
        began_s=time.monotonic(),
        notify=told.append,
        on_sound=lambda _: None,
        **waits,
    )
    try:
        yield reader, told
    finally:
        reader.close()


def numbers(clip: Clip | None) -> list[int]:
    assert clip is not None
    return [number_of(frame.jpeg) for frame in clip.frames]


async def check_newest(reader: Reader, *, rate: int = 20) -> None:
    """Two clips, a while apart: in each the frames follow each other, and what came between them is passed over."""
    first = await reader.clip()
    assert first
    assert len(first.frames) == 3
    assert numbers(first) == sorted(set(numbers(first)))
    span_s = (first.end_us - first.start_us) / 1e6
    assert numbers(first)[-1] - numbers(first)[0] == pytest.approx(span_s * rate, abs=1.1)
    async with asyncio.timeout(60):
        while not reader.dropped:
            await asyncio.sleep(0.6)
            second = await reader.clip()
    assert second
    assert numbers(second)[0] > numbers(first)[-1]
    assert second.end_us > first.end_us


async def test_udp(tmp_path: Path) -> None:
    url = f"udp://127.0.0.1:{free_udp_port()}"
    with sending(f"{url}?pkt_size=1316", "mpegts"):
        async with reading(url) as (reader, told):
            await check_newest(reader)
            assert not told


async def test_rtsp_also_after_the_camera_was_away() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"rtsp://127.0.0.1:{probe.getsockname()[1]}/camera"
    # FFmpeg's own server: the reader listens, and the camera comes to it.
    listening = {"rtsp_flags": "listen", "listen_timeout": "20"}
    async with reading(url, options=listening) as (reader, told):
        with sending(url, "rtsp", options="rtsp_transport=tcp"):
            await check_newest(reader)
        with sending(url, "rtsp", options="rtsp_transport=tcp"):
            async with asyncio.timeout(60):
                while not reader.reconnects:
                    await reader.clip()
    assert any("looking for it again" in line for line in told), told
    assert any("back after" in line for line in told), told


async def test_a_file_that_grows(tmp_path: Path) -> None:
    file = tmp_path / "grows.ts"
    with sending(str(file), "mpegts", options="flush_packets=1"):
        async with asyncio.timeout(30):
            while not file.exists() or file.stat().st_size < 5_000:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)
        async with reading(str(file)) as (reader, told):
            await check_newest(reader)
            assert not told


async def test_a_file_that_was_written_for_long_is_seen_from_where_it_is_now(tmp_path: Path) -> None:
    file = tmp_path / "grows.ts"
    write_video(file, 120, rate=20, container_format="mpegts")
    async with reading(str(file), read_s=1.0) as (reader, _):
        clip = last = await reader.clip()
        assert numbers(clip)[-1] > 110, "what was written before counts as what is there now"
        while clip := await reader.clip():
            last = clip
        assert numbers(last)[-1] == 119


async def test_a_folder_of_hls_is_shown_by_its_clock(tmp_path: Path) -> None:
    """Its segments are there at once: nothing is shown before its time."""
    options = {"hls_time": "1", "hls_list_size": "0"}
    write_video(tmp_path / "live.m3u8", 60, rate=20, container_format="hls", container_options=options)
    async with reading(str(tmp_path / "live.m3u8")) as (reader, told):
        clips = []
        while clip := await reader.clip():
            clips.append(clip)
            await asyncio.sleep(0.3)
        assert not told
    shown = [numbers(clip)[-1] for clip in clips]
    assert shown == sorted(set(shown))
    assert shown[-1] == 59
    assert len(shown) > 1, "all was shown at once"
    for clip in clips:
        due_s = clip.end_us / 1e6
        assert due_s - clips[0].end_us / 1e6 >= (numbers(clip)[-1] - shown[0]) / 20 - 0.01, "not by its clock"
        assert clip.shown_s - reader._reading.began_s >= due_s - 0.05, "before its time"


async def test_a_picture_is_the_newest_frame_alone(tmp_path: Path) -> None:
    video = write_video(tmp_path / "ad.mp4", 30, rate=20)
    async with reading(str(video), realtime=True, frames=1) as (reader, _):
        first = await reader.clip()
        assert first
        assert len(first.frames) == 1
        assert first.start_us < first.end_us == first.frames[0].pts_us


async def test_a_process_that_dies_is_started_again(tmp_path: Path) -> None:
    video = write_video(tmp_path / "ad.mp4", 100, rate=20)
    async with reading(str(video), realtime=True) as (reader, told):
        await reader.clip()
        assert reader._process
        os.kill(reader._process._process.pid, signal.SIGSEGV)
        assert await reader.clip()
        assert reader.reconnects == 1
    assert "the process that decodes it ended (SIGSEGV)" in told[0]
    assert "back after" in told[1]


async def test_a_process_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.live.reader._GRACE_S", 0.5)
    video = write_video(tmp_path / "ad.mp4", 200, rate=20)
    async with reading(str(video), realtime=True, open_s=20.0, read_s=0.5) as (reader, told):
        await reader.clip()
        assert reader._process
        hanging = reader._process._process
        os.kill(hanging.pid, signal.SIGSTOP)
        assert await reader.clip()
        assert hanging.wait(10) == -signal.SIGKILL
    assert any("its process hangs" in line for line in told), told


async def test_a_stream_that_gives_nothing_is_given_up_after_a_while() -> None:
    url = f"udp://127.0.0.1:{free_udp_port()}"
    async with reading(url, open_s=0.3, wait_s=1.0) as (reader, told):
        with pytest.raises(MediaError, match=r"not opened within 0.3 s; away for .* gave up \(--wait\)"):
            await reader.clip()
    assert "looking for it again for up to" in told[0]
    assert len(told) == 1, "it is said once a minute"


@pytest.mark.parametrize(
    ("content", "realtime", "reason"),
    [
        (b"no video at all" * 99, True, "invalid data"),
        (b"no video at all" * 99, False, "invalid data"),
        (b"", False, "invalid data|end of file"),
    ],
)
async def test_a_file_that_is_none_is_no_source(tmp_path: Path, content: bytes, realtime: bool, reason: str) -> None:
    (tmp_path / "ad.mp4").write_bytes(content)
    async with reading(str(tmp_path / "ad.mp4"), realtime=realtime, read_s=0.5) as (reader, _):
        with pytest.raises(MediaError, match=reason):
            await reader.clip()


@pytest.mark.parametrize("realtime", [True, False])
async def test_an_encrypted_file_is_said_to_be(tmp_path: Path, realtime: bool) -> None:
    keys = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76" * 16, "encryption_kid": "a7" * 16}
    video = write_video(tmp_path / "ad.mp4", 30, container_options=keys | {"movflags": "faststart"})
    async with reading(str(video), realtime=realtime, read_s=0.5) as (reader, _):
        with pytest.raises(MediaError, match=r"encrypted \(DRM\)"):
            await reader.clip()


async def test_an_address_that_refuses_us_is_not_tried_again_and_one_that_is_away_is(site: Site) -> None:
    async with reading(f"{site.url}/none.m3u8") as (reader, told):
        with pytest.raises(MediaError, match="404"):
            await reader.clip()
    assert not told
    site.close()
    async with reading(f"{site.url}/none.m3u8", wait_s=0.5) as (reader, told):
        with pytest.raises(MediaError, match="gave up"):
            await reader.clip()
    assert "connection refused" in told[0]


@pytest.mark.parametrize(
    ("url", "error", "why", "is_final"),
    [
        (
            f"rtsp://{'x' * 64}/1",
            OSError(5, "Input/output error"),
            r"^there is no host x{64} that can be found",
            1,
        ),
        ("rtsp://127.0.0.1/1", OSError(5, "Input/output error"), "^input/output error$", 0),
        ("rtsp://127.0.0.1/1", ConnectionRefusedError(111, "Connection refused"), "nothing listens there$", 0),
        (
            "srt://127.0.0.1:9",
            av.error.ProtocolNotFoundError(1, "?"),
            "^FFmpeg, as PyAV brings it, cannot open srt://$",
            1,
        ),
        ("rtsp://127.0.0.1/1", av.error.HTTPNotFoundError(1, "Server returned 404"), "^server returned 404$", 1),
    ],
)
def test_what_is_wrong_with_a_stream_is_said(url: str, error: Exception, why: str, is_final: int) -> None:
    reason, final = _why(error, url)
    assert re.search(why, reason)
    assert final == bool(is_final)


@pytest.mark.parametrize(("number", "is_final"), [(socket.EAI_NONAME, True), (socket.EAI_AGAIN, False)])
def test_a_name_that_cannot_be_asked_for_now_is_tried_again(
    number: int, is_final: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lookup(*_: object) -> None:
        raise socket.gaierror(number, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    reason, final = _why(OSError(5, "Input/output error"), "rtsp://camera.example/1")
    assert reason.startswith("there is no host camera.example that can be found (no answer)")
    assert final is is_final
