"""The benchmark of the pipeline on the running demo stack, and the translator whose lengths are fixed."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import Tokenizer

import scripts.benchmarks.pipeline.__main__ as bench_pipeline
from client.media.kinds import SEEN, Kind
from scripts.benchmarks.models.random_nllb import SHAPES, write
from scripts.benchmarks.pipeline.stack import Mid
from scripts.demo.sample_ads import write_ads
from scripts.demo.stack import ROOT
from server.profile import load_profile

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.demo.stack import Stack

RATES = "{}, beside the speed of light"


def test_a_users_stack_and_files(stack: Stack, tmp_path: Path) -> None:
    write_ads(tmp_path / "ads", seed=31, videos=4, pictures=4)
    out = tmp_path / "out.json"
    arguments = ["--base-url", stack.endpoint, "--translator", stack.translator, "--files", str(tmp_path / "ads")]
    bench_pipeline.main([*arguments, "--runs", "1", "--languages", "fra_Latn", "--json", str(out)])
    said: dict[str, Any] = json.loads(out.read_text())
    figures = {figure["name"]: figure for figure in said["figures"]}
    for what in ("videos", "pictures"):
        assert figures[RATES.format(what)]["value"] > 0
        assert figures[RATES.format(what)]["baseline"] > 0
        assert figures[f"{what}, generated, beside the speed of light"]["baseline"] > 0
        assert figures[f"{what}, CPU of the client"]["value"] > 0
    assert not any("published way" in name for name in figures)


@pytest.fixture
def translator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Base URL of the fixed-length translator on a tiny model with random weights."""
    write(tmp_path / "tiny", SHAPES["tiny"], endless=True)
    monkeypatch.setenv("BABELVIEW_CACHE", str(tmp_path / "cache"))
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    script = ("-m", "scripts.benchmarks.translator.fixed_length")
    command = [sys.executable, *script, "--model", str(tmp_path / "tiny"), "--port", str(port), "--beam-size", "1"]
    process = subprocess.Popen(command, cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait()


def test_translations_are_as_long_as_their_source_and_never_tried_again(translator: str, tmp_path: Path) -> None:
    text = "It opens with red and blue on the left."
    body = json.dumps({"texts": [text], "source": "eng_Latn", "targets": ["fra_Latn", "hin_Deva"]}).encode()
    request = urllib.request.Request(f"{translator}/v1/translations", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        (row,) = json.load(response)["translations"]
    with urllib.request.urlopen(f"{translator}/metrics") as response:
        metrics = response.read().decode()
    tokenizer = Tokenizer.from_file(str(tmp_path / "tiny" / "tokenizer.json"))
    assert set(row) == {"fra_Latn", "hin_Deva"}
    for translated in row.values():
        (sentence,) = translated["sentences"]
        assert sentence["verdict"] == "ok"
        assert translated["text"].strip()
        assert len(tokenizer.encode(translated["text"], add_special_tokens=False).ids) <= len(
            tokenizer.encode(text, add_special_tokens=False).ids
        )
    assert "babelview_translator_batch_sentences_sum 2.0" in metrics  # both languages, once: none was tried again


def test_the_mid_sized_profile_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.benchmarks.pipeline.stack.ensure", lambda folder, name: folder / name)
    for kind in SEEN:
        text = Mid(tmp_path, kind, tokens=8, concurrency=7, replicas=3).profile
        (tmp_path / "mid.toml").write_text(f'{text}\n[translator]\nurl = "http://127.0.0.1:1"\n')
        profile = load_profile(str(tmp_path / "mid.toml"))
        (engine,) = profile.engines
        assert (engine.max_requests, engine.replicas, engine.threads) == (7, 3, 1)
        assert engine.fast_start
        assert (engine.max_frames > 0) is (kind is Kind.VIDEO)
