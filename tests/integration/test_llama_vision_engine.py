"""The plugin in real vLLM engines, compared with transformers on the same random weights."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from server.fp8_checkpoint import quantize
from tests import llama_engine
from tests.llama_checkpoints import (
    BOS,
    PICTURE,
    PUBLISHED_CROSS_LAYERS,
    random_model,
    tiny_config,
    write_checkpoint,
    write_nf4,
    write_tokenizer,
)
from tests.llama_engine import Batch, Job, Quantized, Request, Written
from tests.llama_reference import Answer, Reference, quantized_as_served

if TYPE_CHECKING:
    from pathlib import Path

TOLERANCE = 1e-3
ASPECT_RATIOS = [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (3, 1), (4, 1)]
"""Tiles across and down of all the layouts there are."""


@dataclass
class Models:
    """References by name, and what the engines of the same name wrote."""

    references: dict[str, Reference] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    results: dict[str, list[Batch]] = field(default_factory=dict)
    quantized: Quantized | None = None


def text(words: str) -> list[int]:
    """Tokens of the byte-level tokenizer, without caring which byte is which."""
    return list(words.encode())


class Pictures:
    """Writes pictures of noise, all different."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def __call__(self, width: int, height: int) -> str:
        self.count += 1
        noise = np.random.default_rng(self.count).integers(0, 256, (height, width, 3), dtype=np.uint8)
        path = self.folder / f"{self.count}.png"
        Image.fromarray(noise).save(path)
        return str(path)


def every_case(picture: Pictures) -> list[Request]:
    """Every layout, and every way in which pictures and text may stand."""
    layouts = [
        Request([BOS, PICTURE, *text("what is this")], [picture(60 * across, 60 * down)])
        for across, down in ASPECT_RATIOS
    ]
    return [
        *layouts,
        Request([BOS, *text("no picture at all")]),
        Request([PICTURE, BOS, *text("picture first")], [picture(64, 64)]),
        Request([BOS, *text("in the"), PICTURE, *text("middle")], [picture(300, 90)]),
        Request([BOS, *text("at the end"), PICTURE], [picture(90, 300)]),
        Request([BOS, *text("two"), PICTURE, PICTURE, *text("alike")], [picture(40, 40), picture(40, 40)]),
        Request(
            [BOS, *text("three"), PICTURE, PICTURE, PICTURE, *text("not alike")],
            [picture(50, 200), picture(64, 64), picture(130, 60)],
        ),
        Request([BOS, *text("a stray "), PICTURE, *text(" without a picture")][:9]),
        *turns(picture),
    ]


def turns(picture: Pictures) -> list[Request]:
    """Pictures with text between them."""
    return [
        Request([BOS, PICTURE, *text("first"), PICTURE, *text("second")], [picture(64, 64), picture(130, 60)]),
        Request([PICTURE, BOS, PICTURE, *text("one by one")], [picture(50, 200), picture(40, 40)]),
        Request(
            [BOS, *text("a"), PICTURE, *text("b"), PICTURE, *text("c"), PICTURE],
            [picture(90, 300), picture(64, 64), picture(120, 120)],
        ),
        Request(
            [BOS, *text("two, then"), PICTURE, PICTURE, *text("one"), PICTURE, *text("more")],
            [picture(60, 60), picture(60, 120), picture(200, 60)],
        ),
        Request(
            [BOS, PICTURE, *text("then two"), PICTURE, PICTURE, *text("more")],
            [picture(240, 60), picture(60, 60), picture(130, 60)],
        ),
    ]


