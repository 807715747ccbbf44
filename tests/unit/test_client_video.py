"""The frame sampler: exact on every kind of file, and clear where a file is broken."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from media_files import load_file, number_of, numbered, whole_video, write_sound, write_video
from PIL import Image

from client.errors import MediaError
from client.media import opening, video
from client.media.jpeg import Orientation, encode_frame
from client.media.sampling import Sampling, evenly

if TYPE_CHECKING:
    from pathlib import Path

EVEN_60 = [int(x) for x in np.linspace(0, 59, 8)]
EVEN_120 = [int(x) for x in np.linspace(0, 119, 8)]
B_FRAMES = {"crf": "20", "preset": "fast", "bf": "3", "g": "24"}


def sampled(path: Path, frames: int = 8) -> list[int]:
    return [number_of(jpeg) for jpeg in whole_video(path, Sampling(frames)).jpegs]


@pytest.mark.parametrize(("available", "wanted"), [(60, 8), (8, 8), (1, 8), (5, 8), (0, 8), (2160, 16), (100, 1)])
def test_chosen_indices_are_those_of_linspace_each_once(available: int, wanted: int) -> None:
    expected = sorted(set(np.linspace(0, available - 1, wanted, dtype=int))) if available else []
    if available > wanted:
        assert evenly(available, wanted) == expected
    else:
        assert evenly(available, wanted) == list(range(available))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("b-frames.mp4", {"options": B_FRAMES}),
        ("pyramid.mp4", {"options": {**B_FRAMES, "x264-params": "b-pyramid=normal:bframes=6:b-adapt=0"}}),
        (
            "open-gop.mp4",
            {"options": {**B_FRAMES, "x264-params": "open-gop=1:keyint=12:bframes=3:b-adapt=0"}},
        ),
        (
            "open-gop.mkv",
            {"options": {**B_FRAMES, "x264-params": "open-gop=1:keyint=12:bframes=3:b-adapt=0"}},
        ),
        ("one-gop.mp4", {"options": {**B_FRAMES, "g": "600"}}),
        ("tiny-gops.mp4", {"options": {**B_FRAMES, "g": "3"}}),
        ("all-key.mp4", {"options": {"g": "1"}}),
        ("matroska.mkv", {"options": B_FRAMES}),
        (
            "fragmented.mp4",
            {"options": B_FRAMES, "container_options": {"movflags": "frag_keyframe+empty_moov"}},
        ),
        (
            "faststart.mp4",
            {"options": B_FRAMES, "container_options": {"movflags": "faststart"}, "sound": True},
        ),
        ("transport.ts", {"options": B_FRAMES}),
        ("program.mpg", {"codec": "mpeg2video", "options": {"bf": "2", "g": "12", "b": "2M"}}),
        ("flash.flv", {"options": {**B_FRAMES, "bf": "0"}}),
        ("raw.h264", {"options": B_FRAMES, "container_format": "h264"}),
        ("old.avi", {"codec": "mpeg4", "options": {"g": "12", "b": "2M"}}),
        ("xvid.avi", {"codec": "mpeg4", "options": {"bf": "2", "g": "12", "b": "2M"}}),
        (
            "web8.webm",
            {"codec": "libvpx", "options": {"g": "20", "auto-alt-ref": "1", "lag-in-frames": "16"}},
        ),
        (
            "web9.webm",
            {"codec": "libvpx-vp9", "options": {"g": "20", "cpu-used": "8", "deadline": "realtime"}},
        ),
        (
            "hevc.mp4",
            {"codec": "libx265", "options": {"preset": "ultrafast", "x265-params": "log-level=0:bframes=3"}},
        ),
        ("av1.mp4", {"codec": "libsvtav1", "options": {"preset": "12", "g": "20"}}),
        ("prores.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le", "options": {}}),
        ("ten-bit.mp4", {"pix_fmt": "yuv420p10le", "options": B_FRAMES}),
        ("444.mp4", {"pix_fmt": "yuv444p", "options": B_FRAMES}),
        ("interlaced.mp4", {"options": {**B_FRAMES, "x264-params": "interlaced=1:tff=1"}}),
        ("large.mp4", {"size": (1280, 720), "options": B_FRAMES}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_frames_are_exact(tmp_path: Path, name: str, settings: dict[str, object]) -> None:
    codec = str(settings.get("codec", "libx264"))
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg cannot write {codec}")
    path = write_video(tmp_path / name, 60, **settings)  # type: ignore[arg-type]
    content = whole_video(path, Sampling(8))
    assert [number_of(jpeg) for jpeg in content.jpegs] == EVEN_60
    assert content.facts.frames == 60
    assert content.warnings == []


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.avi", "frag.mp4"])
def test_common_files_are_sampled_by_seeking(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by the slow way, which would be as right."""

    def never(*_: object) -> None:
        pytest.fail("decoded from the beginning")

    monkeypatch.setattr(video, "_WholeDecoding", never)
    settings: dict[str, dict[str, str]] = {"options": B_FRAMES}
    if name == "a.avi":
        settings["options"] = {"bf": "0", "g": "24"}
    if name == "frag.mp4":
        settings["container_options"] = {"movflags": "frag_keyframe+empty_moov"}
    assert sampled(write_video(tmp_path / name, 60, **settings)) == EVEN_60  # type: ignore[arg-type]


