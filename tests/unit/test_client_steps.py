"""Tasks of several steps: windows of time and merges, from files to records."""

from __future__ import annotations

import asyncio
import pickle
import sqlite3
import subprocess
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import pytest
import two_steps
from batch_runs import command, results, run, seen_in, wait_until
from fake_servers import FakeServers, completion, error
from media_files import number_of, write_video

from client.endpoints.chat import ModelClient
from client.errors import InexactError
from client.media import video
from client.media.content import Content, Frame, Probe, Span
from client.media.frames import IndexedDecoder
from client.media.kinds import Kind
from client.media.load import identify, load_spans, probe
from client.media.sampling import Sampling, Timeline
from client.tasks.merge import merges_of
from client.tasks.plan import Plan, expand, make_plan
from client.tasks.prompt import Prompt
from client.tasks.steps import Over, OverKind, Step, windows
from client.tasks.tasks import Task
from client.tasks.units import UnitKind, merged, whole, window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from aiohttp import web

SECOND = 1_000_000
SEEN = ["0 37", "38 74", "75 99"]
OPTIONS = ("ads", "--frames", "2", "--languages", "fra_Latn", "--concurrency", "1")


async def tell(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
    """A merge, which has no media, is answered with its lines."""
    content = body["messages"][0]["content"]
    return completion("Story: " + content[0]["text"].replace("\n", " | ")) if len(content) == 1 else None


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch, servers: FakeServers, tmp_path: Path) -> FakeServers:
    """One video of four seconds, and the task of two steps."""
    monkeypatch.setattr("client.api.options.choose_tasks", two_steps.choose)
    (tmp_path / "ads").mkdir()
    write_video(tmp_path / "ads" / "a.mp4", 100)
    servers.on_ask = tell
    return servers


def start(servers: FakeServers, *arguments: str, cwd: Path) -> subprocess.Popen[Any]:
    line, environment = command(servers, *arguments)
    return subprocess.Popen([line[0], two_steps.__file__, *line[3:]], env=environment, cwd=cwd, stderr=subprocess.PIPE)


def kinds(asked: list[dict[str, Any]]) -> list[str]:
    return ["merge" if len(body["messages"][0]["content"]) == 1 else "window" for body in asked]


def check(record: dict[str, Any]) -> None:
    told = record["tasks"]["story"]
    lines = " | ".join(
        f"[{start:.1f}-{end:.1f} s] I see {seen}"
        for (start, end), seen in zip([(0, 1.5), (1.5, 3), (3, 4)], SEEN, strict=True)
    )
    assert told["text"] == f"Story: Tell it as one story: | {lines}"
    assert told["translations"] == {"fra_Latn": f"fra_Latn: {told['text']}"}
    assert [(part["start"], part["end"], part["text"]) for part in told["segments"]] == [
        (0.0, 1.5, "I see 0 37"),
        (1.5, 3.0, "I see 38 74"),
        (3.0, 4.0, "I see 75 99"),
    ]
    assert told["segments"][0]["translations"] == {"fra_Latn": "fra_Latn: I see 0 37"}
    assert (record["error"], record["warnings"], record["frames"]) == (None, [], 100)