def mixed_requests(picture: Pictures) -> list[Request]:
    """Forty requests of all kinds, long enough for a small cache to run over while they are written."""
    draw = random.Random(5)
    requests = []
    for _ in range(40):
        count = draw.choice([0, 1, 1, 1, 2, 2, 3])
        sizes = [(60 * across, 60 * down) for across, down in draw.choices(ASPECT_RATIOS, k=count)]
        before = [draw.randrange(256) for _ in range(draw.randrange(8))]
        after = [draw.randrange(256) for _ in range(draw.randrange(1, 12))]
        shown = [token for _ in range(count) for token in [PICTURE, *after[: draw.choice([0, 1, 3])]]]
        prompt = [BOS, *before, *shown, *after]
        requests.append(Request(prompt, [picture(*size) for size in sizes], draw.randrange(20, 60)))
    return requests


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """All engines' results: one process runs them one after the other."""
    folder = tmp_path_factory.mktemp("llama")
    picture = Pictures(folder)
    found = Models()
    cases = every_case(picture)
    model = random_model(tiny_config())
    plain = write_checkpoint(folder / "plain", model)

    def add(name: str, reference: Reference, checkpoint: Path, *batches: list[Request], **arguments: Any) -> None:
        found.references[name] = reference
        found.jobs[name] = Job(str(checkpoint), list(batches), arguments)

    reference = Reference(model, plain)
    ad = [picture(120, 64)]
    tasks = [Request([BOS, PICTURE, *text(f"task {n}")], ad) for n in range(8)]
    refused = [
        Request([BOS, *[PICTURE] * 3], [picture(240, 60), picture(60, 240), picture(120, 120)]),
        Request([BOS, *[PICTURE] * 4], [picture(64, 64)] * 4),
        Request([BOS, PICTURE, PICTURE, *text("one")], [picture(64, 64)]),
        Request([BOS, *text("x" * 200)]),
    ]
    one_by_one = [[request] for request in [*tasks, *refused, cases[0]]]
    small = {"num_gpu_blocks_override": 34, "max_num_batched_tokens": 192}
    add("fp32", reference, plain, cases, mixed_requests(picture), *one_by_one, **small)

    shallow = random_model(tiny_config(num_hidden_layers=2, cross_attention_layers=[1]))
    unpacked = write_nf4(folder / "shallow", shallow)
    add("compiled, nf4", Reference(unpacked, plain), folder / "shallow", cases, enforce_eager=False)

    deep = random_model(tiny_config(num_hidden_layers=40, cross_attention_layers=PUBLISHED_CROSS_LAYERS), seed=1)
    (folder / "deep").mkdir()
    deep.save_pretrained(folder / "deep", max_shard_size="3MB", save_original_format=False)
    write_checkpoint(folder / "published files", deep)
    write_tokenizer(folder / "deep")
    processor = "preprocessor_config.json"
    (folder / "deep" / processor).write_bytes((folder / "published files" / processor).read_bytes())
    add("deep", Reference(deep, folder / "published files"), folder / "deep", cases)

    quantize(plain, folder / "fp8", report=lambda _: None)
    add("fp8", Reference(quantized_as_served(model, folder / "fp8"), plain), folder / "fp8", cases)

    half = random_model(tiny_config()).to(torch.bfloat16)
    write_checkpoint(folder / "half", half, dtype=torch.bfloat16)
    add("bf16", Reference(half, plain), folder / "half", cases, dtype="bfloat16")

    shards = write_checkpoint(folder / "two files", half, dtype=torch.bfloat16, shards=2)
    found.results, found.quantized = llama_engine.run(found.jobs, (shards, folder / "two files, fp8"), folder)
    return found


def pairs(models: Models, name: str, number: int = 0, *, alone: bool = False) -> list[tuple[Answer, Written]]:
    """What the reference and the engine wrote for each request of one of a job's batches.

    The reference goes on after what the engine wrote, or writes `alone`, token by token, which takes longer and rounds
    as an engine does.
    """
    batch, written = models.jobs[name].batches[number], models.results[name][number].written
    assert [len(done.tokens) for done in written] == [request.tokens for request in batch]
    reference = models.references[name]
    both = []
    for request, done in zip(batch, written, strict=True):
        pictures = [Image.open(path) for path in request.pictures]
        if alone:
            both.append((reference.answer(request.prompt, pictures, request.tokens), done))
        else:
            both.append((reference.follow(request.prompt, pictures, done.tokens), done))
    return both


