"""Scenes: cuts where they are, one decode for cuts and frames, and runs that remember them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
from contextlib import closing
from fractions import Fraction
from functools import partial, partialmethod
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import pytest
from batch_runs import command, results, run, seen_in, wait_until
from fake_servers import what_is_seen
from ffmpeg_files import X264, ffmpeg
from media_files import numbered, write_video
from PIL import Image
from result_runs import read, sql
from test_client_windows import notes, tell

from client.errors import MediaError
from client.media.content import SceneBounds, SceneLooks, Span
from client.media.load import identify, load_scenes
from client.media.loaders import Loaders
from client.media.sampling import Candidates, Sampling
from client.media.strips import Thumbnail
from client.media.thumbnail_folder import KeptThumbnails
from client.media.video import load_video
from client.record import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    import numpy as np
    from aiohttp import web
    from fake_servers import FakeServers

    from client.media.content import Scene

SECOND = 1_000_000
LENGTHS = (25, 50, 20, 30)
"""Frames of the scenes, 25 a second."""
LOOKS = (992, 31, 682, 341)
"""The number that each shows: from one to the next half of the picture changes at least."""
TRUTH = [0.0, 1.0, 3.0, 3.8, 5.0]
BOUNDS = SceneBounds(600_000, 60 * SECOND)
STORY = ("ads", "--frames", "2", "--languages", "", "--concurrency", "1", "--prompts", "own", "--tasks", "story")


def shown(number: int, size: tuple[int, int]) -> np.ndarray:
    """Frame `number` of a video of these scenes."""
    ends = list(accumulate(LENGTHS))
    picture = numbered(LOOKS[next(place for place, end in enumerate(ends) if number < end)], size)
    picture[:4] = 2 * number  # no two frames are the same
    return picture


def write_scenes(path: Path, **options: Any) -> Path:
    return write_video(path, sum(LENGTHS), picture=shown, **options)


def scenes_of(path: Path, sampling: Sampling, bounds: SceneBounds = BOUNDS, *, whole: bool = False) -> list[Scene]:
    looks = SceneLooks(bounds, whole=(None,) if whole else ())
    *found, thumbnail = load_scenes(path, identify(path), sampling, looks)
    assert isinstance(thumbnail, Thumbnail)
    return [scene for scene in found if not isinstance(scene, bytes)]


def spans(scenes: list[Scene]) -> list[tuple[float, float]]:
    return [(scene.look.span.start_us / SECOND, scene.look.span.end_us / SECOND) for scene in scenes if scene.look.span]


# -- cuts and frames --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_scenes_begin_and_end_with_their_frames(tmp_path: Path, name: str) -> None:
    found = scenes_of(write_scenes(tmp_path / name), Sampling(frames=3), whole=True)
    assert spans(found) == list(pairwise(TRUTH))
    for scene in found[:-1]:
        assert (span := scene.look.span)
        assert all(span.start_us <= frame.pts_us < span.end_us for frame in scene.content.frames)
    assert found[-1].look.span is None
    assert [frame.pts_us for frame in found[-1].content.frames] == [0, 62 * 40_000, 124 * 40_000]
    assert found[-1].content.facts.frames == sum(LENGTHS)


@pytest.mark.parametrize("rate", [24, 30, Fraction(30000, 1001)])
@pytest.mark.parametrize(
    "sampling",
    [Sampling(2, scenes=True), Sampling(7, scenes=True), Sampling(every=Fraction(1, 3), max_frames=4, scenes=True)],
)
def test_frames_are_the_same_when_the_cuts_are_known(tmp_path: Path, rate: Any, sampling: Sampling) -> None:
    """Then the video is not decoded whole, but sought."""
    path = write_scenes(tmp_path / "a.mp4", rate=rate)
    found = scenes_of(path, sampling, SceneBounds(500_000, 900_000))
    assert len(found) > len(LENGTHS)
    again = load_video(path, sampling, [scene.look for scene in found])
    for scene, content in zip(found, again, strict=True):
        assert scene.content.frames == content.frames
        assert 0 < len(content.frames) <= sampling.most


def test_frames_that_are_too_large_to_be_kept_are_kept_as_jpegs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scenes(tmp_path / "a.mp4")
    decoded = scenes_of(path, Sampling(3))
    monkeypatch.setattr("client.media.scenes._DECODED_BYTES", 0)
    assert [scene.content.frames for scene in scenes_of(path, Sampling(3))] == [
        scene.content.frames for scene in decoded
    ]


def test_a_long_scene_is_cut_in_parts_of_which_none_is_too_short(tmp_path: Path) -> None:
    path = write_scenes(tmp_path / "a.mp4")
    found = spans(scenes_of(path, Sampling(2), SceneBounds(500_000, 900_000)))
    # What is left of 1.0 is 0.1 and of 2.0 is 0.2: too short. 1.2 leaves 0.3.
    assert found == [(0, 1), (1, 1.92), (1.92, 3), (3, 3.8), (3.8, 5)]
    assert spans(scenes_of(path, Sampling(2), SceneBounds(100_000, 1 * SECOND))) == [
        *((0, 1), (1, 2), (2, 3), (3, 3.8), (3.8, 4.8), (4.8, 5)),
    ]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_video_of_a_few_frames_is_one_scene(tmp_path: Path, count: int) -> None:
    (scene,) = scenes_of(write_video(tmp_path / "a.mp4", count), Sampling(8))
    assert scene.look.span == Span(0, count * 40_000)
    assert [frame.pts_us for frame in scene.content.frames] == [number * 40_000 for number in range(count)]


def test_no_cut_follows_another_too_soon(tmp_path: Path) -> None:
    found = spans(scenes_of(write_scenes(tmp_path / "a.mp4"), Sampling(2), SceneBounds(SECOND, 60 * SECOND)))
    assert found == [(0, 1), (1, 3), (3, 5)]


def test_cuts_are_those_of_pyscenedetect(tmp_path: Path) -> None:
    """On moving, noisy pictures, as its own program finds them."""
    from scenedetect import AdaptiveDetector, detect  # noqa: PLC0415  # takes a second

    parts = ("testsrc2=s=480x270:d=2.5", "mandelbrot=s=480x270,trim=duration=2", "rgbtestsrc=s=480x270:d=1.3")
    parts = (*parts, "cellauto=s=480x270,trim=duration=1.7", "testsrc2=s=480x270:d=2,hue=h=120")
    sources = [argument for part in parts for argument in ("-f", "lavfi", "-i", f"{part},noise=alls=10:allf=t,fps=25")]
    joined = "".join(f"[{number}]" for number in range(len(parts))) + f"concat=n={len(parts)}"
    path = tmp_path / "a.mp4"
    ffmpeg(*sources, "-filter_complex", joined, *X264.split(), path)
    theirs = [(first.seconds, last.seconds) for first, last in detect(str(path), AdaptiveDetector(min_scene_len=0.6))]
    ours = spans(scenes_of(path, Sampling(2)))
    assert len(ours) == len(parts)
    assert [tuple(round(at, 3) for at in span) for span in theirs] == ours


def test_a_damaged_video_has_the_scenes_that_can_be_read(tmp_path: Path) -> None:
    path = write_scenes(tmp_path / "a.mkv", options={"g": "10", "crf": "10", "preset": "ultrafast"})
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 200] = bytes(200)
    path.write_bytes(data)
    found = scenes_of(path, Sampling(2))
    assert spans(found)[0][0] == 0
    assert all(first[1] == second[0] for first, second in pairwise(spans(found)))
    assert any("damaged" in warning for warning in found[-1].content.warnings)


def test_an_animated_picture_is_one_scene(tmp_path: Path) -> None:
    frames = [Image.fromarray(numbered(LOOKS[place // 10])) for place in range(20)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    found = scenes_of(tmp_path / "a.gif", Sampling(2), whole=True)
    assert [scene.look.span for scene in found] == [Span(0, 2 * SECOND), None]


@pytest.mark.parametrize("count", [1, 3, 5, 6, 7, 100, 1000, 12345])
def test_candidates_are_few_and_spread_over_the_scene(count: int) -> None:
    candidates = Candidates[int](Sampling(3))
    held = 0
    for number in range(count):
        candidates.offer(Fraction(number, 25), partial(int, number))
        held = max(held, len(candidates._kept))
    chosen = candidates.chosen()
    assert held <= 6
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(3, count)
    assert (chosen[0], chosen[-1] >= count * 2 / 3 - 1) == (0, True)


# -- runs ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def ads(servers: FakeServers, tmp_path: Path) -> FakeServers:
    """A video of four scenes, and a task of the user's own over time."""
    (tmp_path / "ads").mkdir()
    write_scenes(tmp_path / "ads" / "a.mp4")
    (tmp_path / "own" / "story").mkdir(parents=True)
    (tmp_path / "own" / "story" / "window.md").write_text("What is there from {start} to {end}?")
    (tmp_path / "own" / "story" / "merge.md").write_text("Tell it:\n{answers}\nas one.")
    servers.on_ask = tell
    return servers


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How videos are gone through: `scenes` where all of it is decoded, else `load`."""
    seen: list[str] = []
    for name in ("load", "scenes"):

        def noted(*given: Any, name: str, usual: Any, **more: Any) -> Any:
            seen.append(name)
            return usual(*given, **more)

        monkeypatch.setattr(Loaders, name, partialmethod(noted, name=name, usual=getattr(Loaders, name)))
    return seen


def test_scenes_are_asked_about_and_merged(ads: FakeServers, tmp_path: Path, passes: list[str]) -> None:
    tasks = (*STORY[:-1], "story,describe", "--window", "scenes")
    assert run(ads, *tasks, cwd=tmp_path).returncode == 0
    looked = [body for body in ads.asked if what_is_seen(body)]
    assert sorted(seen_in(looked)) == ["31 31", "341 341", "682 682", "992 341", "992 992"]
    assert "from 3 s to 3.8 s" in looked[2]["messages"][0]["content"][-1]["text"]
    (merge,) = (body for body in ads.asked if body not in looked)
    assert [note.partition("]")[0] for note in notes(merge)] == [f"[{start}-{end} s" for start, end in pairwise(TRUTH)]
    assert passes == ["scenes"]
    (record,) = results(tmp_path)["files"]
    assert record["error"] is None
    told = record["tasks"]["story"]
    assert [(part["start"], part["end"]) for part in told["segments"]] == list(pairwise(TRUTH))
    assert told["text"] == "4 from 0.0"
    kept = KeptThumbnails(tmp_path / "captions").read(record["sha256"])
    assert kept
    assert [sum(at >= start for start in TRUTH) for at in kept.strip.times] == [1, 2, 3, 4]
    # The cuts are known: a dry run and another one decode nothing, one that asks again only what is asked about.
    assert "1 are done already" in run(ads, *tasks, "--dry-run", cwd=tmp_path).stdout
    assert run(ads, *tasks, cwd=tmp_path).returncode == 0
    assert (len(ads.asked), passes) == (6, ["scenes"])
    assert run(ads, *tasks, "--redo", "story", cwd=tmp_path).returncode == 0
    again = [body["messages"][0]["content"][0] for body in ads.asked[6:10]]
    assert again == [body["messages"][0]["content"][0] for body in looked[:4]]  # the very same bytes
    assert (len(ads.asked), passes) == (11, ["scenes", "load"])


@pytest.mark.parametrize("window", ["scenes", "1"])
def test_a_task_may_have_frames_of_its_own(ads: FakeServers, tmp_path: Path, passes: list[str], window: str) -> None:
    for name in ("window", "video"):
        (tmp_path / "own" / f"few{name}").mkdir()
        (tmp_path / "own" / f"few{name}" / f"{name}.md").write_text("---\nframes: 3\n---\nWhat is there?")
    tasks = (*STORY[:-1], "story,fewwindow,captions,fewvideo,describe", "--window", window, "--frames", "2")
    assert run(ads, *tasks, cwd=tmp_path).returncode == 0
    parts = 4 if window == "scenes" else 5
    sent = [len(seen.split()) for body in ads.asked if (seen := what_is_seen(body))]
    assert (sent.count(3), sent.count(2)) == (parts + 1, 2 * parts + 1)
    # The same frames are the same bytes, before all else that is said, so that a server need look at them but once.
    first = [json.dumps(body["messages"][0]["content"][0]) for body in ads.asked]
    assert (len(set(first[: 3 * parts + 2])), passes) == (2 * parts + 2, ["scenes" if window == "scenes" else "load"])
    assert "1 are done already" in run(ads, *tasks, "--dry-run", cwd=tmp_path).stdout


def test_other_bounds_are_other_scenes(ads: FakeServers, tmp_path: Path, passes: list[str]) -> None:
    for bounds in ((), ("--max-scene", "1.1"), ()):
        assert run(ads, *STORY, "--window", "scenes", *bounds, cwd=tmp_path).returncode == 0
    assert passes == ["scenes", "scenes"]
    assert len(ads.asked) == 4 + 1 + 5 + 1
    with closing(sqlite3.connect(tmp_path / "captions" / "ledger.db")) as connection:
        ((probe,),) = connection.execute("SELECT probe FROM media")
    assert json.loads(probe)["scenes"] == {
        "adaptive 600000-60000000": [round(time * SECOND) for time in TRUTH],
        "adaptive 600000-1100000": [round(time * SECOND) for time in (0, 1, 2.12, 3, 3.8, 5)],
    }


@pytest.mark.parametrize("killed_at", [1, 3, 5])
def test_a_killed_run_asks_only_what_was_in_flight_again(ads: FakeServers, tmp_path: Path, killed_at: int) -> None:
    async def hang(request: web.Request, body: dict[str, Any], number: int) -> web.StreamResponse | None:
        if number == killed_at:
            await asyncio.sleep(60)
        return await tell(request, body, number)

    ads.on_ask = hang
    line, environment = command(ads, *STORY, "--window", "scenes")
    process = subprocess.Popen(line, env=environment, cwd=tmp_path, stderr=subprocess.PIPE)
    wait_until(lambda: len(ads.asked) == killed_at)
    process.kill()
    process.communicate()
    subprocess.run([*line[:2], "client.export", "captions"], check=True, cwd=tmp_path, env=environment)
    assert results(tmp_path)["files"][0]["error"] is not None
    ads.on_ask = tell
    assert run(ads, *STORY, "--window", "scenes", cwd=tmp_path).returncode == 0
    assert len(ads.asked) == 6
    (record,) = results(tmp_path)["files"]
    assert (record["error"], record["tasks"]["story"]["text"]) == (None, "4 from 0.0")


def test_a_video_is_unfinished_until_all_of_its_scenes_are_known(ads: FakeServers, tmp_path: Path) -> None:
    """Whatever is answered: the run was killed before it came to the end."""
    assert run(ads, *STORY[:-1], "captions,describe", "--window", "scenes", cwd=tmp_path).returncode == 0
    assert read(tmp_path / "captions")[0]["error"] is None
    sql(tmp_path / "captions", "UPDATE sources SET finished = 0")
    assert read(tmp_path / "captions")[0]["error"] is None
    sql(tmp_path / "captions", "UPDATE media SET probe = '{\"duration_us\": 5000000}'")
    assert read(tmp_path / "captions")[0]["error"] == UNFINISHED


def test_a_video_that_breaks_off_tells_so_and_keeps_its_answers(
    ads: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = Loaders.scenes

    def breaks(loaders: Loaders, *given: Any, **more: Any) -> Generator[Scene, None, None]:
        yield next(usual(loaders, *given, **more))
        raise MediaError("broken in the middle")

    monkeypatch.setattr(Loaders, "scenes", breaks)
    done = run(ads, *STORY, "--window", "scenes", cwd=tmp_path)
    assert done.returncode == 1
    (record,) = results(tmp_path)["files"]
    assert record["error"] == "broken in the middle"
    assert [part["end"] for part in record["tasks"]["story"]["segments"]] == [1.0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--window", "cuts"), "must be a number, 0 or more, not 'cuts'; or scenes"),
        (("--window", "scenes", "--stride", "5"), "--stride is for windows of one length"),
        (("--window", "5", "--min-scene", "1"), "--min-scene and --max-scene are for --window scenes"),
        (("--window", "scenes", "--min-scene", "9", "--max-scene", "8"), "--max-scene 8 is less than --min-scene 9"),
        (("--window", "scenes", "--min-scene", "0.01"), "--min-scene and --max-scene must be 0.1 or more seconds"),
    ],
)
def test_wrong_scenes_fail_before_work_starts(
    ads: FakeServers, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    done = run(ads, *STORY, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert not ads.asked


def test_without_pyscenedetect_it_is_said_how_to_get_it(
    ads: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.cli.settings.find_spec", lambda name: None)
    done = run(ads, *STORY, "--window", "scenes", cwd=tmp_path)
    assert (done.returncode, "pip install -e '.[scenes]'" in done.stderr) == (2, True)
