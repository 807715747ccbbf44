"""The plugin and vLLM's LLaVA-NeXT-Video in real engines, compared with transformers on the same random weights.

The engines and most comparisons are those of `babelview selftest`, with more requests; the rest is of this test alone.
And what else needs vLLM in a fresh process: its registration there, the engine of its benchmark.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import torch
from PIL import Image

from scripts.benchmarks.plugin.engine import Engine, EngineError, Settings
from server.profile import DEMO_MODELS
from server.selftest import models as selftest_models
from server.selftest.cases import ASPECT_RATIOS, Pictures, picture_cases, text
from server.selftest.engines import Job, Request
from server.selftest.llama_reference import LlamaReference
from server.selftest.llama_toy import (
    BOS,
    PICTURE,
    PUBLISHED_CROSS_LAYERS,
    random_model,
    tiny_config,
    write_checkpoint,
    write_tokenizer,
)
from server.selftest.machine import Machine
from server.selftest.models import ModelChecks, model_checks
from server.selftest.outcome import State
from server.selftest.parity import TOLERANCE, Comparison, SameTokens
from tests.nf4_checkpoints import write_nf4

if TYPE_CHECKING:
    from pathlib import Path

    from server.selftest.engines import Batch
    from tests.llama_engine import AllDone, Imported

LLAMA = "Llama 3.2 Vision, fp32"
COMPILED = {"mode": 2, "backend": "aot_eager"}
"""Traced and made a graph of, as on a GPU; C++ of it takes a compiler ten seconds, and is PyTorch's own affair."""
CASES = 1
"""The batch of the selftest's first engine that has every layout; text alone comes before it."""


@dataclass
class Models:
    """What was compared, by the name of the engine."""

    made: ModelChecks
    refused: range
    """Batches that are, and the one behind them, which is not."""
    done: AllDone
    more: list[SameTokens] = field(default_factory=list)

    @property
    def reference(self) -> LlamaReference:
        reference = self.made.comparisons[LLAMA].reference
        assert isinstance(reference, LlamaReference)
        return reference

    @property
    def asked(self) -> list[Request]:
        return self.made.comparisons[LLAMA].job.batches[CASES]

    @property
    def batches(self) -> list[Batch]:
        return self.made.comparisons[LLAMA].done.batches


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, imported_vllm: Imported) -> Models:
    """All engines' results: one process runs them one after the other."""
    folder = tmp_path_factory.mktemp("llama")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selftest_models, "MANY", 24)
        patch.setattr(selftest_models, "TASKS", 8)
        made = model_checks(folder, Machine(()))
    picture = Pictures(folder / "more")
    (folder / "more").mkdir()
    cases = picture_cases(picture)
    more = []

    def add(name: str, model: Any, checkpoint: Path, **arguments: Any) -> None:
        job = Job(str(checkpoint), [cases], {"limit_mm_per_prompt": {"image": 3}} | arguments)
        made.comparisons[name] = Comparison(LlamaReference(model, folder / "published files"), job)
        more.append(SameTokens("Llama 3.2 Vision", name, made.comparisons[name], (0,)))

    batches = made.comparisons[LLAMA].job.batches
    refused = [
        Request([BOS, *[PICTURE] * 3], [picture(240, 60), picture(60, 240), picture(120, 120)]),
        Request([BOS, *[PICTURE] * 4], [picture(64, 64)] * 4),
        Request([BOS, PICTURE, PICTURE, *text("one")], [picture(64, 64)]),
        Request([BOS, *text("x" * 200)]),
    ]
    at = range(len(batches), len(batches) + len(refused))
    batches += [[request] for request in [*refused, batches[CASES][0]]]

    deep = random_model(tiny_config(num_hidden_layers=40, cross_attention_layers=PUBLISHED_CROSS_LAYERS), seed=1)
    (folder / "deep").mkdir()
    deep.save_pretrained(folder / "deep", max_shard_size="3MB", save_original_format=False)
    write_checkpoint(folder / "published files", deep)
    write_tokenizer(folder / "deep")
    processor = "preprocessor_config.json"
    (folder / "deep" / processor).write_bytes((folder / "published files" / processor).read_bytes())
    add("deep", deep, folder / "deep")

    shallow = random_model(tiny_config(num_hidden_layers=2, cross_attention_layers=[1]))
    compiled = {"enforce_eager": False, "compilation_config": COMPILED}
    add("compiled, nf4", write_nf4(folder / "shallow", shallow), folder / "shallow", **compiled)

    half = random_model(tiny_config()).to(torch.bfloat16)
    shards = write_checkpoint(folder / "two files", half, dtype=torch.bfloat16, shards=2)
    jobs = {name: comparison.job for name, comparison in made.comparisons.items()}
    benchmarked = DEMO_MODELS / "llama-3.2-11b-vision-bf16"
    done = imported_vllm.run(jobs, (shards, folder / "two files, fp8"), benchmarked, folder)
    for name, comparison in made.comparisons.items():
        comparison.done = done.engines.get(name, comparison.done)
    return Models(made, at, done, more)