@pytest.mark.parametrize("name", ["fp32", "compiled, nf4", "deep"])
def test_writes_what_transformers_writes(models: Models, name: str) -> None:
    for expected, written in pairs(models, name):
        assert written.tokens == expected.tokens
        assert written.logprobs == pytest.approx(expected.logprobs, abs=TOLERANCE)


def test_pictures_matter_to_these_models(models: Models) -> None:
    # Else all that is compared here would be equal whatever happened to the pictures.
    reference, cases = models.references["fp32"], models.jobs["fp32"].batches[0]
    answers = {
        tuple(reference.answer(cases[0].prompt, [Image.open(case.pictures[0])], 16).tokens)
        for case in cases[: len(ASPECT_RATIOS)]
    }
    assert len(answers) == len(ASPECT_RATIOS)


def test_masks_matter_to_these_models(models: Models) -> None:
    # Else a wrong one would not be seen: of tiles that are not there, and of pictures that a row must not see.
    reference, cases, written = models.references["fp32"], models.jobs["fp32"].batches[0], models.results["fp32"][0]
    for name, number in [("aspect_ratio_mask", 0), *(("cross_attention_mask", -n) for n in range(1, 6))]:
        tokens = written.written[number].tokens
        pictures = [Image.open(path) for path in cases[number].pictures]
        right, wrong = (
            reference.follow(cases[number].prompt, pictures, tokens, see_all=see_all).logprobs
            for see_all in (None, name)
        )
        assert wrong != pytest.approx(right, abs=10 * TOLERANCE)


def test_requests_that_had_to_give_way_keep_their_pictures(models: Models) -> None:
    assert models.results["fp32"][1].preemptions >= 5
    for expected, written in pairs(models, "fp32", 1):
        assert written.tokens == expected.tokens
        assert written.logprobs == pytest.approx(expected.logprobs, abs=TOLERANCE)


@pytest.mark.parametrize(("name", "close"), [("fp8", 0.2), ("bf16", 0.15)])
def test_rounding_parts_from_the_reference_only_where_two_tokens_are_close(
    models: Models, name: str, close: float
) -> None:
    """The last bit of an fp32 sum, which differs from CPU to CPU, may decide to which FP8 number it is rounded."""
    both = pairs(models, name, alone=True)
    for expected, written in both:
        steps = zip(expected.tokens, written.tokens, expected.margins, strict=True)
        first_other = next((margin for token, other, margin in steps if token != other), 0.0)
        assert first_other <= close
    assert sum(written.tokens == expected.tokens for expected, written in both) > len(both) / 2


def test_eight_tasks_on_one_picture_run_the_tower_once(models: Models) -> None:
    tasks = models.results["fp32"][2:10]
    assert [task.tower_runs for task in tasks] == [1] + [0] * 7
    assert [task.cached for task in tasks] == [0] + [1] * 7
    assert len({tuple(task.written[0].tokens) for task in tasks}) == 8


def test_what_the_tower_put_out_is_forgotten_with_vllms_encoder_cache(models: Models) -> None:
    assert models.jobs["fp32"].batches[-1][0] == models.jobs["fp32"].batches[0][0]
    assert models.results["fp32"][-1].tower_runs == 1


def test_what_cannot_be_answered_is_refused_and_the_next_request_is_answered(models: Models) -> None:
    first = models.results["fp32"][0].written[0]
    too_large, too_many, one_missing, too_long, next_one = models.results["fp32"][10:]
    assert "have 204 keys together, at most 192 are taken" in str(too_large.error)
    assert "At most 3 image(s)" in str(too_many.error)
    assert "holds 2 times <|image|>, but 1 picture(s)" in str(one_missing.error)
    assert "maximum context length is 128 tokens" in str(too_long.error)
    assert next_one.written[0].tokens == first.tokens


def test_what_is_quantized_is_loaded_in_vllm_at_the_end(models: Models) -> None:
    assert models.quantized
    assert models.quantized.code == 0, models.quantized.said
    assert "loaded in vLLM; it wrote" in models.quantized.said
