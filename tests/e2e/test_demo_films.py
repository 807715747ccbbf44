"""Films through the real stack: captions, chapters and summaries in four languages, and answers by schemas."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

from scripts.demo.sample_films import write_films
from scripts.demo.shared_windows import cost
from scripts.demo.stack import ROOT, Stack, read_results, run_batch
from scripts.demo.world.film_score import TASKS, score_films

if TYPE_CHECKING:
    from pathlib import Path

LANGUAGES = {"spa_Latn", "fra_Latn", "hin_Deva"}


def test_a_film_is_told_in_captions_chapters_and_a_summary(stack: Stack, tmp_path: Path) -> None:
    truth = write_films(tmp_path / "films", seed=21, count=1, length_s=90)
    tasks = ("--tasks", ",".join(TASKS), "--window", "10", "--format", "json,vtt,ffmetadata")
    assert run_batch(stack, tmp_path / "films", "--output", tmp_path / "out", *tasks, "--quiet") == 0
    [record] = read_results(tmp_path / "out")
    assert {answer["verdict"] for answer in record["tasks"].values()} == {"ok"}
    assert all(set(part["translations"]) == LANGUAGES for part in record["tasks"]["chapters"]["segments"])
    result = score_films([record], truth, 10)
    assert result.captions["chapters tile the film"].value == 1.0
    assert result.caption_share >= 0.9, [line for share in result.captions.values() for line in share.wrong]
    assert result.translation_share >= 0.99, [line for share in result.translations.values() for line in share.wrong]
    files = (path for path in (tmp_path / "out" / "subtitles").rglob("*") if path.is_file())
    written = {".".join(path.name.rsplit(".", 3)[1:]) for path in files}
    assert {"chapters.eng_Latn.ffmeta", "captions.hin_Deva.vtt"} <= written


def test_the_guide_makes_answers_valid(stack: Stack) -> None:
    command = [sys.executable, "-m", "scripts.demo.structured", "--answers", "12", "--base-url", stack.endpoint]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_further_task_looks_at_no_frame_again(stack: Stack) -> None:
    found = asyncio.run(cost(stack.endpoint, ("captions", "events"), seed=22, films=1, length_s=30.0))
    assert found.windows >= 3
    assert found.frames_given, found
