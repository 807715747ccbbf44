"""Tasks over time as prompt files: windows, what is merged of them, and that in levels; from files to records."""

from __future__ import annotations

import asyncio
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from batch_runs import command, pictures, results, run, run_process, seen_in, wait_until
from fake_servers import completion
from media_files import write_video

from client.errors import UsageError
from client.media.content import Probe, Span
from client.media.kinds import Kind
from client.media.sampling import Sampling
from client.tasks.merge import Merge
from client.tasks.plan import UnitRequest, expand, make_plan
from client.tasks.steps import OverKind, windows
from client.tasks.tasks import choose_tasks
from client.tasks.units import UnitKind, window

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web
    from fake_servers import FakeServers

MODELS = {Kind.IMAGE: "looks", Kind.VIDEO: "watches"}
SECOND = 1_000_000
OPTIONS = ("ads", "--frames", "2", "--languages", "fra_Latn", "--concurrency", "1", "--format", "json,vtt")
STORY = (*OPTIONS, "--prompts", "own", "--tasks", "story", "--window", "0.5", "--merge-characters", "90")
"""Eight windows of half a second; a line of an answer has 26 characters: three go into a prompt."""


def notes(body: dict[str, Any]) -> list[str]:
    return [line for line in body["messages"][0]["content"][-1]["text"].split("\n") if line.startswith("[")]


async def tell(_: web.Request, body: dict[str, Any], __: int) -> web.StreamResponse | None:
    """A merge, which has no media, is answered with the number of its notes and when they begin."""
    if len(body["messages"][0]["content"]) > 1:
        return None
    return completion(f"{len(notes(body))} from {notes(body)[0][1:].split('-')[0]}")


@pytest.fixture
def ads(servers: FakeServers, tmp_path: Path) -> FakeServers:
    """A video of four seconds, and a task of the user's own over time."""
    (tmp_path / "ads").mkdir()
    write_video(tmp_path / "ads" / "a.mp4", 100)
    (tmp_path / "own" / "story").mkdir(parents=True)
    (tmp_path / "own" / "story" / "window.md").write_text("What is there from {start} to {end}?")
    (tmp_path / "own" / "story" / "merge.md").write_text("---\nmax_tokens: 99\n---\nTell it:\n{answers}\nas one.")
    servers.on_ask = tell
    return servers


def kinds(asked: list[dict[str, Any]]) -> list[str]:
    return ["merge" if len(body["messages"][0]["content"]) == 1 else "window" for body in asked]


def prompts(asked: list[dict[str, Any]]) -> list[str]:
    return [body["messages"][0]["content"][-1]["text"] for body in asked]