def test_windows_are_asked_about_and_their_answers_merged(story: FakeServers, tmp_path: Path) -> None:
    done = run(story, *OPTIONS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert kinds(story.asked) == ["window", "window", "window", "merge"]
    assert seen_in(story.asked[:3]) == SEEN
    check(results(tmp_path)["files"][0])
    # What is known is neither decoded nor asked again, nor counted as missing.
    assert "1 are done already" in run(story, *OPTIONS, "--dry-run", cwd=tmp_path).stdout
    assert run(story, *OPTIONS, cwd=tmp_path).returncode == 0
    assert len(story.asked) == 4
    assert results(tmp_path)["stats"]["done_earlier"] == 1
    with sqlite3.connect(tmp_path / "captions" / "ledger.db") as connection:
        rows = connection.execute("SELECT kind, start_us, end_us FROM units ORDER BY start_us, kind").fetchall()
        captions = connection.execute("SELECT count(*) FROM captions WHERE language = 'eng_Latn'").fetchone()
    connection.close()
    times = [(0, 1_500_000), (1_500_000, 3_000_000), (3_000_000, 4_000_000)]
    assert rows == [("merge", None, None), *(("window", *span) for span in times)]
    assert captions == (4,)
    # All again: once each.
    assert run(story, *OPTIONS, "--redo", "all", cwd=tmp_path).returncode == 0
    assert kinds(story.asked[4:]) == ["window", "window", "window", "merge"]


@pytest.mark.parametrize("killed_at", [1, 3, 4])
def test_a_killed_run_goes_on_where_it_was(story: FakeServers, tmp_path: Path, killed_at: int) -> None:
    async def hang(request: web.Request, body: dict[str, Any], number: int) -> web.StreamResponse | None:
        if number == killed_at:
            await asyncio.sleep(60)
        return await tell(request, body, number)

    story.on_ask = hang
    process = start(story, *OPTIONS, cwd=tmp_path)
    wait_until(lambda: len(story.asked) == killed_at)
    process.kill()
    process.communicate()
    planned = run(story, *OPTIONS, "--dry-run", cwd=tmp_path).stdout
    assert f"in all: {4 - (killed_at - 1)} requests" in planned
    assert run(story, *OPTIONS, cwd=tmp_path).returncode == 0
    assert kinds(story.asked)[killed_at:] == ["window", "window", "window", "merge"][killed_at - 1 :]
    check(results(tmp_path)["files"][0])


def test_windows_of_another_length_stand_alone(
    story: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for length_s, spans in ((2, [(0.0, 2.0), (2.0, 4.0)]), (3, [(0.0, 3.0), (3.0, 4.0)])):
        steps = {Kind.VIDEO: (Step(Prompt("What happens here?"), windows(length_s)),)}
        task = Task("moments", "moments", steps)
        monkeypatch.setattr("client.api.options.choose_tasks", lambda *_, task=task: [task])
        assert run(story, *OPTIONS, cwd=tmp_path).returncode == 0
        segments = results(tmp_path)["files"][0]["tasks"]["moments"]["segments"]
        assert [(part["start"], part["end"]) for part in segments] == spans


def test_a_long_video_is_decoded_no_faster_than_it_is_asked_about(
    story: FakeServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unit at a time: what lies in memory does not grow with the length of a video."""
    steps = {Kind.VIDEO: (Step(Prompt("What happens here?"), windows(0.1)),)}
    monkeypatch.setattr("client.api.options.choose_tasks", lambda *_: [Task("moments", "moments", steps)])
    loaded, ahead = list[Content](), list[int]()
    parts = ModelClient.parts

    def counted(client: ModelClient, content: Content) -> bytes:
        loaded.append(content)
        return parts(client, content)

    async def slowly(*_: Any) -> None:
        if len(story.asked) in (1, 20):
            await asyncio.sleep(1)
        ahead.append(len(loaded) - len(story.asked))

    monkeypatch.setattr(ModelClient, "parts", counted)
    story.on_ask = slowly
    assert run(story, *OPTIONS, cwd=tmp_path).returncode == 0
    assert len(loaded) == len(story.asked) == 40
    assert max(ahead) <= 3  # one waits, one finds no room, one is ready
    assert max(len(content.frames) for content in loaded) <= 3
    segments = results(tmp_path)["files"][0]["tasks"]["moments"]["segments"]
    assert [segment["start"] for segment in segments] == [round(number / 10, 3) for number in range(40)]


def test_a_merge_of_the_same_answers_is_not_asked_again(story: FakeServers, tmp_path: Path) -> None:
    assert run(story, *OPTIONS, cwd=tmp_path).returncode == 0
    with sqlite3.connect(tmp_path / "captions" / "ledger.db") as connection:
        connection.execute("UPDATE answers SET state = 'pending' WHERE unit LIKE '%@0-%'")
    connection.close()
    assert run(story, *OPTIONS, cwd=tmp_path).returncode == 0
    assert kinds(story.asked[4:]) == ["window"]
    check(results(tmp_path)["files"][0])


def test_a_window_that_fails_leaves_the_others_and_no_merge(story: FakeServers, tmp_path: Path) -> None:
    async def refuse(request: web.Request, body: dict[str, Any], number: int) -> web.StreamResponse | None:
        return error(400, "too strange") if number == 2 else await tell(request, body, number)

    story.on_ask = refuse
    assert run(story, *OPTIONS, cwd=tmp_path).returncode == 1
    (record,) = results(tmp_path)["files"]
    assert record["error"] == "story 1.5-3.0 s: HTTP 400: too strange"
    assert [part["start"] for part in record["tasks"]["story"]["segments"]] == [0.0, 3.0]
    assert "text" not in record["tasks"]["story"]
    assert kinds(story.asked) == ["window"] * 3
    # What failed is tried again when told to, and then there is a merge.
    story.on_ask = tell
    assert run(story, *OPTIONS, "--redo", "failed", cwd=tmp_path).returncode == 0
    assert kinds(story.asked[3:]) == ["window", "merge"]
    check(results(tmp_path)["files"][0])


def test_a_video_that_was_never_probed_is_told_by_a_dry_run(story: FakeServers, tmp_path: Path) -> None:
    planned = run(story, *OPTIONS, "--dry-run", cwd=tmp_path).stdout
    assert "1 videos have yet to be looked at" in planned
    assert "0 are done already" in planned


def test_a_broken_video_is_told_once(story: FakeServers, tmp_path: Path) -> None:
    (tmp_path / "ads" / "b.mp4").write_bytes((tmp_path / "ads" / "a.mp4").read_bytes()[:2000])
    for _ in range(2):
        assert run(story, *OPTIONS, cwd=tmp_path).returncode == 1
        good, bad = results(tmp_path)["files"]
        check(good)
        assert "cannot be opened as a video" in bad["error"]
    assert len(story.asked) == 4


# -- units and plans -------------------------------------------------------------------------------------------


def plan() -> Plan:
    return make_plan([two_steps.TASK], {Kind.IMAGE: "looks", Kind.VIDEO: "watches"}, 0, Sampling(), ())


@pytest.mark.parametrize(
    ("over", "duration", "spans"),
    [
        (windows(2), 5, [(0, 2), (2, 4), (4, 5)]),
        (windows(2), 4, [(0, 2), (2, 4)]),
        (windows(2, 1), 3.5, [(0, 2), (1, 3), (2, 3.5)]),
        (windows(10), 3, [(0, 3)]),
    ],
)
def test_windows_cover_a_video_once(over: Over, duration: float, spans: list[tuple[float, float]]) -> None:
    units = over.units("ab", Probe(int(duration * SECOND)))
    assert [unit.span for unit in units] == [Span(int(start * SECOND), int(end * SECOND)) for start, end in spans]
    assert {unit.kind for unit in units} == {UnitKind.WINDOW}
    assert units[0].id == f"ab@0-{int(spans[0][1] * SECOND)}"


def test_what_has_no_time_is_asked_about_as_a_whole() -> None:
    assert windows(2).units("ab", Probe(0)) == [whole("ab")]
    assert windows(2).units("ab", None) == [whole("ab")]
    assert Over(OverKind.MERGE).units("ab", Probe(SECOND)) == []


def test_a_merge_is_another_unit_when_an_answer_changes() -> None:
    parts = [window("ab", Span(0, 5)), window("ab", Span(5, 9))]
    first = merged("ab", zip(parts, ("one", "two"), strict=True))
    assert first.inputs == ("ab@0-5", "ab@5-9")
    assert first == merged("ab", zip(parts, ("one", "two"), strict=True))
    assert first.id != merged("ab", zip(parts, ("one", "three"), strict=True)).id


def test_plans_with_steps_survive_the_ledger_and_pickling() -> None:
    made = plan()
    assert Plan.from_json(made.to_json()) == made
    asks = expand(made.requests[Kind.VIDEO], "ab", Probe(4 * SECOND))
    assert pickle.loads(pickle.dumps(asks)) == asks
    (merge,) = merges_of(made.requests[Kind.VIDEO], asks)
    assert merge.inputs == asks
    assert merge.follow({}) == ([], None)


# -- frames and their times ------------------------------------------------------------------------------------


def test_frames_bear_their_times_from_the_first_one_on(tmp_path: Path) -> None:
    late = write_video(tmp_path / "a.ts", 60, container_format="mpegts")  # whose clock begins at 1.4 s
    whole_file, part = load_spans(late, identify(late), Sampling(3), [None, Span(SECOND, 2 * SECOND)])
    assert [frame.pts_us for frame in whole_file.frames] == [0, 1_160_000, 2_360_000]
    assert [frame.pts_us for frame in part.frames] == [1_000_000, 1_480_000, 1_960_000]
    assert part.facts == whole_file.facts
    (found,) = probe(late, identify(late))
    assert found == Probe(2_400_000)
    assert isinstance(part.frames[0], Frame)


def test_a_window_between_two_frames_shows_what_is_on_screen() -> None:
    timeline = Timeline([100, 200, 900], 1000, Fraction(1, 100))
    assert timeline.within(Span(0, SECOND)) == (Timeline([100], 200, Fraction(1, 100)), 0)
    assert timeline.within(Span(3 * SECOND, 4 * SECOND)) == (Timeline([200], 900, Fraction(1, 100)), 1)
    assert timeline.within(Span(8 * SECOND, 9 * SECOND)) == (Timeline([900], 1000, Fraction(1, 100)), 2)
    assert timeline.within(None) == (timeline, 0)


# -- many windows of files in which seeking is not exact --------------------------------------------------------

WINDOWS = [Span(number * SECOND // 2, number * SECOND // 2 + SECOND) for number in range(8)]  # each over half the next
IN_WINDOWS = [[0, 24], [13, 37], [25, 49], [38, 62], [50, 74], [63, 87], [75, 99], [88, 99]]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each time that a video is decoded as a whole: whether another decoder of it was open still."""
    overlaps, containers = [], set[int]()
    really_opened = video.opened

    @contextmanager
    def counted(path: Path, *, strict: bool = True, quick: bool = False) -> Iterator[Any]:
        if not quick:
            overlaps.append(bool(containers))
        with really_opened(path, strict=strict, quick=quick) as found:
            containers.add(id(found))
            yield found
        containers.remove(id(found))

    monkeypatch.setattr(video, "opened", counted)
    return overlaps


def numbers(path: Path, spans: list[Span]) -> list[list[int]]:
    return [[number_of(jpeg) for jpeg in part.jpegs] for part in load_spans(path, identify(path), Sampling(2), spans)]


def test_a_video_without_exact_seeking_is_decoded_once_for_all_windows(
    tmp_path: Path, opened: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.webm", 100, codec="libvpx")
    assert numbers(path, WINDOWS) == IN_WINDOWS
    assert opened == [False]
    # What lies in memory is bounded: two windows at once.
    monkeypatch.setattr(video, "_FRAMES_AT_ONCE", 4)
    opened.clear()
    assert numbers(path, WINDOWS) == IN_WINDOWS
    assert opened == [False] * 4


def test_windows_after_one_that_seeking_does_not_give_are_taken_together(
    tmp_path: Path, opened: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", 100, options={"g": "12"})
    frames, sought = IndexedDecoder.frames, list[list[int]]()

    def fail_third(decoder: IndexedDecoder, wanted: Iterable[int]) -> Iterator[av.VideoFrame]:
        sought.append(list(wanted))
        if len(sought) == 3:
            raise InexactError
        return frames(decoder, sought[-1])

    monkeypatch.setattr(IndexedDecoder, "frames", fail_third)
    assert numbers(path, WINDOWS) == IN_WINDOWS
    assert (len(sought), opened) == (3, [False])


def test_windows_of_a_damaged_video(tmp_path: Path, opened: list[bool]) -> None:
    """Sound ones as they are, those with damage by what is left of them, with a warning."""
    path = write_video(tmp_path / "a.mp4", 100, options={"g": "12", "bf": "0"})
    whole = path.read_bytes()
    with av.open(str(path)) as container:
        (broken,) = [packet for number, packet in enumerate(container.demux(video=0)) if number == 50]
        place, size = broken.pos, broken.size
    path.write_bytes(whole[: place + 4] + b"\xff" * (size - 4) + whole[place + size :])
    parts = list(load_spans(path, identify(path), Sampling(2), WINDOWS))
    shown = [[number_of(jpeg) for jpeg in part.jpegs] for part in parts]
    assert (shown[:4], shown[5:]) == (IN_WINDOWS[:4], IN_WINDOWS[5:])
    assert shown[4][1] == IN_WINDOWS[4][1]
    assert [bool(part.warnings) for part in parts] == [False] * 4 + [True] * 4
    assert len({part.facts for part in parts}) == 1
    assert opened == [False]