def test_variable_frame_rate_is_sampled_by_frame_not_by_time(tmp_path: Path) -> None:
    times = [n * 20 if n < 40 else 800 + (n - 40) * 200 for n in range(60)]
    content = whole_video(write_video(tmp_path / "vfr.mp4", 60, times=times, options=B_FRAMES), Sampling(8))
    assert [number_of(jpeg) for jpeg in content.jpegs] == EVEN_60
    assert content.facts.duration_sec == pytest.approx(4.6, abs=0.25)


def test_an_edit_list_hides_frames(tmp_path: Path) -> None:
    """Copying with times before zero makes FFmpeg write an edit list that starts in mid-GOP."""
    source = write_video(tmp_path / "whole.mp4", 60, options={**B_FRAMES, "g": "30"})
    trimmed = tmp_path / "trimmed.mp4"
    with av.open(str(source)) as reader, av.open(str(trimmed), "w") as writer:
        video = reader.streams.video[0]
        copy = writer.add_stream_from_template(video)
        cut = 10 * video.duration // 60
        for packet in reader.demux(video):
            if packet.dts is not None:
                packet.pts -= cut
                packet.dts -= cut
                packet.stream = copy
                writer.mux(packet)
    with av.open(str(trimmed)) as reader:
        displayed = sum(1 for _ in reader.decode(video=0))
    assert displayed == 50
    content = whole_video(trimmed, Sampling(8))
    assert [number_of(jpeg) for jpeg in content.jpegs] == [10 + int(x) for x in np.linspace(0, 49, 8)]
    assert content.facts.frames == 50


@pytest.mark.parametrize(("frames", "expected"), [(1, [0]), (3, [0, 1, 2]), (8, list(range(8)))])
def test_a_short_video_gives_each_frame_once(tmp_path: Path, frames: int, expected: list[int]) -> None:
    assert sampled(write_video(tmp_path / "short.mp4", frames)) == expected


