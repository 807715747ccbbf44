"""What `benchmarks.scale` measures with, and what it makes of it; real files, the real client, small sizes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx2 as httpx
import numpy as np
import pytest
from media_files import whole_video
from tokenizers import Tokenizer

from client.media.load import identify
from client.media.sampling import Sampling
from client.tasks.prompt import read_prompt
from scripts.benchmarks.common.report import Report
from scripts.benchmarks.scale.__main__ import Bench, Effort, sweeps
from scripts.benchmarks.scale.inputs import (
    LANGUAGES,
    VIDEO_RATE,
    copies,
    numbered_endpoint,
    write_length,
    write_tasks,
    write_translator,
)
from scripts.benchmarks.scale.runs import Run, Sweep, add

if TYPE_CHECKING:
    from pathlib import Path

TINY = Effort(
    rounds=1,
    files=(2, 5),
    lengths_s=(1, 20),
    copies=2,
    languages=(1, 3),
    pictures=3,
    tasks=(1, 2),
    ad_videos=1,
    ad_pictures=1,
)


@pytest.mark.parametrize("length_s", [1, 10, 70])
def test_a_video_is_as_long_as_it_should_be(tmp_path: Path, length_s: int) -> None:
    video = whole_video(write_length(tmp_path / "video.mp4", length_s, tmp_path / "piece.mp4"), Sampling(8))
    assert video.facts.duration_sec == length_s
    assert video.facts.frames == length_s * VIDEO_RATE
    assert len(set(video.jpegs)) == 8 if length_s <= 10 else len(video.jpegs) == 8
    assert not video.warnings


def test_a_length_that_cannot_be_repeated_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no multiple of 10 s"):
        write_length(tmp_path / "video.mp4", 15, tmp_path / "piece.mp4")


def test_copies_are_other_files_that_look_the_same(tmp_path: Path) -> None:
    source = write_length(tmp_path / "video.mp4", 1, tmp_path / "piece.mp4")
    files = sorted(copies(source, tmp_path / "copies", 3).iterdir())
    assert len({identify(file).sha256 for file in files}) == 3
    assert len({tuple(whole_video(file, Sampling(4)).jpegs) for file in files}) == 1


def test_each_task_asks_something_else_and_bounds_its_answer(tmp_path: Path) -> None:
    names = write_tasks(tmp_path, 3, tokens=24)
    prompts = [read_prompt(tmp_path / name / "video.md") for name in names]
    assert len({prompt.text for prompt in prompts}) == len(names) == 3
    assert {prompt.max_tokens for prompt in prompts} == {24}


def test_the_translator_has_every_language_once(tmp_path: Path) -> None:
    folder = write_translator(tmp_path / "nllb")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    numbers = [tokenizer.token_to_id(language) for language in LANGUAGES]
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    assert len(set(numbers)) == len(LANGUAGES) == 20
    assert all(number is not None and number < size for number in numbers)


def test_no_two_answers_are_the_same() -> None:
    with numbered_endpoint() as url:
        answers = [httpx.post(f"{url}/chat/completions", json={}).json() for _ in range(5)]
        models = httpx.get(f"{url}/models").json()["data"]
    texts = {answer["choices"][0]["message"]["content"] for answer in answers}
    assert len(texts) == 5
    assert all(text.count(".") == 3 for text in texts)
    assert "llava-next-video-7b" in {model["id"] for model in models}


def test_costs_are_those_of_one_beyond_the_start() -> None:
    sweep = Sweep(starts=[Run(1.0, 0.5, 50.0), Run(1.2, 0.4, 50.0)])
    sweep.runs |= {10: [Run(3.0, 2.5, 60.0), Run(3.0, 2.4, 61.0)], 100: [Run(9.0, 8.5, 70.0), Run(30.0, 20.4, 71.0)]}
    assert sweep.cost(10, 10) == pytest.approx([200, 200])
    assert sweep.cost(100, 100) == pytest.approx([80, 200])
    report = Report("Scale")
    add(report, sweep, [(10, 10), (100, 100)], of="files", x_label="files", unit="a file")
    time, memory = report.figures
    assert (time.value, time.baseline, time.ratio, time.low, time.high) == (140, 200, 1.43, 1, 2.5)
    assert (memory.value, memory.baseline, memory.ratio) == (70.5, 60.5, 0.858)
    assert [series.y for series in report.series] == [pytest.approx([200, 140]), [60.5, 70.5]]
    assert [series.plot for series in report.series] == ["Time of a file: files", "Peak memory: files"]


def test_sweeps_are_chosen_by_name() -> None:
    assert sweeps("tasks,files") == ["tasks", "files"]
    with pytest.raises(Exception, match="'speed' is none of files, videos"):
        sweeps("files,speed")


@pytest.mark.parametrize(("name", "sizes", "lines"), [("files", (2, 5), 4), ("videos", (1, 20), 4)])
def test_a_sweep_of_the_real_client(tmp_path: Path, name: str, sizes: tuple[int, int], lines: int) -> None:
    report = Report("Scale")
    getattr(Bench(TINY, tmp_path, report), name)()
    assert f"at {sizes[1]} " in report.figures[0].name
    memory = next(figure for figure in report.figures if "memory" in figure.name)
    assert memory.value > 20  # of Python alone
    assert len(report.series) == lines
    assert all(series.x == list(map(float, sizes)) for series in report.series)
    assert np.isfinite([value for series in report.series for value in series.y]).all()


def test_a_sweep_of_languages_through_the_real_translator(tmp_path: Path) -> None:
    report = Report("Scale")
    Bench(TINY, tmp_path, report).languages()
    results = json.loads((tmp_path / "captions" / "results.json").read_text())
    [translated] = {tuple(record["tasks"]["describe"]["translations"]) for record in results["files"]}
    assert translated in {tuple(LANGUAGES[:1]), tuple(LANGUAGES[:3])}
    assert report.figures[0].name == "languages: time of a translation at 3 languages (baseline: 1)"