def test_the_selftest_passes_all_that_a_cpu_can_run(models: Models) -> None:
    outcomes = {f"{check.group}, {check.name}": check.judge() for check in models.made.checks}
    assert not {name: outcome for name, outcome in outcomes.items() if outcome.state is State.FAIL}
    here = {name for name, outcome in outcomes.items() if outcome.state is State.PASS}
    assert here >= {
        *(LLAMA, f"{LLAMA}, a cache too small", f"{LLAMA}, one picture, several tasks"),
        *("Llama 3.2 Vision, bf16", "Llama 3.2 Vision, FP8-dynamic", "Llama 3.2 Vision, W4A16"),
        *("LLaVA-NeXT-Video, fp32", "LLaVA-NeXT-Video, fp32, a cache too small"),
        *("LLaVA-NeXT-Video, bf16", "LLaVA-NeXT-Video, FP8-dynamic", "LLaVA-NeXT-Video, W4A16"),
    }
    for name in outcomes.keys() - here:
        assert outcomes[name].says in {"needs a GPU; this machine has none", "needs 2 GPUs; this machine has none"}


@pytest.mark.parametrize("name", ["deep", "compiled, nf4"])
def test_writes_what_transformers_writes(models: Models, name: str) -> None:
    (check,) = [check for check in models.more if check.name == name]
    outcome = check.judge()
    assert outcome.state is State.PASS, outcome.says
    assert models.done.graphs > 0


def test_pictures_matter_to_these_models(models: Models) -> None:
    # Else all that is compared here would be equal whatever happened to the pictures.
    reference, cases = models.reference, models.asked
    answers = {
        tuple(reference.answer(cases[0].prompt, [Image.open(case.pictures[0])], 16).tokens)
        for case in cases[: len(ASPECT_RATIOS)]
    }
    assert len(answers) == len(ASPECT_RATIOS)


def test_masks_matter_to_these_models(models: Models) -> None:
    # Else a wrong one would not be seen: of tiles that are not there, and of pictures that a row must not see.
    reference, cases, written = models.reference, models.asked, models.batches[CASES]
    for name, number in [("aspect_ratio_mask", 0), *(("cross_attention_mask", -n) for n in range(1, 6))]:
        tokens = written.written[number].tokens
        pictures = [Image.open(path) for path in cases[number].pictures]
        right, wrong = (
            reference.follow(cases[number].prompt, pictures, tokens, see_all=see_all).logprobs
            for see_all in (None, name)
        )
        assert wrong != pytest.approx(right, abs=10 * TOLERANCE)


def test_several_tasks_on_one_picture_are_answered_each_its_own_way(models: Models) -> None:
    (check,) = [check for check in models.made.checks if check.name == "fp32, one picture, several tasks"]
    answers = {tuple(models.batches[number].written[0].tokens) for number in check.tasks}
    assert len(answers) == len(check.tasks) == 8


def test_what_cannot_be_answered_is_refused_and_the_next_request_is_answered(models: Models) -> None:
    first = models.batches[CASES].written[0]
    too_large, too_many, one_missing, too_long = (models.batches[number] for number in models.refused)
    assert "have 204 keys together, at most 192 are taken" in str(too_large.error)
    assert "At most 3 image(s)" in str(too_many.error)
    assert "holds 2 times <|image|>, but 1 picture(s)" in str(one_missing.error)
    assert "maximum context length is 128 tokens" in str(too_long.error)
    assert models.batches[models.refused.stop].written[0].tokens == first.tokens


def test_what_is_quantized_is_loaded_in_vllm_at_the_end(models: Models) -> None:
    quantized = models.done.quantized
    assert quantized.code == 0, quantized.said
    assert "loaded in vLLM; it wrote" in quantized.said


def test_registering_loads_neither_the_model_nor_its_dependencies(models: Models) -> None:
    registered = models.done.registered
    assert registered.supported
    assert registered.encoder_decoder
    assert registered.picture_token < registered.vocabulary == registered.own_vocabulary + 8
    assert registered.asked == "accept_settings"
    assert not registered.model_imported


def test_the_benchmarks_engine_measures_decoding_and_the_encoder_cache(models: Models) -> None:
    measured = models.done.benchmarked
    assert measured
    for steps_s, tokens_per_s, unit in measured.decodings:
        # The first token comes of the prompt; with pictures not all prompts may fit into one step.
        assert 8 <= len(steps_s) <= 11
        assert tokens_per_s > 0
        assert unit == "CPU-s"
    for tower_runs, spent_s, unit in measured.asked:
        assert tower_runs == 1
        assert spent_s > 0
        assert unit == "CPU-s"
    no_step, refused = measured.errors
    assert "no step in which all" in no_step
    assert "max_tokens" in refused
    assert measured.exit_code == 0


def test_a_benchmarks_engine_that_cannot_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vllm").mkdir()
    # At once, where vLLM takes long.
    (tmp_path / "vllm" / "__init__.py").write_text("raise ValueError('no such model')")
    monkeypatch.syspath_prepend(tmp_path)
    with Engine(Settings("/nowhere")) as engine, pytest.raises(EngineError, match="did not start"):
        engine.decode(1, 16, 2, None)
