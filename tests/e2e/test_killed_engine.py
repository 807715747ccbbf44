"""`kill -9` of vLLM in the middle of a batch: the supervisor restarts it, the batch waits and ends complete."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import openai
import psutil

from scripts.demo.stack import ROOT, Stack, read_results
from scripts.demo.world.score import score

if TYPE_CHECKING:
    from pathlib import Path


MODEL = "llava-next-video-7b"
RESTART_S = 300
"""Seconds that a restart may take on a busy machine."""


def finished_rows(output: Path) -> int:
    """How many answers the ledger holds so far."""
    ledger = output / "ledger.db"
    if not ledger.exists():
        return 0
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as database:
        try:
            return int(database.execute("SELECT count(*) FROM answers WHERE state = 'done'").fetchone()[0])
        except sqlite3.OperationalError:
            return 0  # not made yet


def test_the_batch_waits_for_the_engine_and_ends_complete(
    stack: Stack, sample_ads: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, truth = sample_ads
    where = ["--base-url", stack.endpoint, "--translator", stack.translator, "--output", str(tmp_path)]
    command = [
        sys.executable,
        "-m",
        "client.batch",
        str(folder),
        "--no-hear",
        "--concurrency",
        "1",
        "--tasks",
        "describe,tags",
    ]
    engine = find_engine(stack)
    with subprocess.Popen([*command, *where], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as batch:
        until = time.monotonic() + RESTART_S
        while finished_rows(tmp_path) < 3:
            assert batch.poll() is None, batch.communicate()[0]
            assert time.monotonic() < until
            time.sleep(0.02)
        engine.send_signal(signal.SIGKILL)
        done_before = finished_rows(tmp_path)
        others_are_refused_until_it_is_back(stack)
        said, _ = batch.communicate(timeout=RESTART_S)
    assert done_before < 2 * len(truth), "the batch was over before the engine was killed"
    assert batch.returncode == 0, said.decode()
    assert b"waiting" in said.lower()
    result = score(read_results(tmp_path), truth)
    assert not result.failed
    assert sum(share.total for share in result.captions.values()) == 2 * len(truth)
    assert result.caption_share >= 0.95
    assert not engine.is_running()
    assert find_engine(stack).pid != engine.pid


def find_engine(stack: Stack) -> psutil.Process:
    """The API server of the video model's vLLM."""
    children = psutil.Process(stack.pid).children(recursive=True)
    return next(p for p in children if {"server.engines.vllm_entry", MODEL} <= {*" ".join(p.cmdline()).split()})


def others_are_refused_until_it_is_back(stack: Stack) -> None:
    """What another client is told meanwhile: 503, and when to come again."""
    refused, until = 0, time.monotonic() + RESTART_S
    with openai.OpenAI(base_url=stack.endpoint, api_key="none", max_retries=0) as client:
        while True:
            try:
                client.completions.create(model=MODEL, prompt="a video", max_tokens=1)
            except openai.InternalServerError as error:
                assert error.status_code == 503  # noqa: PT017
                assert error.response.headers["Retry-After"]  # noqa: PT017
                refused += 1
            else:
                if refused:
                    return
            assert time.monotonic() < until, "it did not come back"
            time.sleep(0.2)
