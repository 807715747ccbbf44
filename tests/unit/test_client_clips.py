"""Clips: moments cut out of videos, as they are and exactly, alone and in one reel."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import av
import pytest
from ffmpeg_files import displayed, encode, ffmpeg
from result_runs import Run, write
from test_client_segments import add_part

from client.cli import main as babelview
from client.clips.cut import Reel, copy_part
from client.errors import MediaError

if TYPE_CHECKING:
    from pathlib import Path

GOP = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 25 -bf 2 -sc_threshold 0"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """90 numbered frames at 25 a second, a key frame each second, with a tone."""
    silent = encode(tmp_path / "silent.mp4", GOP)
    tone = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration=3.6"]
    ffmpeg("-i", silent, *tone, "-c:v", "copy", "-c:a", "aac", tmp_path / "film.mp4")
    return tmp_path / "film.mp4"


def seconds(path: Path) -> tuple[float, float]:
    """How long pictures and sound last."""
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert video.time_base is not None
        assert audio.time_base is not None
        return float((video.duration or 0) * video.time_base), float((audio.duration or 0) * audio.time_base)


def test_a_copy_begins_with_the_key_frame_before(film: Path, tmp_path: Path) -> None:
    assert copy_part(film, tmp_path / "clip.mp4", 1.5, 2.4) == 1.0
    assert displayed(tmp_path / "clip.mp4") == list(range(25, 60))
    pictures, sound = seconds(tmp_path / "clip.mp4")
    assert pictures == pytest.approx(1.4, abs=0.05)
    assert sound == pytest.approx(1.4, abs=0.1)


def test_an_exact_cut_begins_and_ends_at_the_frame(film: Path, tmp_path: Path) -> None:
    with Reel(tmp_path / "clip.mp4") as clip:
        clip.add(film, 1.48, 2.4)
    assert displayed(tmp_path / "clip.mp4") == list(range(37, 60))
    pictures, sound = seconds(tmp_path / "clip.mp4")
    assert sound == pytest.approx(0.92, abs=0.05)
    assert pictures == pytest.approx(0.92, abs=0.05)


def test_a_moment_between_two_frames_shows_what_is_on_screen(film: Path, tmp_path: Path) -> None:
    with Reel(tmp_path / "clip.mp4") as clip:
        clip.add(film, 1.01, 1.03)
    assert displayed(tmp_path / "clip.mp4") == [25]
    with pytest.raises(MediaError, match="nothing is shown from 9 to 10 s"), Reel(tmp_path / "none.mp4") as none:
        none.add(film.with_name("silent.mp4"), 9, 10)


def test_a_reel_joins_what_has_sound_and_what_has_none(film: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.mp4"
    ffmpeg("-i", film, "-an", "-vf", "scale=60:30", small)
    with Reel(tmp_path / "reel.mp4") as reel:
        reel.add(film, 0, 0.4)
        reel.add(small, 0.4, 0.8)
        reel.add(film, 2, 2.4)
    pictures, sound = seconds(tmp_path / "reel.mp4")
    assert pictures == pytest.approx(1.2, abs=0.05)
    assert sound == pytest.approx(1.2, abs=0.05)
    found = displayed(tmp_path / "reel.mp4")
    assert (len(found), found[:10], found[-10:]) == (30, list(range(10)), list(range(50, 60)))


def clips(*arguments: str) -> int:
    return babelview.main(["clips", *arguments])


@pytest.fixture
def folder(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results: of `b.mp4` two moments, in the current folder."""
    monkeypatch.chdir(tmp_path)
    film.rename(tmp_path / "b.mp4")
    write(tmp_path / "captions", Run(("a.png", "b.mp4")))
    add_part(tmp_path / "captions", "early", "window", (0, 1_000_000), "First.", at=1)
    add_part(tmp_path / "captions", "late", "window", (2_000_000, 3_000_000), "Then.", at=2)
    return tmp_path


def test_the_moments_of_a_task_become_files_and_a_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert clips("captions", "--task", "describe") == 0
    names = ["b.describe.1.0.0-1.0.mp4", "b.describe.2.2.0-3.0.mp4"]
    assert capsys.readouterr().out.split() == [f"clips/{name}" for name in names]
    assert sorted(path.name for path in (folder / "clips").iterdir()) == [*names, "clips.json"]
    assert displayed(folder / "clips" / names[1]) == list(range(50, 75))
    first, second = json.loads((folder / "clips" / "clips.json").read_text())
    assert (first["file"], first["text"], second["cut_from_s"]) == ("b.mp4", "First.", 2.0)


def test_a_video_that_is_gone_fails_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "b.mp4").unlink()
    assert clips("captions", "--task", "describe", "--exact") == 1
    said = capsys.readouterr().err
    assert "failed: b.mp4, 0-1 s: b.mp4: cannot be cut (No such file or directory)" in said
    assert [path.name for path in (folder / "clips").iterdir()] == ["clips.json"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("captions",), 2, "there are no moments of the task highlights: run babelview batch"),
        (("nowhere", "--task", "describe"), 1, "there is no ledger.db in nowhere"),
        (("captions", "--task", "describe", "--reel", "no/such/reel.mp4"), 1, "cannot write to no/such/reel.mp4"),
    ],
)
def test_what_cannot_be_done_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert folder.is_dir()
    assert clips(*arguments) == code
    assert said in capsys.readouterr().err


def test_one_video_of_all(folder: Path) -> None:
    assert clips("captions", "--task", "describe", "--reel", "best.mp4", "--top", "0") == 0
    assert displayed(folder / "best.mp4") == [*range(25), *range(50, 75)]
    assert not list(folder.glob(".partial*"))
