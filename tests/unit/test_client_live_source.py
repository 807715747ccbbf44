"""What `babelview live` is asked to watch: as what it is opened, and what is refused at once."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from client.errors import UsageError
from client.live.source import Pace, source_of

if TYPE_CHECKING:
    from pathlib import Path


def test_a_source_is_opened_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x1cftypisom")
    for name in ("b.m3u8", "c.sdp", "d.ts"):
        (tmp_path / name).touch()
    assert source_of(str(tmp_path / "a.mp4"), realtime=True).pace is Pace.CLOCK
    grows = source_of(str(tmp_path / "d.ts"), realtime=False)
    assert (grows.pace, grows.ends) == (Pace.GROWING, True)
    playlist = source_of(str(tmp_path / "b.m3u8"))
    assert (playlist.pace, playlist.ends, playlist.format) == (Pace.CLOCK, True, "hls")
    assert not source_of(str(tmp_path / "c.sdp")).ends
    camera = source_of("rtsp://admin:secret@cam/1", options={"rtsp_transport": "udp"})
    assert (camera.pace, camera.ends, camera.name) == (Pace.LIVE, False, "rtsp://admin@cam/1")
    assert camera.options["rtsp_transport"] == "udp"
    assert "secret" in camera.url
    keyed = source_of("https://a.org/live.m3u8?key=1")
    assert keyed.ends
    assert (keyed.url, keyed.name) == ("https://a.org/live.m3u8?key=1", "https://a.org/live.m3u8")
    assert not source_of("https://a.org/mjpeg").ends


def test_a_file_is_one_that_grows_while_it_is_written_to(tmp_path: Path) -> None:
    file = tmp_path / "a.ts"
    file.write_bytes(b"\x47" * 400)
    for age_s, pace in ((-60, Pace.GROWING), (60, Pace.CLOCK)):  # of a clock that is ahead, too
        os.utime(file, times=(0, time.time() - age_s))
        assert source_of(str(file)).pace is pace
    assert source_of(str(file), realtime=False).pace is Pace.GROWING


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.jpg",
            b"\xff\xd8\xff\xe0",
            r'a\.jpg: this is a picture; ask about it: babelview ask .*a\.jpg "What is it\?"',
        ),
        ("a.mp4", b"\x89PNG\r\n\x1a\n", "this is a picture"),
        ("a.mp3", b"ID3\4", "this is sound alone; hear it: babelview ask .* --task transcript"),
        ("a.txt", b"a\nb\n", "this is a text file"),
        ("a.mp4", b"<!doctype html>", "this is an HTML page"),
        ("a.mp4", b"\0" * 1000, "holds only zeros"),
        ("a.mp4", b"", "the file is empty"),
    ],
)
def test_a_file_that_is_no_video_is_refused_at_once(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        source_of(str(tmp_path / name), realtime=True)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for where, message in [
        (tmp_path, "it is a folder; babelview batch"),
        (tmp_path / "pipe", "it is a pipe or a device, not a file"),
        ("/dev/null", "/dev/null: it is a device, but no camera"),
        ("/dev/video99", "there is no such device"),
        ("none.mp4", "there is no such file"),
        ("a\0b", "there is no such file"),
    ]:
        with pytest.raises(UsageError, match=message):
            source_of(str(where))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("gopher://a.org/1?key=secret", r"^gopher://a\.org/1: no source has the scheme gopher"),
        ("rtsp://[::1/x", "Invalid IPv6 URL"),
        ("rtsp://camera:99999/x", "Port out of range"),
        ("rtsp://camera:port/x", "Port could not be cast"),
        ("http:///x", "names no host"),
        ("udp://0.0.0.0", r"names no port, such as udp://0\.0\.0\.0:5000"),
    ],
)
def test_a_url_that_cannot_be_one_is_refused_at_once(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        source_of(url)