def red_corner(_: int, size: tuple[int, int]) -> np.ndarray:
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[: size[1] // 2, : size[0] // 2] = (255, 0, 0)
    return pixels


@pytest.mark.parametrize(
    ("rotation", "corner", "size"),
    [(0, "top left", (160, 96)), (90, "bottom left", (96, 160)), (180, "bottom right", (160, 96)),
     (-90, "top right", (96, 160))],
)  # fmt: skip
def test_rotation_is_applied(tmp_path: Path, rotation: int, corner: str, size: tuple[int, int]) -> None:
    path = write_video(tmp_path / "phone.mp4", 3, rotation=rotation, picture=red_corner)
    content = whole_video(path, Sampling(1))
    shown = Image.open(io.BytesIO(content.jpegs[0]))
    assert shown.size == size == (content.facts.width, content.facts.height)
    width, height = size
    places = {
        "top left": (width // 4, height // 4),
        "top right": (3 * width // 4, height // 4),
        "bottom left": (width // 4, 3 * height // 4),
        "bottom right": (3 * width // 4, 3 * height // 4),
    }
    red = [name for name, place in places.items() if shown.getpixel(place)[0] > 128]  # type: ignore[index]
    assert red == [corner]


@pytest.mark.parametrize(
    ("exif", "corner", "size"),
    [(1, (0, 0), (160, 96)), (3, (1, 1), (160, 96)), (6, (1, 0), (96, 160)), (8, (0, 1), (96, 160))],
)
def test_a_camera_s_motion_jpeg_with_exif(
    tmp_path: Path, exif: int, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    path, notes = tmp_path / "camera.avi", Image.Exif()
    notes[0x0112] = exif
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuvj420p"
        for number in range(3):
            picture = io.BytesIO()
            Image.fromarray(red_corner(number, (160, 96))).save(picture, "JPEG", exif=notes)
            packet = av.Packet(picture.getvalue())
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 25)
            container.mux(packet)
    shown = Image.open(io.BytesIO(whole_video(path, Sampling(1)).jpegs[0]))
    assert shown.size == size
    red = [
        (x, y)
        for x in (0, 1)
        for y in (0, 1)
        if shown.getpixel(((2 * x + 1) * size[0] // 4, (2 * y + 1) * size[1] // 4))[0] > 128
    ]  # type: ignore[index]
    assert red == [corner]


def test_non_square_pixels_are_widened(tmp_path: Path) -> None:
    path = write_video(tmp_path / "dvd.mp4", 5, size=(144, 96), pixel_aspect=Fraction(4, 3))
    content = whole_video(path, Sampling(2))
    assert (content.facts.width, content.facts.height) == (192, 96)
    assert Image.open(io.BytesIO(content.jpegs[0])).size == (192, 96)


def test_odd_sizes_survive(tmp_path: Path) -> None:
    path = write_video(tmp_path / "odd.mp4", 12, size=(161, 95), pix_fmt="yuv444p")
    content = whole_video(path, Sampling(4))
    assert Image.open(io.BytesIO(content.jpegs[0])).size == (161, 95)
    assert [number_of(jpeg) for jpeg in content.jpegs] == [0, 3, 7, 11]


def test_the_last_column_and_row_of_an_odd_size_are_those_of_the_picture() -> None:
    """The encoder reads even sizes: what it finds beyond these must not be other pixels."""
    rgb = np.full((95, 161, 3), 255, np.uint8)
    rgb[:, 0] = 0
    jpeg = encode_frame(av.VideoFrame.from_ndarray(rgb, format="rgb24"), (161, 95), Orientation())
    shown = np.asarray(Image.open(io.BytesIO(jpeg)).convert("L"))
    assert shown[:, -1].min() > 253
    assert shown[-1, 8:].min() > 253


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("reordered.mp4", {"options": B_FRAMES}, True),
        ("reordered.mov", {"options": B_FRAMES}, True),
        ("reordered.mkv", {"options": B_FRAMES}, False),
        ("in-order.mp4", {"options": {"bf": "0"}}, False),
        ("other.mp4", {"codec": "mpeg4"}, False),
    ],
)
def test_nothing_is_decoded_to_open_a_file_whose_header_is_enough(
    tmp_path: Path, name: str, settings: dict[str, object], told: bool
) -> None:
    path = write_video(tmp_path / name, 60, **settings)  # type: ignore[arg-type]
    container = opening._open_undecoded(path)
    assert (container is not None) is told
    if container:
        container.close()
    assert sampled(path) == EVEN_60


def test_the_pixel_aspect_that_only_the_bitstream_tells_is_applied(tmp_path: Path) -> None:
    options = {**B_FRAMES, "x264-params": "sar=4/3"}
    path = write_video(tmp_path / "dvd.mp4", 30, size=(144, 96), options=options)
    with av.open(str(path), stream_options=[{"skip_frame": "all"}]) as container:
        assert not container.streams.video[0].sample_aspect_ratio
    content = whole_video(path, Sampling(2))
    assert (content.facts.width, content.facts.height) == (192, 96)


@pytest.mark.parametrize(
    ("size", "expected"), [((1280, 720), (598, 336)), ((480, 640), (336, 448)), ((320, 180), (320, 180))]
)
def test_frames_are_shrunk_to_the_model_and_never_enlarged(
    tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    content = whole_video(write_video(tmp_path / "size.mp4", 2, size=size), Sampling(1, edge=336))
    assert Image.open(io.BytesIO(content.jpegs[0])).size == expected
    assert (content.facts.width, content.facts.height) == size


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_come_out_as_they_were_drawn(tmp_path: Path, matrix: str, full_range: bool) -> None:
    """Whatever matrix and range a video uses, the JPEG shows the same colour."""
    path, colour = tmp_path / "colour.mp4", (200, 60, 30)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuvj420p" if full_range else "yuv420p"
        stream.codec_context.colorspace = 1 if matrix == "bt709" else 6
        stream.codec_context.color_range = 2 if full_range else 1
        rgb = av.VideoFrame.from_ndarray(np.full((480, 640, 3), colour, np.uint8))
        frame = rgb.reformat(
            format=stream.pix_fmt,
            dst_colorspace="ITU709" if matrix == "bt709" else "ITU601",
            dst_color_range="JPEG" if full_range else "MPEG",
        )
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    jpeg = whole_video(path, Sampling(1)).jpegs[0]
    shown = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))[100:200, 100:200].mean(axis=(0, 1))
    assert np.abs(shown - colour).max() < 5


def test_a_truncated_file_gives_what_can_be_read_with_a_warning(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "cut.mp4",
        300,
        options={"crf": "1", "g": "12"},
        container_options={"movflags": "faststart"},
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * 0.6)])
    content = whole_video(path, Sampling(8))
    numbers = [number_of(jpeg) for jpeg in content.jpegs]
    readable = content.facts.frames or 0
    assert 100 < readable < 250
    assert numbers == [int(x) for x in np.linspace(0, readable - 1, 8)]
    assert any("cut off" in warning for warning in content.warnings)


def test_bit_rot_costs_frames_not_the_file(tmp_path: Path) -> None:
    path = write_video(tmp_path / "rot.mp4", 120, options={"crf": "5", "g": "12"})
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(3)
    for place in rng.integers(len(data) // 3, len(data) // 2, 300):
        data[place] ^= 0xFF
    path.write_bytes(data)
    content = whole_video(path, Sampling(8))
    right = {number_of(jpeg) for jpeg in content.jpegs} & set(EVEN_120)
    assert len(right) >= 4  # those outside the damaged sixth at least
    assert "damaged" in content.warnings[0]


def test_a_size_change_is_accepted_with_a_warning(tmp_path: Path) -> None:
    """Two raw H.264 streams of different sizes, one after the other."""
    first = write_video(tmp_path / "a.h264", 10, container_format="h264")
    second = write_video(tmp_path / "b.h264", 10, size=(320, 192), container_format="h264")
    path = tmp_path / "both.h264"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    content = whole_video(path, Sampling(8))
    assert len(content.jpegs) == 8
    assert {Image.open(io.BytesIO(jpeg)).size for jpeg in content.jpegs} == {(160, 96)}
    assert any("size changes" in warning for warning in content.warnings)


def broken_files(folder: Path) -> dict[str, Path]:
    files = {name: folder / name for name in ("empty.mp4", "page.mp4", "zeros.mp4", "noindex.mp4", "text.mp4")}
    files["empty.mp4"].touch()
    files["page.mp4"].write_text("<!DOCTYPE html><html><body>404</body></html>")
    files["zeros.mp4"].write_bytes(bytes(4096))
    files["text.mp4"].write_text("just some words, many of them. " * 40)
    whole = write_video(folder / "whole.mp4", 30).read_bytes()
    files["noindex.mp4"].write_bytes(whole[: len(whole) // 2])
    files["sound.m4v"] = write_sound(folder / "sound.mp4").rename(folder / "sound.m4v")
    return files


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.mp4", "empty"),
        ("page.mp4", "HTML"),
        ("zeros.mp4", "zeros"),
        ("text.mp4", "cannot be opened as a video"),
        ("noindex.mp4", "cannot be opened as a video"),
        ("sound.m4v", "sound alone"),
    ],
)
def test_what_is_no_video_is_refused_with_its_reason(tmp_path: Path, name: str, reason: str) -> None:
    path = broken_files(tmp_path)[name]
    with pytest.raises(MediaError, match=reason):
        load_file(path, Sampling())


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.m4v"
    with av.open(str(path), "w", format="mp4") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 160, 96, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        tone = container.add_stream("aac", rate=44100, layout="mono")
        container.mux(cover.encode(av.VideoFrame.from_ndarray(numbered(5)).reformat(format="yuvj420p")))
        container.mux(cover.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), "fltp", "mono")
        silence.sample_rate = 44100
        container.mux(tone.encode(silence))
        container.mux(tone.encode(None))
    with pytest.raises(MediaError, match="cover"):
        whole_video(path, Sampling())
