"""Animated pictures are videos, sampled by their own timing; or, where that is asked for, their first picture."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from batch_runs import results, run
from media_files import load_file, number_of, numbered
from PIL import Image

from client.media import animation, load
from client.media.content import Span
from client.media.kinds import Animated, Kind
from client.media.load import Identity, identify, load_spans, probe
from client.media.loaders import Loaders
from client.media.picture_parts import frame_times
from client.media.sampling import Fit, Sampling

if TYPE_CHECKING:
    from pathlib import Path

    from fake_servers import FakeServers

SUFFIXES = [".gif", ".webp", ".png", ".avif"]
EVEN = [int(x) for x in np.linspace(0, 19, 8)]


def animate(path: Path, frames: int = 20, duration: int | list[int] = 40, **settings: object) -> Path:
    """Numbered frames."""
    pictures = [Image.fromarray(numbered(number)) for number in range(frames)]
    settings = {"lossless": True, **settings} if path.suffix == ".webp" else settings
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=duration, **settings)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_animation_is_a_video(tmp_path: Path, suffix: str) -> None:
    path = animate(tmp_path / f"a{suffix}")
    assert identify(path).kind is Kind.VIDEO
    content = load_file(path, Sampling(8))
    assert content.kind is Kind.VIDEO
    assert content.warnings == []
    assert [number_of(jpeg) for jpeg in content.jpegs] == EVEN
    facts = content.facts
    assert (facts.width, facts.height, facts.frames) == (160, 96, 20)
    assert (facts.duration_sec, facts.fps) == (pytest.approx(0.8, abs=0.01), pytest.approx(25, abs=0.3))
    (found,) = probe(path, identify(path))
    assert found.duration_us == pytest.approx(800_000, abs=10_000)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_a_huge_picture_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    path = animate(tmp_path / f"a{suffix}", 3)
    with path.open("ab") as file:
        file.truncate(4 << 30)  # sparse
    monkeypatch.setattr(load, "frame_times", lambda _: pytest.fail("it was read"))
    (identity,) = [load.counted_as(Identity("", Kind.IMAGE, None), path, Animated.VIDEO)]
    assert identity.kind is Kind.IMAGE


def test_a_png_without_pixels_is_no_animation(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\x7f\xff\xff\xfftEXt" + b"acTL" * 1000)
    assert load.counted_as(Identity("", Kind.IMAGE, None), path, Animated.VIDEO).kind is Kind.IMAGE


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_its_first_picture_is_taken_where_that_is_asked_for(tmp_path: Path, suffix: str) -> None:
    path = animate(tmp_path / f"a{suffix}")
    identity = identify(path, Animated.FIRST)
    assert identity.kind is Kind.IMAGE
    (content,) = load_spans(path, identity, Sampling(8), [None])
    assert content.kind is Kind.IMAGE
    assert number_of(content.jpegs[0]) == 0
    assert "only the first one" in content.warnings[0]
    # A ledger may know it as the other one.
    assert load.counted_as(identity, path, Animated.VIDEO).kind is Kind.VIDEO
    assert load.counted_as(identify(path), path, Animated.FIRST).kind is Kind.IMAGE


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_picture_is_a_picture(tmp_path: Path, suffix: str) -> None:
    path = animate(tmp_path / f"a{suffix}", frames=1)
    assert identify(path).kind is Kind.IMAGE
    assert load_file(path, Sampling(8)).warnings == []


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_frames_are_sampled_by_their_own_timing(tmp_path: Path, suffix: str) -> None:
    """Ten of 40 ms, then ten of 400 ms: of 4.4 s, at one second each."""
    path = animate(tmp_path / f"a{suffix}", duration=[40] * 10 + [400] * 10)
    content = load_file(path, Sampling(every=1))  # type: ignore[arg-type]
    assert [number_of(jpeg) for jpeg in content.jpegs] == [0, 11, 14, 16, 19]
    assert [frame.pts_us for frame in content.frames] == [0, 800_000, 2_000_000, 2_800_000, 4_000_000]
    spans = [Span(0, 400_000), None, Span(4_000_000, 4_400_000)]
    numbers = [
        [number_of(jpeg) for jpeg in part.jpegs] for part in load_spans(path, identify(path), Sampling(4), spans)
    ]
    assert numbers == [[0, 3, 6, 9], [0, 6, 12, 19], [19]]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_times_that_nobody_meant_are_those_of_browsers(tmp_path: Path, suffix: str) -> None:
    assert frame_times(animate(tmp_path / f"a{suffix}", frames=3, duration=10).read_bytes()) == [100] * 3


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_frames_that_change_a_part_are_put_together_on_white(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGBA", (80, 40)) for _ in range(3)]
    for number, frame in enumerate(frames):
        frame.paste((220, 30, 40, 255), (0, 0, 10 + 20 * number, 20))
    path = tmp_path / f"a{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50, lossless=True)
    shown = [Image.open(io.BytesIO(jpeg)).convert("RGB") for jpeg in load_file(path, Sampling(3)).jpegs]
    for number, picture in enumerate(shown):
        assert picture.getpixel((4, 10)) == pytest.approx((220, 30, 40), abs=25)
        assert picture.getpixel((20 + 20 * number, 10)) == pytest.approx((255,) * 3, abs=12)
        assert picture.getpixel((70, 35)) == pytest.approx((255,) * 3, abs=12)


def test_what_no_frame_of_a_gif_has_drawn_is_white(tmp_path: Path) -> None:
    """Its canvas is larger than its frames."""
    path = tmp_path / "a.gif"
    frames = [Image.new("P", (40, 20), number) for number in (1, 2, 1)]
    for frame in frames:
        frame.putpalette([0, 0, 0, 220, 30, 40, 30, 40, 220])
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)
    data = bytearray(path.read_bytes())
    data[6:10] = (80).to_bytes(2, "little") + (40).to_bytes(2, "little")
    path.write_bytes(data)
    content = load_file(path, Sampling(3))
    shown = [Image.open(io.BytesIO(jpeg)).convert("RGB") for jpeg in content.jpegs]
    assert [picture.getpixel((70, 30)) for picture in shown] == [pytest.approx((255,) * 3, abs=3)] * 3
    colours = [(220, 30, 40), (30, 40, 220), (220, 30, 40)]
    assert [picture.getpixel((10, 8)) for picture in shown] == [pytest.approx(colour, abs=12) for colour in colours]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_what_is_left_of_a_cut_animation(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    noise = np.random.default_rng(1)
    frames = [Image.fromarray(noise.integers(0, 255, (40, 60, 3), np.uint8)) for _ in range(20)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    content = load_file(path, Sampling(4))
    assert content.kind is Kind.VIDEO
    assert len(content.jpegs) == 4
    assert content.warnings
    assert content.warnings[0].startswith("cut off")
    assert 9 <= (content.facts.frames or 0) <= 13


def test_the_picture_for_those_who_know_no_animations_is_no_frame(tmp_path: Path) -> None:
    pictures = [Image.fromarray(numbered(number)) for number in range(5)]
    path = tmp_path / "a.png"
    pictures[4].save(path, save_all=True, append_images=pictures[:4], default_image=True, duration=50)
    content = load_file(path, Sampling(4))
    assert [number_of(jpeg) for jpeg in content.jpegs] == [0, 1, 2, 3]
    assert content.facts.frames == 4


def test_squares_and_turned_ones(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = animate(tmp_path / "a.webp", frames=2, exif=exif)
    content = load_file(path, Sampling(2, edge=48, fit=Fit.PAD))
    assert (content.facts.width, content.facts.height) == (96, 160)
    assert [Image.open(io.BytesIO(jpeg)).size for jpeg in content.jpegs] == [(48, 48)] * 2


def test_an_animation_is_decoded_once_for_all_its_spans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, calls = animate(tmp_path / "a.gif"), []
    decoded = animation._decoded
    monkeypatch.setattr(animation, "_decoded", lambda *given: calls.append(1) or decoded(*given))
    spans = [Span(0, 400_000), Span(400_000, 800_000)]
    loaders = Loaders(1)
    try:
        assert len(list(loaders.load(path, identify(path), Sampling(2), spans))) == 2
    finally:
        loaders.close()
    assert len(list(load_spans(path, identify(path), Sampling(2), spans))) == 2
    assert len(calls) == 1


def test_few_frames_lie_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are wanted of all spans; also of one that is cut off in a later group."""
    path, held = animate(tmp_path / "a.gif"), []
    decoded = animation._decoded

    def counted(*given: object) -> tuple[tuple[int, int], dict[int, bytes], int | None]:
        found = decoded(*given)  # type: ignore[arg-type]
        held.append(len(found[1]))
        return found

    spans = [Span(start, start + 160_000) for start in range(0, 800_000, 160_000)]
    whole = [[number_of(jpeg) for jpeg in part.jpegs] for part in load_spans(path, identify(path), Sampling(4), spans)]
    monkeypatch.setattr(animation, "_decoded", counted)
    monkeypatch.setattr(animation, "_HELD_FRAMES", 8)
    parts = list(load_spans(path, identify(path), Sampling(4), spans))
    assert (
        [[number_of(jpeg) for jpeg in part.jpegs] for part in parts]
        == whole
        == [[*range(n, n + 4)] for n in range(0, 20, 4)]
    )
    assert held == [8, 8, 4]
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 8 // 10])
    cut = list(load_spans(path, identify(path), Sampling(4), spans))
    assert len(cut) == 5
    assert all(part.warnings == cut[0].warnings != [] and part.facts == cut[0].facts for part in cut)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_that_it_moves_is_known_from_its_second_frame_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """Each run looks at it again."""
    path, seen = animate(tmp_path / f"a{suffix}", 3), []
    with path.open("ab") as file:
        file.truncate(1 << 28)  # sparse
    monkeypatch.setattr(load, "frame_times", lambda data: seen.append(len(data)) or frame_times(data))
    assert load.counted_as(Identity("", Kind.IMAGE, None), path, Animated.VIDEO).kind is Kind.VIDEO
    assert max(seen) <= 1 << 17


def test_a_run_asks_about_it_as_a_video_or_about_its_first_picture(servers: FakeServers, tmp_path: Path) -> None:
    """Also where an earlier run took it for the other one."""
    (tmp_path / "ads").mkdir()
    animate(tmp_path / "ads" / "a.gif")
    arguments = ("ads", "--languages", "", "--frames", "4")
    seen = []
    for more in ((), ("--animated", "first"), (), ("--animated", "first", "--dry-run")):
        done = run(servers, *arguments, *more, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        (record,) = results(tmp_path)["files"]
        seen.append((record["kind"], record["tasks"]["describe"]["text"]))
    assert seen[:3] == [("video", "I see 0 6 12 19"), ("image", "I see 0"), ("video", "I see 0 6 12 19")]
    assert "1 pictures, 0 videos" in done.stdout
