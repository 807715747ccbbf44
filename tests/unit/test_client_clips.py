"""Clips: moments cut out of videos, as they are and exactly, alone and in one reel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import TYPE_CHECKING

import av
import pytest
from closed_pipe import CLOSED, nobody_reads
from ffmpeg_files import displayed, encode, ffmpeg
from ledgers import identity_of
from media_files import write_video
from result_runs import Run, write
from test_client_segments import add_part

from client.cli import main as babelview
from client.clips import cut
from client.clips.cut import Reel, copy_part
from client.errors import MediaError
from client.ledger.events import UriSeen
from client.ledger.ledger import Ledger
from client.media.load import identify
from client.sources.source import KnownSource, fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client.media.load import Identity

ROOT = Path(__file__).resolve().parents[2]
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


CUTTING = """
import os, signal, sys
from client.cli.main import main
from client.clips import cut

def ended(real):
    def cut_and_end(*arguments):
        real(*arguments)
        os.kill(os.getpid(), int(os.environ["END_BY"]))
        for _ in range(100):
            pass
    return cut_and_end

cut.copy_part, cut.Reel.add = ended(cut.copy_part), ended(cut.Reel.add)
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests are started with `&`
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("options", "number"), [((), SIGINT), (("--exact",), SIGTERM), (("--reel", "clips/all.mp4"), SIGTERM)]
)
def test_one_that_is_ended_leaves_no_part_of_a_clip(folder: Path, options: tuple[str, ...], number: int) -> None:
    (folder / "clips").mkdir()
    line = [sys.executable, "-c", CUTTING, "clips", "captions", "--task", "describe", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "END_BY": str(int(number))}
    done = subprocess.run(line, env=environment, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr.strip()) == (130, "interrupted")
    assert not list((folder / "clips").iterdir())


def clips(*arguments: str) -> int:
    return babelview.main(["clips", *arguments])


def see(film: Path, fingerprint: str, identity: Identity) -> None:
    """Have the ledger know what a film was."""
    with closing(Ledger(film.parent / "captions")) as ledger:
        ledger.apply(UriSeen(str(film), KnownSource(fingerprint, 1, identity)))


