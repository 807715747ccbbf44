"""The frame sampler against FFmpeg's own sequential decoding: codecs, containers, and what happens to files."""

from __future__ import annotations

import functools
import gc
import tracemalloc
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from ffmpeg_files import FRAMES, X264, displayed, encode, ffmpeg
from media_files import load_file, number_of

from client.media import video
from client.media.load import identify
from client.media.loaders import Loaders
from client.media.sampling import Sampling, evenly

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

X265 = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -tag:v hvc1 -x265-params log-level=0"
OPEN_HEVC = "-c:v libx265 -preset medium -pix_fmt yuv420p -tag:v hvc1 -x265-params log-level=0:open-gop=1:bframes=4"
MPEG2 = "-c:v mpeg2video -g 12 -bf 2 -b:v 3M"
MPEG4 = "-c:v mpeg4 -g 24 -b:v 2M"
VP9 = "-c:v libvpx-vp9 -cpu-used 5 -auto-alt-ref 1 -lag-in-frames 16 -g 30 -b:v 300k"
AV1 = "-c:v libsvtav1 -preset 12 -g 30"
REPEATED = 200
"""How often a video is repeated for a long one."""
ALL_KEY, FEW_KEYS, ONE_KEY = "-g 1", "-g 12", "-g 250"


def check(path: Path, warning: str | None = None, counts: tuple[int, ...] = (1, 3, 8, 16)) -> list[int]:
    """Sample a file in several ways; every frame must be the one that FFmpeg shows at its place."""
    shown = displayed(path)
    assert shown
    for wanted in counts:
        content = load_file(path, Sampling(wanted))
        assert [number_of(jpeg) for jpeg in content.jpegs] == [shown[place] for place in evenly(len(shown), wanted)]
        assert content.facts.frames == len(shown)
        if warning:
            assert warning in " ".join(content.warnings)
        else:
            assert content.warnings == []
    return shown


