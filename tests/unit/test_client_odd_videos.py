"""Videos as people have them: damaged, encrypted, cropped, with covers, under names that mislead."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from ffmpeg_files import X264, encode, ffmpeg
from media_files import load_file, number_of, write_video
from PIL import Image

from client.errors import MediaError
from client.media.containers import Crop, _elements, mp4_track
from client.media.frames import scan
from client.media.jpeg import is_spoilt_jpeg
from client.media.load import identify
from client.media.loaders import Loaders
from client.media.sampling import Sampling
from client.sources.folders import Choice, walk

ONE_GROUP = {"crf": "20", "preset": "veryfast", "g": "1000", "bf": "0"}


def moving(number: int, size: tuple[int, int]) -> np.ndarray:
    """Waves that move: unlike a numbered frame, a thing of which every packet has something to say."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    wave = (np.sin((x + 3 * number) / 9) + np.cos((y - 2 * number) / 7) + np.sin(x * y / 300 + number / 5)) * 40 + 128
    return np.stack([wave, np.roll(wave, number, 1), 255 - wave], -1).clip(0, 255).astype(np.uint8)


def packets(path: Path) -> list[tuple[int, int]]:
    """Place and size of each packet."""
    with av.open(str(path)) as container:
        return [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]


def flip(path: Path, place: int, count: int = 40, bits: int = 0xFF) -> None:
    data = bytearray(path.read_bytes())
    data[place : place + count] = bytes(byte ^ bits for byte in data[place : place + count])
    path.write_bytes(data)


# -- damage ---------------------------------------------------------------------------------------------------------