@pytest.fixture
def folder(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results: of `b.mp4` two moments, in the current folder."""
    monkeypatch.chdir(tmp_path)
    film.rename(tmp_path / "b.mp4")
    write(tmp_path / "captions", Run(("a.png", "b.mp4")))
    see(tmp_path / "b.mp4", fingerprint_of((tmp_path / "b.mp4").stat()), identity_of("b.mp4"))
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


def test_who_reads_their_names_may_leave(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with nobody_reads(monkeypatch), pytest.raises(SystemExit) as ended:
        clips("captions", "--task", "describe")
    assert (ended.value.code, capsys.readouterr().err) == (CLOSED, "")
    assert [path.name for path in (folder / "clips").iterdir()] == ["b.describe.1.0.0-1.0.mp4"]


def test_a_clip_that_begins_early_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_part(folder / "captions", "middle", "window", (1_600_000, 1_900_000), "Between.", at=3)
    note = "1 of 3 clips begin before their moment, at a key frame, by up to 0.6 s: --exact begins at the frame\n"
    assert clips("captions", "--task", "describe") == 0
    assert capsys.readouterr().err == note
    assert clips("captions", "--task", "describe", "--exact") == 0
    assert capsys.readouterr().err == ""


def test_a_video_that_is_gone_fails_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "b.mp4").unlink()
    assert clips("captions", "--task", "describe", "--exact") == 1
    said = capsys.readouterr().err
    assert "failed: b.mp4, 0-1 s: b.mp4: cannot be cut (No such file or directory)" in said
    assert [path.name for path in (folder / "clips").iterdir()] == ["clips.json"]


@pytest.mark.parametrize("target", [(), ("--reel", "best.mp4")])
def test_a_video_that_is_another_one_now_is_not_cut(
    folder: Path, capsys: pytest.CaptureFixture[str], target: tuple[str, ...]
) -> None:
    film = folder / "b.mp4"
    film.touch()  # which changes nothing of it
    see(film, "as it was", identify(film))
    assert clips("captions", "--task", "describe", *target) == 0
    write_video(film, 100)
    assert clips("captions", "--task", "describe", *target) == 1
    said = capsys.readouterr()
    assert said.err == "failed: b.mp4: it has changed since it was asked about: run the batch again\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("captions",), 2, "there are no moments of the task highlights: run babelview batch"),
        (("captions",), 2, "... --tasks highlights; there are those of describe\n"),
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


# -- odd videos --------------------------------------------------------------------------------------------------


def test_no_picture_of_a_copy_lacks_what_it_is_made_of(tmp_path: Path) -> None:
    """The end lies before a picture that the ones before it are made of."""
    film = encode(tmp_path / "film.mp4", f"{GOP} -b_strategy 0".replace("-g 25", "-g 250"))
    assert copy_part(film, tmp_path / "clip.mp4", 0, 1.04) == 0
    assert displayed(tmp_path / "clip.mp4")[:26] == list(range(26))


def test_a_container_that_finds_no_key_frames(tmp_path: Path) -> None:
    film = encode(tmp_path / "film.mp4", GOP.replace("-g 25", "-g 250"))
    ffmpeg("-i", film, "-c", "copy", "-output_ts_offset", "100", tmp_path / "film.ts")
    assert copy_part(tmp_path / "film.ts", tmp_path / "clip.ts", 1, 2) == 0
    assert displayed(tmp_path / "clip.ts")[:50] == list(range(50))
    with Reel(tmp_path / "clip.mp4") as clip:
        clip.add(tmp_path / "film.ts", 1, 2)
    assert displayed(tmp_path / "clip.mp4") == list(range(25, 50))


def test_packets_that_say_only_when_they_are_decoded(tmp_path: Path) -> None:
    film = encode(tmp_path / "film.mp4", GOP)
    ffmpeg("-i", film, "-c:v", "mpeg4", "-bf", "2", "-g", "25", tmp_path / "film.avi")
    assert copy_part(tmp_path / "film.avi", tmp_path / "clip.avi", 1, 2) <= 1
    assert set(range(30, 49)) < set(displayed(tmp_path / "clip.avi"))


@pytest.mark.parametrize(
    ("options", "filters", "size"),
    [(["-display_rotation", "90"], [], (96, 160)), ([], ["-vf", "setsar=2"], (320, 96))],
)
def test_what_is_encoded_anew_is_upright_and_has_square_pixels(
    tmp_path: Path, options: list[str], filters: list[str], size: tuple[int, int]
) -> None:
    film = encode(tmp_path / "film.mp4", GOP)
    ffmpeg(*options, "-i", film, *(filters or ["-c", "copy"]), tmp_path / "odd.mp4")
    with Reel(tmp_path / "clip.mp4") as clip:
        clip.add(tmp_path / "odd.mp4", 0, 0.2)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height, frame.rotation) == (*size, 0)


def test_a_part_that_breaks_off_moves_no_other(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its pictures nor its sound stand in the way of what follows."""
    frames = cut._frames
    with Reel(tmp_path / "reel.mp4") as reel:
        reel.add(film, 0, 0.4)
        monkeypatch.setattr(cut, "_frames", lambda *given: chain(islice(frames(*given), 40), broken()))
        with pytest.raises(MediaError, match="Invalid data"):
            reel.add(film, 0, 3)
        monkeypatch.undo()
        with pytest.raises(MediaError, match="nothing is shown"):
            reel.add(film, 9, 10)
        reel.add(film, 2, 2.4)
    shown = displayed(tmp_path / "reel.mp4")
    assert (shown[:12], shown[-10:]) == ([*range(10), 0, 1], list(range(50, 60)))
    _, sound = seconds(tmp_path / "reel.mp4")
    assert sound == pytest.approx(3.8, abs=0.05)


def broken() -> Iterator[av.VideoFrame]:
    raise av.InvalidDataError(1, "Invalid data")
    yield  # type: ignore[unreachable]  # it makes this a generator


@pytest.mark.parametrize("name", ["reel.webm", "reel", "reel.jpg"])
def test_a_reel_that_no_container_holds(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert clips("captions", "--task", "describe", "--reel", name) == 2
    assert "call it .mp4, .mov or .mkv" in capsys.readouterr().err
    assert not [path for path in folder.iterdir() if "reel" in path.name]


def test_a_name_is_that_of_a_file_whatever_it_looks_like(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = Path(film.rename(tmp_path / "concat:a|b.mp4").name)
    monkeypatch.chdir(tmp_path)
    assert copy_part(odd, Path("data:c.mp4"), 0, 0.4) == 0
    with Reel(Path("data:d.mp4")) as clip:
        clip.add(odd, 0, 0.4)
    assert displayed(tmp_path / "data:d.mp4") == list(range(10))