@pytest.mark.parametrize("extension", ["mp4", "mkv", "mov", "ts", "m2ts", "avi", "flv", "3gp", "nut", "asf", "mxf"])
@pytest.mark.parametrize("b_frames", [0, 2, 5])
def test_h264_in_every_container(tmp_path: Path, extension: str, b_frames: int) -> None:
    """AVI, MXF and ASF have no display times of their own."""
    gop = "-g 48" if extension in ("mp4", "mkv", "ts") else "-g 12"
    b_frames = min(b_frames, 2) if extension == "mxf" else b_frames  # it takes no more
    check(encode(tmp_path / f"a.{extension}", f"{X264} {gop} -bf {b_frames}"))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("all-key.mp4", f"{X264} {ALL_KEY}"),
        ("all-key.ts", f"{X264} {ALL_KEY}"),
        ("one-key.mkv", f"{X264} {ONE_KEY} -bf 3"),
        ("one-key.ts", f"{X264} {ONE_KEY} -bf 3"),
        ("open-gop.mp4", f"{X264} -x264-params open-gop=1:keyint=12:bframes=3:b-adapt=0:b-pyramid=normal"),
        ("open-gop.ts", f"{X264} -x264-params open-gop=1:keyint=12:bframes=3:b-adapt=0:b-pyramid=normal"),
        ("intra-refresh.mp4", f"{X264} -x264-params intra-refresh=1:keyint=20:bframes=0"),
        ("many-references.mkv", f"{X264} -x264-params keyint=60:ref=8:bframes=8:b-pyramid=strict"),
        ("interlaced.ts", f"{X264} -flags +ildct+ilme -x264-params tff=1 -g 30 -bf 2"),
        ("fragments.mp4", f"{X264} -g 30 -bf 2 -movflags frag_every_frame+empty_moov+default_base_moof"),
        ("negative-offsets.mp4", f"{X264} -g 30 -bf 2 -movflags +negative_cts_offsets"),
        ("rgb.mp4", "-c:v libx264rgb -pix_fmt rgb24 -g 30"),
        ("bare.h264", X264),
        ("hevc.mp4", f"{X265}:keyint=60:bframes=4"),
        ("hevc.ts", f"{X265}:keyint=12:bframes=4"),
        ("open-hevc.mp4", f"{OPEN_HEVC}:keyint=12:min-keyint=12"),
        ("open-hevc.mkv", f"{OPEN_HEVC}:keyint=12:min-keyint=12:temporal-layers=1"),
        ("bare.hevc", X265),
        ("alt-ref.webm", VP9),
        ("alt-ref-9.mp4", VP9),
        ("alt-ref-8.webm", "-c:v libvpx -auto-alt-ref 1 -lag-in-frames 16 -g 30 -b:v 300k"),
        ("alpha-8.webm", "-c:v libvpx -pix_fmt yuva420p -auto-alt-ref 0 -g 30 -b:v 300k"),
        ("bare-8.ivf", "-c:v libvpx -auto-alt-ref 1 -lag-in-frames 16 -b:v 300k"),
        ("av1.mkv", AV1),
        ("av1.webm", AV1),
        ("bare-1.obu", AV1),
        ("mpeg2.mpg", MPEG2),
        ("mpeg2.vob", MPEG2),
        ("mpeg2.ts", MPEG2),
        ("mpeg2.mxf", MPEG2),
        ("mpeg2.m2v", MPEG2),
        ("mpeg1.mpg", "-c:v mpeg1video -g 12 -bf 2 -b:v 3M"),
        ("mpeg4.avi", f"{MPEG4} -bf 2"),
        ("mpeg4.3gp", MPEG4),
        ("xvid.avi", f"{MPEG4} -bf 2 -vtag xvid"),
        ("packed.avi", "-c:v libxvid -g 24 -bf 2 -b:v 2M"),
        ("wmv1.wmv", "-c:v wmv1 -g 24 -b:v 2M"),
        ("wmv2.wmv", "-c:v wmv2 -g 24 -b:v 2M"),
        ("divx3.avi", "-c:v msmpeg4 -b:v 2M"),
        ("h263.3gp", "-s 176x144 -c:v h263 -b:v 2M"),
        ("all-called-key.mkv", "-c:v h263p -g 20 -b:v 2M"),
        ("sorenson.flv", "-c:v flv -b:v 2M"),
        ("theora.ogv", "-c:v libtheora -g 24 -b:v 2M"),
        ("motion.mjpg", "-c:v mjpeg -q:v 3 -f mjpeg"),
        ("motion.avi", "-c:v mjpeg -q:v 3"),
        ("prores.mov", "-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le"),
        ("avid.mxf", "-s 1280x720 -c:v dnxhd -b:v 60M -pix_fmt yuv422p"),
        ("camcorder.avi", "-s 720x576 -c:v dvvideo -pix_fmt yuv420p"),
        ("camcorder.dv", "-s 720x576 -c:v dvvideo -pix_fmt yuv420p"),
        ("real.rm", "-c:v rv20 -g 24 -b:v 2M"),
        ("apple.mov", "-c:v rpza"),
        ("graphics.mov", "-c:v smc"),
        ("palette.avi", "-c:v rawvideo -pix_fmt pal8"),
        ("screen.flv", "-c:v flashsv"),
        ("gray16.mkv", "-c:v ffv1 -pix_fmt gray16le"),
        ("plain.y4m", "-pix_fmt yuv420p"),
    ],
    ids=lambda value: value if "." in value and " " not in value else "",
)
def test_frames_are_those_of_ffmpeg(tmp_path: Path, name: str, settings: str) -> None:
    check(encode(tmp_path / name, settings))


