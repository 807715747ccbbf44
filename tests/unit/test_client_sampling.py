"""Which frames of a video are taken: so many, or by the clock; and how they fit the model's square."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_files import number_of, whole_video, write_video
from PIL import Image

from client.cli.settings import read_settings
from client.media.jpeg import PADDING
from client.media.kinds import Kind
from client.media.sampling import Fit, Sampling, Timeline, at_times, evenly
from client.tasks.plan import make_plan
from client.tasks.tasks import choose_tasks

if TYPE_CHECKING:
    from pathlib import Path

B_FRAMES = {"crf": "20", "preset": "fast", "bf": "3", "g": "24"}


def numbers(path: Path, sampling: Sampling) -> list[int]:
    return [number_of(jpeg) for jpeg in whole_video(path, sampling).jpegs]


@given(available=st.integers(1, 200_000), wanted=st.integers(1, 64))
def test_even_frames_are_those_of_numpy(available: int, wanted: int) -> None:
    expected = sorted({int(index) for index in np.linspace(0, available - 1, min(wanted, available))})
    assert evenly(available, wanted) == expected


@given(
    steps=st.lists(st.integers(1, 500), min_size=1, max_size=50),
    spacing=st.fractions(Fraction(1, 50), 20),
    count=st.integers(1, 30),
)
def test_by_the_clock_the_frame_on_screen_is_taken(steps: list[int], spacing: Fraction, count: int) -> None:
    """Checked against a search without any arithmetic of its own, in ticks of 10 ms."""
    shown = [sum(steps[:place]) for place in range(len(steps))]
    timeline = Timeline(shown, shown[-1] + steps[-1], Fraction(1, 100))
    expected = set()
    for number in range(count):
        instant = number * spacing + Fraction(1, 2000)
        expected.add(max(index for index, time in enumerate(shown) if Fraction(time, 100) <= instant))
    assert at_times(timeline, spacing, count) == sorted(expected)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.h264", "a.flv"])
@pytest.mark.parametrize(
    ("every", "expected"),
    [
        (Fraction(1, 2), [0, 12, 25, 37, 50]),  # 25 frames a second: 12.5 frames a step
        (Fraction(1), [0, 25, 50]),
        (Fraction(1, 5), [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55]),
        (Fraction(100), [0]),
    ],
)
def test_frames_at_even_times(tmp_path: Path, name: str, every: Fraction, expected: list[int]) -> None:
    options = {**B_FRAMES, "bf": "0"} if name == "a.avi" else B_FRAMES
    path = write_video(tmp_path / name, 60, options=options)
    content = whole_video(path, Sampling(every=every))
    assert [number_of(jpeg) for jpeg in content.jpegs] == expected
    assert content.warnings == []


def test_a_step_shorter_than_a_frame_takes_each_frame_once(tmp_path: Path) -> None:
    assert numbers(write_video(tmp_path / "a.mp4", 6), Sampling(every=Fraction(1, 200), max_frames=200)) == [*range(6)]


def test_by_the_clock_a_slide_show_gives_what_is_on_screen(tmp_path: Path) -> None:
    """Ten frames in a second, then one that stays for four."""
    times = [number * 100 for number in range(10)] + [5000]
    path = write_video(tmp_path / "slides.mp4", 11, times=times, options=B_FRAMES)
    assert numbers(path, Sampling(every=Fraction(1))) == [0, 9, 10]
    assert numbers(path, Sampling(frames=3)) == [0, 5, 10]


def test_a_long_video_is_looked_at_in_wider_steps(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 100)
    content = whole_video(path, Sampling(every=Fraction(1, 5), max_frames=4))
    assert [number_of(jpeg) for jpeg in content.jpegs] == [0, 25, 50, 75]
    assert content.warnings == ["a frame every 0.2 s would be 20 of them: it is 4 (--max-frames), one every 1 s"]


@pytest.mark.parametrize(("size", "canvas"), [((640, 360), 336), ((360, 640), 336), ((161, 95), 162), ((96, 160), 160)])
def test_pad_shows_the_whole_frame_on_a_square(tmp_path: Path, size: tuple[int, int], canvas: int) -> None:
    path = write_video(tmp_path / "a.mkv", 1, size=size, pix_fmt="yuv444p", picture=lambda _, s: np.full(
        (s[1], s[0], 3), (200, 30, 40), np.uint8))  # fmt: skip
    (jpeg,) = whole_video(path, Sampling(1, fit=Fit.PAD)).jpegs
    shown = Image.open(io.BytesIO(jpeg))
    assert shown.size == (canvas, canvas)
    pixels = np.asarray(shown.convert("RGB")).astype(int)
    red = np.abs(pixels - (200, 30, 40)).max(axis=2) < 40
    bars = np.abs(pixels - (122, 116, 104)).max(axis=2) < 25
    assert (red | bars).mean() > 0.98
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    across, down = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
    assert across / down == pytest.approx(size[0] / size[1], rel=0.05)
    assert abs((columns[0] + columns[-1]) - (canvas - 1)) <= 3  # in the middle, to whole pixels of chroma
    assert abs((rows[0] + rows[-1]) - (canvas - 1)) <= 3


def test_the_bars_are_the_mean_colour_that_clip_was_trained_with() -> None:
    mean = Image.new("RGB", (1, 1), tuple(int(255 * share) for share in (0.48145466, 0.4578275, 0.40821073)))  # type: ignore[arg-type]
    assert mean.convert("YCbCr").getpixel((0, 0)) == PADDING


def settings(*arguments: str) -> Sampling:
    return read_settings(["ads", *arguments]).sampling


def test_the_command_line_says_how_to_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings() == Sampling(frames=8, edge=336, every=None, max_frames=16, fit=Fit.CROP)
    assert settings("--fps", "0.5", "--max-frames", "20", "--fit", "pad") == Sampling(
        every=Fraction(2), max_frames=20, fit=Fit.PAD
    )
    assert settings("--every", "1.5").every == Fraction(3, 2)
    monkeypatch.setenv("BABELVIEW_FPS", "2")
    assert settings().every == Fraction(1, 2)
    assert settings("--frames", "4") == Sampling(4)  # the command line wins


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--frames", "4", "--fps", "1"], "--frames and --fps cannot be combined"),
        (["--every", "4", "--fps", "1"], "--fps and --every cannot be combined"),
        (["--fps", "0"], "must be a number above 0, not '0'"),
        (["--every", "often"], "must be a number above 0, not 'often'"),
        (["--every", "nan"], "must be a number above 0"),
        (["--max-frames", "0"], "whole number above 0"),
        (["--fit", "stretch"], "'stretch' is not one of 'crop', 'pad'"),
    ],
)
def test_what_cannot_be_is_refused_at_once(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        settings(*arguments)
    assert stopped.value.code == 2
    assert reason in capsys.readouterr().err


def test_another_sampling_is_new_work_and_the_old_one_is_not() -> None:
    tasks = choose_tasks(["describe"], [], None)
    models = {Kind.IMAGE: "a", Kind.VIDEO: "b"}

    def params(sampling: Sampling, kind: Kind = Kind.VIDEO) -> str:
        return make_plan(tasks, models, 0.0, sampling, ()).requests[kind][0].params

    others = [
        Sampling(4),
        Sampling(edge=224),
        Sampling(every=Fraction(1)),
        Sampling(every=Fraction(1, 3)),
        Sampling(every=Fraction(1), max_frames=8),
        Sampling(fit=Fit.PAD),
    ]
    assert len({params(sampling) for sampling in (Sampling(), *others)}) == 7
    assert len({params(sampling, Kind.IMAGE) for sampling in (Sampling(), *others)}) == 1
    assert '"frames": 8' in params(Sampling())
    assert '"short_edge": 336' in params(Sampling())
    assert "fit" not in params(Sampling())  # ledgers from before there was a choice stay good
