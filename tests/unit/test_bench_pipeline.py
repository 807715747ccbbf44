"""What the benchmark of the pipeline compares: the same requests, the published way, right sums."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
import simplejpeg
import torch
from aiohttp import web

from client.media.kinds import Kind, by_suffix
from client.media.sampling import Sampling
from client.tasks.plan import make_plan
from client.tasks.tasks import choose_tasks
from scripts.benchmarks.baselines.reference import Reference, Timing, read_video
from scripts.benchmarks.baselines.upper_bound import Answers, fire, make_requests, marked, reworded
from scripts.benchmarks.common.files import draw_pictures, draw_videos
from scripts.benchmarks.common.report import Report
from scripts.benchmarks.models.mid_sized import DEMO_MODELS
from scripts.benchmarks.pipeline.__main__ import deal_out, main, read_arguments
from scripts.benchmarks.pipeline.systems import Rounds, Run, Systems, UpperBound, Where
from translator.model.models import DEMO_MODEL

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.benchmarks.baselines.upper_bound import Requests

NAMES = {Kind.VIDEO: "films", Kind.IMAGE: "stills"}


def test_a_text_is_reworded_with_the_same_words_in_the_same_sentences() -> None:
    text = "It opens with red everywhere. Then comes blue! Red.\n\nIs it the end? It is"
    other = reworded(text, random.Random(1))
    assert other != text
    assert sorted(other.split()) != text.split()
    before, after = (each.replace("\n", " ").split(". ") for each in (text, other))
    assert [sorted(part.split()) for part in before] == [sorted(part.split()) for part in after]
    assert reworded("Red. Blue.", random.Random(1)) == "Red. Blue."


def test_a_marked_picture_differs_in_its_middle_alone() -> None:
    pixels = np.full((120, 200, 3), 90, np.uint8)
    jpeg = simplejpeg.encode_jpeg(pixels, quality=90)
    first, second = (marked(jpeg, np.random.default_rng(seed)) for seed in (1, 2))
    assert first != second
    change = np.abs(simplejpeg.decode_jpeg(first).astype(int) - 90).max(axis=2)
    rows, columns = np.nonzero(change > 20)
    assert rows.size >= 100
    assert (rows.min(), rows.max()) >= (44, 60)
    assert 40 <= rows.min() <= rows.max() < 80
    assert 80 <= columns.min() <= columns.max() < 120


@pytest.mark.asyncio
async def test_the_bare_loop_sends_what_the_client_would(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    draw_pictures(folder, 2, seed=1)
    seen: list[tuple[str, dict[str, object]]] = []
    keys: set[tuple[str, str]] = set()

    async def answer(request: web.Request) -> web.Response:
        keys.add((request.path, request.headers["Authorization"]))
        seen.append((request.path, await request.json()))
        return web.json_response({"usage": {"completion_tokens": 7}} if "chat" in request.path else {})

    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    plan = make_plan(choose_tasks(["describe"], []), NAMES, 0.0, Sampling(), ("fra_Latn",))
    requests = make_requests(sorted(folder.iterdir()), ["It opens with red.", "Then comes blue."], plan, seed=3)
    answers = await asyncio.to_thread(fire, f"{url}/v1", url, requests, 2, ("ours", "its"))
    await runner.cleanup()
    chats = [body for path, body in seen if path == "/v1/chat/completions"]
    translations = [body for path, body in seen if path == "/v1/translations"]
    assert keys == {("/v1/chat/completions", "Bearer ours"), ("/v1/translations", "Bearer its")}
    assert answers.generated_tokens == 14
    assert 0 < answers.chat_s <= answers.total_s
    assert len(chats) == len(translations) == 2
    assert chats[0]["model"] == "stills"
    assert chats[0]["max_tokens"] == plan.requests[Kind.IMAGE][0].max_tokens
    assert {body["targets"][0] for body in translations} == {"fra_Latn"}  # type: ignore[index]
    media = [body["messages"][0]["content"][0]["image_url"]["url"] for body in chats]  # type: ignore[index]
    assert len(set(media)) == 2
    assert all(url.startswith("data:image/jpeg;base64,") for url in media)


def test_new_rounds_have_new_files(tmp_path: Path) -> None:
    drawn = [draw_pictures(make(tmp_path / str(seed)), 2, seed) for seed in (1, 2)]
    contents = {path.read_bytes() for paths in drawn for path in paths}
    assert len(contents) == 4


def test_the_reference_reads_every_frame_and_takes_eight(tmp_path: Path) -> None:
    (path,) = draw_videos(tmp_path, 1, seed=1)
    frames = read_video(path, 8)
    assert frames.shape == (8, 480, 854, 3)
    assert all(np.abs(frames[n].astype(int) - frames[n + 1]).max() > 20 for n in range(7))


@pytest.mark.parametrize(("kind", "name"), [(Kind.VIDEO, "llava-next-video-7b"), (Kind.IMAGE, "llama-3.2-11b-vision")])
def test_the_reference_describes_and_translates(kind: Kind, name: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    draw = draw_videos if kind is Kind.VIDEO else draw_pictures
    (path,) = draw(tmp_path, 1, seed=1)
    languages = ["fra_Latn", "hin_Deva"]
    reference = Reference(DEMO_MODELS / f"{name}-bf16", DEMO_MODEL, kind, tokens=12, languages=languages)
    timing = reference.describe(path)
    reference.write(tmp_path / "out.json")
    (record,) = json.loads((tmp_path / "out.json").read_text())
    assert record["text"]
    assert list(record["translations"]) == languages
    assert all(record["translations"].values())
    assert timing.generated_tokens == 12
    assert timing.translated_tokens > 2 * 4
    assert timing.total_s == timing.decode + timing.generate + timing.translate > 0


def test_the_reference_refuses_a_language_that_its_model_does_not_know() -> None:
    vision = DEMO_MODELS / "llava-next-video-7b-bf16"
    with pytest.raises(ValueError, match="--languages xxx_Zzzz: the translation model does not know them"):
        Reference(vision, DEMO_MODEL, Kind.VIDEO, tokens=12, languages=["fra_Latn", "xxx_Zzzz"])


def test_too_few_files_are_told_before_a_stack_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_pictures(tmp_path, 5, seed=1)
    with pytest.raises(SystemExit, match="not enough files to measure with"):
        main(["--profile", "demo", "--files", str(tmp_path), "--runs", "2"])
    assert "5 pictures; --runs 2 needs 6" in " ".join(capsys.readouterr().err.split())


def test_servers_that_are_away_are_told_before_files_are_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--base-url", "http://127.0.0.1:9/v1", "--languages", "", "--quick"]) == 1
    assert "http://127.0.0.1:9/v1" in capsys.readouterr().err


def test_figures_are_rates_and_their_ratios() -> None:
    records = [
        {"total_processing_time_sec": float(n), "tasks": {"describe": {"generated_tokens": 10, "text": "a"}}}
        for n in range(1, 11)
    ]
    rounds = Rounds(Kind.VIDEO)
    timings = [Timing(1.0, 2.0, 1.0, 10, 30), Timing(1.0, 4.0, 1.0, 10, 30)]
    rounds.add(Run(5.0, records, Counter({"the client": 2.0})), UpperBound(Answers(4.0, 100, 3.0)), timings)
    report = Report("rates")
    rounds.report_on(report)
    figures = {figure.name: figure for figure in report.figures}
    beside = figures["videos, beside the published way"]
    assert (beside.value, beside.baseline, beside.ratio) == (2.0, 0.2, 10.0)
    assert figures["videos, the published way: generate"].value == 3.0
    bound = figures["videos, beside the speed of light"]
    assert (bound.value, bound.baseline, bound.ratio) == (2.0, 2.5, 0.8)
    assert figures["videos, CPU of the client"].value == 0.2
    assert figures["videos, generated, beside the speed of light"].value == 20.0
    assert figures["videos, a file from loading to translations, p50"].value == 5.5
    assert figures["videos, a file from loading to translations, p95"].value == pytest.approx(9.55)


def test_files_of_the_user_are_dealt_out_once(tmp_path: Path) -> None:
    paths = draw_pictures(make(tmp_path / "own"), 9, seed=1)
    folders = deal_out(make(tmp_path / "work"), paths, Kind.IMAGE, runs=3)
    dealt = [path.resolve() for folder in folders for path in folder.iterdir()]
    assert sorted(dealt) == sorted(path.resolve() for path in paths)
    assert all(any(folder.iterdir()) for folder in folders)
    assert all(by_suffix(path.suffix) is Kind.IMAGE for folder in folders for path in folder.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--profile", "demo", "--base-url", "http://127.0.0.1:1/v1"],
        ["--base-url", "http://127.0.0.1:1/v1"],
        ["--files", "/nowhere", "--profile", "demo"],
        ["--files", "/"],
        ["--runs", "0"],
        ["--kind", "sound"],
    ],
)
def test_wrong_usage_fails_before_anything_starts(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_arguments(arguments)
    assert ended.value.code == 2
    assert "error" in capsys.readouterr().err


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_the_bare_loop_has_a_text_translated_for_each_file_also_after_a_warm_up_of_fewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Requests] = []

    def keep(_endpoint: str, _translator: str | None, requests: Requests, *_: object) -> Answers:
        sent.append(requests)
        return Answers(1, 1, 1)

    monkeypatch.setattr("scripts.benchmarks.pipeline.systems.fire", keep)
    (tmp_path / "files").mkdir()
    draw_pictures(tmp_path / "files", 3, seed=0)
    systems = Systems(Where("http://127.0.0.1:1", None), tmp_path, concurrency=2, languages=["fra_Latn"])
    systems.texts = ["Red is left. Blue is right.", "Green is left. Grey is right."]
    systems.upper_bound(tmp_path / "files", seed=1)
    texts = [json.loads(body)["texts"][0] for body in sent[0].translations]
    assert (len(sent[0].chats), len(texts), len(set(texts))) == (3, 3, 3)