@pytest.mark.parametrize("extension", ["mp4", "mkv", "ts", "flv"])
def test_b_frames_that_were_allowed_but_not_used_cost_nothing(
    tmp_path: Path, extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream says that frames may be reordered, and none is."""
    monkeypatch.setattr(video, "_WholeDecoding", lambda *_, **__: pytest.fail("decoded from the beginning"))
    settings = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 24 -bf 3 -x264-params b-adapt=1:b-bias=-100"
    check(encode(tmp_path / f"a.{extension}", settings))


@pytest.mark.parametrize("name", ["a.ts", "b.ts", "c.ts", "d.mxf"])
def test_broadcast_files_are_sampled_by_seeking(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour of them decoded from the beginning would take minutes."""
    monkeypatch.setattr(video, "_WholeDecoding", lambda *_, **__: pytest.fail("decoded from the beginning"))
    settings = {"a": f"{X264} -g 24 -bf 3", "b": f"{X265}:keyint=24", "c": MPEG2, "d": MPEG2}
    check(encode(tmp_path / name, settings[name[0]]))


# -- what happens to files --------------------------------------------------------------------------------

SOURCES = {
    "h264.mp4": f"{X264} -g 48 -bf 2",
    "hevc.mp4": f"{OPEN_HEVC}:keyint=12:min-keyint=12",
    "av1.mp4": AV1,
    "mpeg2.ts": MPEG2,
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives a file of `SOURCES`, each encoded once."""
    folder = tmp_path_factory.mktemp("sources")

    @functools.cache
    def encoded(name: str) -> Path:
        return encode(folder / name, SOURCES[name])

    return encoded


CUTS = ("a.mp4", "a.mkv", "a.ts", "late.mp4", "late.mkv", "no-edit.mp4", "negative.mkv")


@pytest.mark.parametrize(
    ("name", "target"),
    [(name, target) for name in SOURCES for target in CUTS if (name, target) != ("av1.mp4", "a.ts")],
)
def test_cut_without_encoding(source: Callable[[str], Path], tmp_path: Path, name: str, target: str) -> None:
    """Edit lists, first frames that refer to what was cut away, beginnings before and after zero."""
    how = {
        "a": "-ss 1.23 -i {} -c copy",
        "late": "-itsoffset 3.3 -i {} -c copy -copyts",
        "no-edit": "-ss 1 -i {} -c copy -use_editlist 0",
        "negative": "-ss 1.1 -i {} -c copy -avoid_negative_ts disabled",
    }[target.partition(".")[0]]
    part = tmp_path / f"cut-{target}"
    ffmpeg(*how.format(source(name)).split(), part)
    check(part)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("later-cut.mkv", "-i {} -ss 1.23 -c copy"),
        ("clock-runs-over.ts", "-i {} -c copy -output_ts_offset 95441.5"),
        ("live.mkv", "-i {} -c copy -live 1"),
        ("no-durations.mkv", "-i {} -c copy -bsf:v setts=duration=0"),
        ("no-durations.mp4", "-i {} -c copy -bsf:v setts=duration=0"),
        ("lost-frames.mkv", "-i {} -c copy -bsf:v noise=drop=not(mod(n\\,17))*gt(n\\,0)"),
        ("before-zero.mkv", "-i {} -c copy -bsf:v setts=ts=TS-40000 -avoid_negative_ts disabled"),
        ("whole-groups-hidden.mp4", "-i {} -c copy -output_ts_offset -2 -avoid_negative_ts disabled"),
        ("whole-groups-hidden.mov", "-i {} -c copy -output_ts_offset -2 -avoid_negative_ts disabled"),
        ("a-long-gap.mp4", "-i {} -c copy -bsf:v setts=ts=if(gt(N\\,40)\\,TS+900000\\,TS)"),
        ("times-of-avi.avi", "-i {} -c copy"),
        ("long-sound.mkv", "-f lavfi -i sine=d=9 -i {} -c:v copy"),
        ("long-sound.mp4", "-f lavfi -i sine=d=9 -i {} -c:v copy"),
        ("variable.mkv", "-i {} -vf setpts=if(lt(N\\,40)\\,N/100/TB\\,(N-35)/5/TB) -fps_mode passthrough -c:v libx264"),
        ("variable.mp4", "-i {} -vf setpts=if(lt(N\\,40)\\,N/100/TB\\,(N-35)/5/TB) -fps_mode passthrough -c:v libx264"),
    ],
)
def test_odd_times(source: Callable[[str], Path], tmp_path: Path, name: str, how: str) -> None:
    ffmpeg(*how.format(source("h264.mp4")).split(), tmp_path / name)
    check(tmp_path / name)


@pytest.mark.parametrize("settings", [SOURCES["h264.mp4"], MPEG2], ids=["x264", "mpeg2"])
def test_recordings_begin_and_break_anywhere(tmp_path: Path, settings: str) -> None:
    whole = encode(tmp_path / "whole.ts", settings).read_bytes()
    joined, late, torn = tmp_path / "joined.ts", tmp_path / "late.ts", tmp_path / "torn.ts"
    joined.write_bytes(whole + whole)
    late.write_bytes(whole[188 * 40 :])
    torn.write_bytes(whole[188 * 40 + 77 :])
    assert len(check(joined, warning="damaged")) == 2 * FRAMES
    assert 0 < len(check(late)) < FRAMES
    assert 0 < len(check(torn)) < FRAMES


def test_a_sound_that_begins_in_mid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in recordings of broadcasts: the stream is unknown when the file is opened."""
    silent, path = encode(tmp_path / "silent.ts", f"{X264} -g 24 -bf 0 -muxrate 14M"), tmp_path / "a.ts"
    late = "-f lavfi -i sine=d=3 -i {} -map 1 -map 0 -c:v copy -c:a mp2 -output_ts_offset 4"
    ffmpeg(*late.format(silent).split(), tmp_path / "sounding.ts")
    path.write_bytes(silent.read_bytes() + (tmp_path / "sounding.ts").read_bytes() + silent.read_bytes())
    monkeypatch.setenv("MALLOC_PERTURB_", "165")  # PyAV looks at memory that nobody wrote to
    loaders = Loaders(1)
    try:
        (content,) = loaders.load(path, identify(path), Sampling(8))
    finally:
        loaders.close()
    assert len(content.jpegs) == 8
    assert (content.facts.frames or 0) >= 3 * FRAMES - 2  # the packets at the seams count as broken


@pytest.mark.parametrize("name", ["a.ts", "a.m2ts"])
def test_a_transport_stream_that_ends_within_a_packet_was_cut(tmp_path: Path, name: str) -> None:
    """It has no header that could tell how long it should be."""
    path = encode(tmp_path / name, f"{X264} -g 12 -bf 0")
    check(path)
    whole = path.read_bytes()
    for share in (0.5, 0.6, 0.9):
        path.write_bytes(whole[: int(len(whole) * share) | 1])  # packets have an even length
        content = load_file(path, Sampling(4))
        assert len(content.jpegs) == 4
        assert content.warnings == ["cut off: the file ends in the middle of something"]


@pytest.mark.parametrize("extension", ["mkv", "flv", "avi", "mpg", "ts"])
def test_what_is_left_of_a_cut_file(tmp_path: Path, extension: str) -> None:
    settings = MPEG2 if extension == "mpg" else f"{X264} -g 12 -bf 0"
    path = encode(tmp_path / f"a.{extension}", settings)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * 0.6)])
    content = load_file(path, Sampling(4))
    shown = displayed(path)
    assert len(shown) < FRAMES
    assert [number_of(jpeg) for jpeg in content.jpegs][:3] == [shown[place] for place in evenly(len(shown), 4)][:3]
    assert 0 < (content.facts.duration_sec or 0) < 3