def test_damage_of_the_first_picture_is_told(tmp_path: Path) -> None:
    """All others refer to it: the frames come, smeared, and a strict decoder only fails before the first of them."""
    path = write_video(tmp_path / "a.mp4", 60, options=ONE_GROUP, picture=moving)
    place, size = packets(path)[0]
    flip(path, place + 700 + (size - 700) // 2)  # behind what the encoder says of itself
    content = load_file(path, Sampling(8))
    assert content.facts.frames == 60
    assert content.frames[0].pts_us == 0
    assert content.warnings[0].startswith("damaged")


def test_the_frames_after_an_error_are_not_given_up(tmp_path: Path) -> None:
    """A strict decoder goes on at the next keyframe alone, 10 s later: the one that hides errors gives them all."""
    path = write_video(tmp_path / "a.mp4", 100, options={**ONE_GROUP, "g": "80"}, rate=8, picture=moving)
    place, size = packets(path)[0]
    flip(path, place + 700 + (size - 700) // 2)
    content = load_file(path, Sampling(8))
    assert content.facts.frames == 100
    assert content.facts.fps == pytest.approx(8)
    assert [round(frame.pts_us / 125_000) for frame in content.frames] == [0, 14, 28, 42, 56, 70, 84, 99]
    assert content.warnings[0].startswith("damaged")


@pytest.mark.parametrize("codec", ["av1", "mjpeg"])
def test_damage_that_the_decoder_passes_over_is_told(tmp_path: Path, codec: str) -> None:
    """Frames come as if nothing had been: of AV1 the log tells, of JPEG the library that knows nothing but JPEG."""
    if codec == "av1":
        path = write_video(
            tmp_path / "a.mp4", 24, codec="libsvtav1", options={"preset": "12", "g": "20"}, picture=moving
        )
    else:
        path = write_video(tmp_path / "a.avi", 24, codec="mjpeg", pix_fmt="yuvj420p", options={}, picture=moving)
    clean, whole, rng = load_file(path, Sampling(24)), path.read_bytes(), np.random.default_rng(1)
    assert clean.warnings == []
    found: Counter[bool] = Counter()
    for _ in range(40):
        places = packets(path)
        place, size = places[rng.integers(len(places))]
        if codec == "mjpeg":
            flip(path, place + int(rng.integers(size // 4, size)), 20)
        else:
            flip(path, place + int(rng.integers(size)), 1, 1 << int(rng.integers(8)))
        content = load_file(path, Sampling(24))
        if content.jpegs != clean.jpegs:
            found[bool(content.warnings)] += 1
        path.write_bytes(whole)
    assert found.total() > 20
    assert found[True] >= (0.4 if codec == "mjpeg" else 0.8) * found.total(), found


def test_bytes_that_are_missing_within_a_matroska_file_are_told(tmp_path: Path) -> None:
    """Its demuxer goes on with the next block, and of VP8 the decoder takes what is there."""
    path = encode(tmp_path / "a.webm", "-c:v libvpx -g 10 -b:v 2M -deadline realtime -cpu-used 8")
    assert load_file(path, Sampling(4)).warnings == []
    data, (place, size) = path.read_bytes(), packets(path)[30]
    path.write_bytes(data[: place + size // 2] + data[place + size // 2 + 50 :])
    assert load_file(path, Sampling(4)).warnings == ["cut off or damaged: read as far as possible"]


def test_a_few_bytes_too_much_in_a_jpeg_are_a_habit_of_cameras() -> None:
    picture = io.BytesIO()
    Image.fromarray(moving(1, (64, 48))).save(picture, "JPEG")
    data = picture.getvalue()
    assert not is_spoilt_jpeg(data)
    assert not is_spoilt_jpeg(data[:-2] + bytes(4) + data[-2:])
    assert is_spoilt_jpeg(data[:-2] + bytes(40) + data[-2:])
    assert is_spoilt_jpeg(data[:-200])


# -- encryption -----------------------------------------------------------------------------------------------------

CENC = (
    "-encryption_scheme cenc-aes-ctr -encryption_key 76a6c65c5ea762046bd749a2e632ccbb "
    "-encryption_kid a7e61c373e219033c21091fa607bf3b8"
)


def element(number: str, content: bytes) -> bytes:
    """Of Matroska."""
    return bytes.fromhex(number) + struct.pack(">Q", 1 << 56 | len(content)) + content


def grown(data: bytes, path: list[str], more: bytes) -> bytes:
    """A Matroska file with more in the first element at this path, below the one that is the file."""
    if not path:
        return data + more
    number, place = int(path[0], 16), 0
    for found, begin, end in _elements(io.BytesIO(data), 0, len(data)):
        if found == number:
            return data[:place] + element(path[0], grown(data[begin:end], path[1:], more)) + data[end:]
        place = end
    raise LookupError(path)


TRACK = ["18538067", "1654ae6b", "ae"]


def grow_boxes(data: bytearray, entry: int, count: int, *names: bytes) -> None:
    """Let the boxes around a sample entry of an MP4 file know that they hold more bytes."""
    for name in (*names, b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        place = data.rindex(name, 0, entry + 8) - 4
        struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + count)


def encrypted(path: Path) -> Path:
    """A file of which the header says that it is encrypted, in the way of its container."""
    source = encode(path.with_name(f"clear{path.suffix}"), X264 if path.suffix != ".wmv" else "-c:v wmv2")
    if path.stem == "cenc":
        ffmpeg("-i", source, "-c", "copy", *CENC.split(), path)
        return path
    data = bytearray(source.read_bytes())
    match path.suffix:
        case ".mp4":  # the entry alone says it, not a packet
            place = data.index(b"avc1", data.index(b"stsd"))
            data[place : place + 4] = b"encv"
            if path.stem == "later":  # after a beginning in the clear
                (size,) = struct.unpack_from(">I", data, place - 4)
                data[place - 4 : place - 4] = data[place - 4 : place - 4 + size].replace(b"encv", b"avc1")
                struct.pack_into(">I", data, data.index(b"stsd") + 8, 2)
                grow_boxes(data, place - 4, size)
        case ".mkv":
            cipher = element("5035", element("47e1", b"\5"))
            data[:] = grown(bytes(data), TRACK, element("6d80", element("6240", element("5033", b"\1") + cipher)))
        case ".ts":
            for start in range(0, len(data) - 187, 188):
                if (data[start + 1] & 0x1F) << 8 | data[start + 2] == 256:
                    data[start + 3] |= 0x80
        case ".wmv":
            content = struct.pack("<I", 4) + b"none"
            cipher = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e") + struct.pack("<Q", 24 + 32) + content * 4
            data[30:30] = cipher
            struct.pack_into("<QI", data, 16, struct.unpack_from("<Q", data, 16)[0] + len(cipher), data[24] + 1)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["cenc.mp4", "entry.mp4", "later.mp4", "a.mkv", "a.ts", "a.wmv"])
def test_encrypted_videos_are_called_so(tmp_path: Path, name: str) -> None:
    path = encrypted(tmp_path / name)
    assert load_file(path.with_name(f"clear{path.suffix}"), Sampling(2)).warnings == []
    with pytest.raises(MediaError, match=r"encrypted \(DRM\)"):
        load_file(path, Sampling(2))


def test_packets_that_say_that_they_are_encrypted_are_believed() -> None:
    """Where nothing else does."""
    packet: Any = SimpleNamespace(size=9, is_corrupt=False, has_sidedata=lambda name: name == "encryption_info")
    container: Any = SimpleNamespace(demux=lambda _: iter([packet]), format=SimpleNamespace(name="mxf"))
    stream: Any = None
    with pytest.raises(MediaError, match="encrypted"):
        scan(container, stream)


# -- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["Q4: Launch/a.mp4", "Teaser: final.mp4", "http:foo.mp4", "concat:a|b.mp4", "%03d.mp4"]
)
def test_a_file_is_a_file_whatever_its_name_looks_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(exist_ok=True)
    write_video(tmp_path / "a.mp4", 12).rename(name)
    assert [number_of(jpeg) for jpeg in load_file(Path(name), Sampling(2)).jpegs] == [0, 11]


def test_a_name_that_is_no_text_is_opened(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    write_video(tmp_path / "a.mp4", 12).rename(path)
    assert load_file(path, Sampling(2)).facts.frames == 12


@pytest.mark.parametrize(
    ("source", "settings"), [("a.flv", X264), ("a.mpg", "-c:v mpeg2video"), ("a.ts", X264), ("a.mkv", X264)]
)
@pytest.mark.parametrize("name", ["b.mp4", "b.mov", "b.m4v", "b.avi"])
def test_any_format_under_any_suffix(tmp_path: Path, source: str, settings: str, name: str) -> None:
    path = encode(tmp_path / source, f"{settings} -frames:v 12").rename(tmp_path / name)
    assert [number_of(jpeg) for jpeg in load_file(path, Sampling(2)).jpegs] == [0, 11]


TYPESCRIPT = 'import { a } from "./a";\n// naïve\nexport const b: number = a;\n'


@pytest.mark.parametrize("suffix", [".ts", ".mts"])
def test_typescript_is_no_video(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_text(TYPESCRIPT)
    (tmp_path / f"long{suffix}").write_text(TYPESCRIPT * 99)
    video = encode(tmp_path / "whole.ts", f"{X264} -frames:v 12")
    (tmp_path / f"torn{suffix}").write_bytes(video.read_bytes()[77:])  # as a recording that begins anywhere
    passed_over: Counter[str] = Counter()
    found = list(walk(str(tmp_path), Choice(), None, lambda _: None, passed_over))
    assert sorted(Path(path).name for path in found) == [f"torn{suffix}", "whole.ts"]
    assert passed_over == {suffix: 2}
    with pytest.raises(MediaError, match="text file"):
        load_file(tmp_path / f"a{suffix}", Sampling(2))


def test_ogg_with_video_is_video_and_without_is_sound(tmp_path: Path) -> None:
    encode(tmp_path / "video.ogg", "-c:v libtheora -b:v 2M -frames:v 12")
    ffmpeg(*["-f", "lavfi", "-i", "sine=d=1", "-c:a", "libvorbis"], tmp_path / "sound.ogg")
    found = walk(str(tmp_path), Choice(), None, lambda _: None, Counter())
    assert [Path(path).name for path in found] == ["video.ogg"]
    assert load_file(tmp_path / "video.ogg", Sampling(2)).facts.frames == 12
    with pytest.raises(MediaError, match="this is sound alone"):
        load_file(tmp_path / "sound.ogg", Sampling(2))


# -- which stream, and what of it -----------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_a_cover_that_is_not_called_one_does_not_win(tmp_path: Path, extension: str) -> None:
    film, path = encode(tmp_path / f"film.{extension}", f"{X264} -frames:v 12"), tmp_path / f"a.{extension}"
    cover = "-f lavfi -i color=red:s=640x480:d=0.04:r=25 -i {} -map 0 -map 1 -c:v:1 copy -c:v:0 mjpeg -q:v 2"
    ffmpeg(*cover.format(film).split(), "-disposition:v:0", "default", "-disposition:v:1", "0", path)
    assert [number_of(jpeg) for jpeg in load_file(path, Sampling(2)).jpegs] == [0, 11]


def crop_mp4(path: Path, width: int, height: int, x: int, y: int) -> None:
    """Put a clean aperture into an H.264 file; x and y are of its centre."""
    data = bytearray(path.read_bytes())
    clap = struct.pack(">I4sIIIIiIiI", 40, b"clap", width, 1, height, 1, x, 1, y, 1)
    entry = data.index(b"avc1", data.index(b"stsd")) - 4
    data[entry + 4 + 82 : entry + 4 + 82] = clap
    grow_boxes(data, entry, len(clap), b"avc1")
    path.write_bytes(data)


def striped(_: int, size: tuple[int, int]) -> np.ndarray:
    """Grey, with a red edge of 20 pixels on the left and a blue one of 10 above."""
    pixels = np.full((size[1], size[0], 3), 128, np.uint8)
    pixels[:, :20] = (255, 0, 0)
    pixels[:10] = (0, 0, 255)
    return pixels


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_what_a_header_crops_is_not_shown(tmp_path: Path, extension: str) -> None:
    path = write_video(tmp_path / "whole.mp4", 6, size=(160, 96), picture=striped)
    if extension == "mp4":
        crop_mp4(path, 140, 80, 10, 2)
        assert mp4_track(path, 1).crop == Crop(20, 10, 0, 6)
    else:
        ffmpeg("-i", path, "-c", "copy", tmp_path / "a.mkv")
        path = tmp_path / "a.mkv"
        crop = element("54cc", b"\x14") + element("54bb", b"\x0a") + element("54aa", b"\x06")
        path.write_bytes(grown(path.read_bytes(), [*TRACK, "e0"], crop))
    content = load_file(path, Sampling(2))
    assert (content.facts.width, content.facts.height) == (140, 80)
    shown = np.asarray(Image.open(io.BytesIO(content.jpegs[0])).convert("RGB"), dtype=int)
    assert shown.shape == (80, 140, 3)
    assert np.abs(shown - 128).max() < 40


# -- time limits ----------------------------------------------------------------------------------------------------


def test_a_limit_counts_the_work_of_the_decoder_not_the_clock(tmp_path: Path) -> None:
    """A worker that gets next to nothing of a busy machine is not taken for one that hangs."""
    path = write_video(tmp_path / "a.mp4", 60, size=(640, 360), picture=moving)
    loaders = Loaders(1, timeout_s=1.0)
    slowed = (
        "import os, signal, sys, time\n"
        "while True:\n"
        "    os.kill(int(sys.argv[1]), signal.SIGSTOP)\n"
        "    time.sleep(0.09)\n"
        "    os.kill(int(sys.argv[1]), signal.SIGCONT)\n"
        "    time.sleep(0.01)\n"
    )
    try:
        list(loaders.load(path, identify(path), Sampling(1)))
        worker = loaders._workers.queue[-1]
        assert worker is not None
        with subprocess.Popen([sys.executable, "-c", slowed, str(worker.pid)]) as slowing:
            (content,) = loaders.load(path, identify(path), Sampling(60, edge=360))
            slowing.kill()
    finally:
        loaders.close()
    assert len(content.jpegs) == 60
