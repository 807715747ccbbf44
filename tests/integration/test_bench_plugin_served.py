"""bench_plugin's engine, on a toy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from scripts.benchmarks.plugin.__main__ import PICTURE
from scripts.benchmarks.plugin.engine import Engine, EngineError, Settings
from server.profile import DEMO_MODELS

if TYPE_CHECKING:
    from pathlib import Path

ARGUMENTS = {
    "enforce_eager": True,
    "gpu_memory_utilization": 0.05,
    "max_model_len": 256,
    "max_num_batched_tokens": 1024,
    "max_num_seqs": 4,
}


def test_an_engine_measures_decoding_and_the_encoder_cache() -> None:
    with Engine(Settings(str(DEMO_MODELS / "llama-3.2-11b-vision-bf16"), ARGUMENTS)) as engine:
        for picture in (PICTURE, None):
            done = engine.decode(4, 16, 12, picture)
            # The first token comes of the prompt; with pictures not all prompts may fit into one step.
            assert 8 <= len(done.steps_s) <= 11
            assert done.tokens_per_s > 0
            assert done.unit == "CPU-s"
        for together in (False, True):
            asked = engine.ask(3, 2, PICTURE, together=together)
            assert asked.tower_runs == 1
            assert asked.spent_s > 0
            assert asked.unit == "CPU-s"
        with pytest.raises(EngineError, match="no step in which all"):
            engine.decode(2, 16, 1, None)
        with pytest.raises(EngineError, match="max_tokens"):
            engine.decode(1, 16, -1, None)
        children = psutil.Process().children(recursive=True)
    assert not [child for child in children if child.is_running() and "spawn_main" in str(child.cmdline())]


def test_an_engine_that_cannot_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm" / "__init__.py").write_text(
        "raise ValueError('no such model')"
    )  # at once, where vLLM takes long
    monkeypatch.syspath_prepend(tmp_path)
    with Engine(Settings("/nowhere")) as engine, pytest.raises(EngineError, match="did not start"):
        engine.decode(1, 16, 2, None)