def test_the_default_video_stream_is_looked_at(tmp_path: Path) -> None:
    whole = encode(tmp_path / "whole.mp4", SOURCES["h264.mp4"])
    both = tmp_path / "two.mp4"
    second = "-f lavfi -i color=red:s=64x64:d=3 -i {} -map 0 -map 1 -disposition:v:0 0 -disposition:v:1 default"
    ffmpeg(*f"{second} -c:v:1 copy -c:v:0 libx264".format(whole).split(), both)
    content = load_file(both, Sampling(3))
    assert [number_of(jpeg) for jpeg in content.jpegs] == [0, 44, 89]


def test_garbage_after_the_end_does_not_matter(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", SOURCES["h264.mp4"])
    path.write_bytes(path.read_bytes() + np.random.default_rng(0).bytes(5000))
    check(path)


@pytest.mark.parametrize(
    "settings", [f"{X264} -g 24 -bf 2", "-c:v libvpx -g 24 -b:v 300k"], ids=["seeking", "in-order"]
)
def test_a_long_video_takes_little_memory(tmp_path: Path, settings: str) -> None:
    """Of what is not looked at only the times are kept: 18,000 of its frames would take 0.4 GB."""
    part, whole = encode(tmp_path / "part.mkv", settings), tmp_path / "long.mkv"
    ffmpeg("-stream_loop", f"{REPEATED - 1}", "-i", part, "-c", "copy", whole)
    load_file(part, Sampling(4))  # what is imported and kept once
    tracemalloc.start()
    content = load_file(whole, Sampling(4))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert content.facts.frames == REPEATED * FRAMES
    assert [number_of(jpeg) for jpeg in content.jpegs] == [place % FRAMES for place in evenly(REPEATED * FRAMES, 4)]
    assert peak < 1_500_000 + 100 * REPEATED * FRAMES


def test_no_frame_is_kept_when_a_video_is_done(tmp_path: Path) -> None:
    """A frame of 8K takes 50 MB, and the garbage collector does not know."""
    path = encode(tmp_path / "a.mp4", f"{X264} -g 24 -bf 2")
    gc.collect()
    gc.freeze()  # what is there by now is not among `get_objects`
    gc.disable()
    try:
        load_file(path, Sampling(8))
        assert not any(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())
    finally:
        gc.enable()


def test_concealed_frames_are_not_passed_over_in_silence(tmp_path: Path) -> None:
    """The decoder makes up what is missing and does not always call it an error; some damage looks like a picture."""
    path = tmp_path / "a.mkv"
    ffmpeg(*f"-f lavfi -i testsrc2=s=320x192:d=3 {X264} -g 12 -bf 2".split(), path)
    clean = load_file(path, Sampling(16)).jpegs
    whole, rng, spoilt, warned = path.read_bytes(), np.random.default_rng(1), 0, 0
    for place in rng.integers(len(whole) // 10, len(whole) * 9 // 10, 40):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        content = load_file(path, Sampling(16))
        if content.jpegs != clean:
            spoilt += 1
            warned += bool(content.warnings)
    assert spoilt > 13
    assert warned > 0.75 * spoilt