def test_a_shipped_task_goes_through_a_video(ads: FakeServers, tmp_path: Path) -> None:
    done = run(ads, *OPTIONS, "--tasks", "captions,summary", "--window", "2", "--text-model", "writes", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [body["model"] for body in ads.asked] == ["llava-next-video-7b"] * 4 + ["writes"]
    assert seen_in(ads.asked[:4]) == ["0 49", "0 49", "50 99", "50 99"]
    assert all("from 0 s to 2 s" in prompt for prompt in prompts(ads.asked)[:2])
    assert all("from 2 s to 4 s" in prompt for prompt in prompts(ads.asked)[2:4])
    assert notes(ads.asked[4]) == ["[0.0-2.0 s] I see 0 49", "[2.0-4.0 s] I see 50 99"]
    tasks = results(tmp_path)["files"][0]["tasks"]
    assert [(part["start"], part["end"], part["text"]) for part in tasks["captions"]["segments"]] == [
        (0.0, 2.0, "I see 0 49"),
        (2.0, 4.0, "I see 50 99"),
    ]
    assert "text" not in tasks["captions"]
    assert tasks["summary"]["text"] == "2 from 0.0"
    assert tasks["summary"]["model"] == "writes"
    subtitles = tmp_path / "captions" / "subtitles" / "ads"
    assert sorted(path.name for path in subtitles.iterdir()) == [
        f"a.mp4.{task}.{language}.vtt" for task in ("captions", "summary") for language in ("eng_Latn", "fra_Latn")
    ]
    assert "00:00:02.000 --> 00:00:04.000\nfra_Latn: I see 50 99" in (
        subtitles / "a.mp4.captions.fra_Latn.vtt"
    ).read_text(encoding="utf-8")


def test_many_answers_are_merged_in_levels(ads: FakeServers, tmp_path: Path) -> None:
    done = run(ads, *STORY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert kinds(ads.asked) == ["window"] * 8 + ["merge"] * 4
    assert [len(notes(body)) for body in ads.asked[8:]] == [3, 3, 2, 3]
    assert notes(ads.asked[11]) == ["[0.0-1.5 s] 3 from 0.0", "[1.5-3.0 s] 3 from 1.5", "[3.0-4.0 s] 2 from 3.0"]
    assert all(body["max_tokens"] == 99 for body in ads.asked[8:])
    told = results(tmp_path)["files"][0]["tasks"]["story"]
    assert (told["text"], len(told["segments"])) == ("3 from 0.0", 8)
    assert told["request_time_sec"] >= 0
    # What was merged of some is no answer: it is neither translated nor shown.
    assert list(told["translations"].values()) == ["fra_Latn: 3 from 0.0"]
    assert "from 1.5" not in str(ads.translated)
    assert "1 are done already" in run(ads, *STORY, "--dry-run", cwd=tmp_path).stdout
    assert run(ads, *STORY, cwd=tmp_path).returncode == 0
    assert len(ads.asked) == 12


def test_the_merges_of_a_level_are_asked_together(ads: FakeServers, tmp_path: Path) -> None:
    together: list[int] = []

    async def wait(request: web.Request, body: dict[str, Any], number: int) -> web.StreamResponse | None:
        if kinds([body]) == ["merge"]:
            for _ in range(100):
                if ads.in_flight == 2 or number == 12:
                    break
                await asyncio.sleep(0.05)
            together.append(ads.in_flight)
        return await tell(request, body, number)

    ads.on_ask = wait
    assert run(ads, *STORY, "--concurrency", "2", cwd=tmp_path).returncode == 0
    assert (together[0], together[-1], ads.most_in_flight, len(ads.asked)) == (2, 1, 2, 12)


def test_what_is_merged_of_the_windows_that_the_last_run_asks_for_stands(ads: FakeServers, tmp_path: Path) -> None:
    parts = []
    for length in ("0.5", "2", "0.5"):
        assert run(ads, *STORY, "--window", length, "--languages", "", cwd=tmp_path).returncode == 0
        parts.append(len(results(tmp_path)["files"][0]["tasks"]["story"]["segments"]))
    assert (parts, len(ads.asked)) == ([8, 2, 8], 12 + 3)


@pytest.mark.parametrize("killed_at", [3, 9, 11, 12])
def test_a_killed_run_goes_on_at_the_level_where_it_was(ads: FakeServers, tmp_path: Path, killed_at: int) -> None:
    async def hang(request: web.Request, body: dict[str, Any], number: int) -> web.StreamResponse | None:
        if number == killed_at:
            await asyncio.sleep(60)
        return await tell(request, body, number)

    ads.on_ask = hang
    line, environment = command(ads, *STORY)
    process = subprocess.Popen(line, env=environment, cwd=tmp_path, stderr=subprocess.PIPE)
    wait_until(lambda: len(ads.asked) == killed_at)
    process.kill()
    process.communicate()
    subprocess.run([*line[:2], "client.export", "captions"], check=True, cwd=tmp_path, env=environment)
    record = results(tmp_path)["files"][0]
    assert record["error"] is not None
    assert "text" not in record["tasks"].get("story", {})
    ads.on_ask = tell
    assert run(ads, *STORY, cwd=tmp_path).returncode == 0
    assert len(ads.asked) == 13
    assert results(tmp_path)["files"][0]["tasks"]["story"]["text"] == "3 from 0.0"


def test_an_answer_that_changes_is_merged_anew_with_its_neighbours_alone(ads: FakeServers, tmp_path: Path) -> None:
    assert run(ads, *STORY, cwd=tmp_path).returncode == 0
    first = [ads.asked.index(body) for body in ads.asked if "from 2 s to 2.5 s" in prompts([body])[0]]
    assert first == [4]

    async def otherwise(request: web.Request, body: dict[str, Any], number: int) -> web.StreamResponse | None:
        return completion("I see more") if "from 2 s to" in prompts([body])[0] else await tell(request, body, number)

    ads.on_ask = otherwise
    assert run(ads, *STORY, "--redo", "all", cwd=tmp_path).returncode == 0
    assert kinds(ads.asked[12:]) == ["window"] * 8 + ["merge"] * 4
    assert "I see more" in notes(ads.asked[21])[1]


# -- merging ----------------------------------------------------------------------------------------------------


def merge_of(texts: list[str], most: int) -> tuple[Merge, dict[tuple[str, ...], str]]:
    tasks = choose_tasks(["summary"], [], None, windows(1))
    plan = make_plan(tasks, MODELS, 0, Sampling(), (), merge_characters=most)
    about, over = plan.requests[Kind.VIDEO]
    asks = [UnitRequest(window("ab", Span(at * SECOND, (at + 1) * SECOND)), about) for at in range(len(texts))]
    return Merge(over, asks), {ask.key: text for ask, text in zip(asks, texts, strict=True)}


@pytest.mark.parametrize("count", [1, 2, 3, 17, 1000])
@pytest.mark.parametrize("length", [5, 60, 5000])
def test_every_merge_comes_to_its_end_and_no_prompt_is_too_long(count: int, length: int) -> None:
    level: Merge | None
    level, texts = merge_of(["x" * length] * count, 200)
    plain = len(level.request.prompt)
    levels = 0
    while level:
        asks, level = level.follow(texts)
        assert asks
        assert all(len(ask.request.prompt) <= plain + 200 for ask in asks)
        assert {ask.unit.kind for ask in asks} == {UnitKind.DIGEST if level else UnitKind.MERGE}
        assert [ask.unit.span for ask in asks] == sorted(ask.unit.span or () for ask in asks) or not level
        texts |= {ask.key: "y" * length for ask in asks}
        levels += 1
    assert len(asks) == 1
    assert levels <= 11


def test_nothing_is_merged_before_all_is_there() -> None:
    merge, texts = merge_of(["a", "b"], 100)
    assert merge.follow(dict(list(texts.items())[:1])) == ([], None)


# -- prompt files ------------------------------------------------------------------------------------------------


def task(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / "mine" / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"video": "A", "window": "B"}, "window.md: a video is asked about as a whole"),
        ({"merge": "{answers}"}, "merge.md: there is no window.md beside it"),
        ({"talk": "{transcript}"}, "talk.md: there is no window.md with hears: true beside it"),
        ({"window": "A", "talk": "{transcript}"}, "talk.md: there is no window.md with hears: true beside it"),
        ({"window": "---\nhears: true\n---\nA", "talk": "B"}, "talk.md: {transcript} is missing"),
        ({"video": "A", "merge": "{answers}"}, "merge.md: there is no window.md beside it"),
        ({"window": "A", "merge": "B"}, "merge.md: {answers} is missing"),
        ({"window": "{answers}"}, "nothing is known to fill in for {answers}, only for {question} and {start}"),
        ({"image": "{start}"}, "nothing is known to fill in for {start}"),
        ({"image": "---\nover: windows\n---\nA"}, "image.md: over: windows is for prompts about videos"),
        ({"video": "---\nover: scenes\n---\nA"}, "line 2: over must be one of whole, windows, audio, not 'scenes'"),
        ({"image": "---\nframes: 3\n---\nA"}, "image.md: frames: 3 is for prompts that are shown videos"),
        ({"video": "---\nframes: none\n---\nA"}, "line 2: frames must be a whole number above 0, not 'none'"),
        ({"video": "---\ntemperature: warm\n---\nA"}, "line 2: temperature must be a number, 0 or above"),
        ({"image": "A", "frames": "A"}, "a prompt is named image.md or video.md or audio.md or window.md or talk.md"),
    ],
)
def test_prompt_files_that_do_not_go_together(tmp_path: Path, files: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        choose_tasks(["mine"], [], task(tmp_path, **files))
    assert said in str(raised.value)


def test_a_prompt_about_videos_may_say_that_it_goes_through_windows(tmp_path: Path) -> None:
    folder = task(tmp_path, video="---\nover: windows\ntemperature: 0.5\n---\nA {start}", merge="{answers}")
    (mine,) = choose_tasks(["mine"], [], folder, windows(3))
    first, second = mine.steps[Kind.VIDEO]
    assert (first.over, second.over.kind, mine.over_time) == (windows(3), OverKind.MERGE, True)
    (about, _) = make_plan([mine], MODELS, 0, Sampling(), ()).requests[Kind.VIDEO]
    assert about.temperature == 0.5
    assert [ask.request.prompt for ask in expand([about], "ab", Probe(4 * SECOND + 500_000))] == ["A 0 s", "A 3 s"]
    # Of a video that tells no times there is one window.
    assert [ask.request.prompt for ask in expand([about], "ab", Probe(0))] == ["A 0 s"]


def test_own_prompts_about_windows_take_the_place_of_one_about_the_whole(tmp_path: Path) -> None:
    (tmp_path / "describe").mkdir()
    (tmp_path / "describe" / "window.md").write_text("A")
    (describe,) = choose_tasks(["describe"], [], tmp_path)
    assert [step.prompt.text for step in describe.steps[Kind.VIDEO]] == ["A"]
    assert Kind.IMAGE in describe.steps


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--window", "5"), "windows are for tasks over time, such as captions; describe is about whole"),
        (
            ("--tasks", "captions", "--window", "5", "--stride", "6"),
            "--stride 6 leaves out what is between windows of 5",
        ),
        (("--tasks", "captions", "--stride", "11"), "--stride 11 leaves out what is between windows of 10"),
        (("--tasks", "captions", "--window", "0"), "--window"),
        (("--tasks", "captions", "--window", "1e-9"), "--window must be 0.1 or more seconds, not 1e-09"),
        (("--tasks", "captions", "--stride", "0.01"), "--stride must be 0.1 or more seconds, not 0.01"),
    ],
)
def test_a_wrong_window_fails_before_work_starts(
    ads: FakeServers, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    done = run(ads, "ads", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert not ads.asked


def test_videos_between_two_windows_and_pictures_do_not_wait_for_each_other(
    servers: FakeServers, tmp_path: Path
) -> None:
    """A video keeps its process and gives its thread away; a picture has a thread and waits for a process."""
    for number in range(3):
        write_video(pictures(tmp_path / "ads", 40) / f"0-{number}.mp4", 100 + number)
    tasks = ("--tasks", "describe,captions", "--window", "0.5", "--frames", "2", "--languages", "")
    done = run_process(servers, "ads", *tasks, "--loaders", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(results(tmp_path)["files"]) == 43
