"""Both models against transformers: toys, what engines are asked, and the checks of what they wrote."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from server.quantization_schemes import FP8_DYNAMIC, W4A16
from server.quantized_checkpoint import quantize
from server.selftest import cases, llama_toy, llava_toy
from server.selftest.cases import Pictures
from server.selftest.emulation import quantized_as_served
from server.selftest.engines import Job, run_engines
from server.selftest.llama_reference import LlamaReference
from server.selftest.llava_reference import LlavaReference
from server.selftest.parity import CloseTokens, Comparison, NotHere, SameAgain, SameTokens, TowerRunsOnce
from server.selftest.published_names import llama_name, llava_name
from server.selftest.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from server.selftest.engines import Request
    from server.selftest.machine import Machine
    from server.selftest.outcome import Check
    from server.selftest.parity import Reference
    from server.selftest.variants import Variant

SCHEMES = {"fp8": FP8_DYNAMIC, "w4a16": W4A16}
TASKS = 3
"""On one picture."""
MANY = 16
"""Requests of which some have to give way."""


@dataclass(frozen=True)
class Toy:
    """A model: how it is made and written, its reference, and what it is asked.

    Attributes:
        pictures: Whether it is served by the plugin, which has a cache of pictures.
        arguments: Of every engine of it.
        crowded: Of engines whose cache shall run over.
    """

    group: str
    make: Callable[[], Any]
    write: Callable[..., Path]
    reference: Callable[[Any, Path], Reference]
    published_name: Callable[[str], str]
    cases: Callable[[Pictures], list[Request]]
    many: Callable[[Pictures, int], list[Request]]
    pictures: bool
    arguments: dict[str, Any]
    crowded: dict[str, Any]


LLAMA = Toy(
    group="Llama 3.2 Vision",
    make=lambda: llama_toy.random_model(llama_toy.tiny_config()),
    write=llama_toy.write_checkpoint,
    reference=LlamaReference,
    published_name=llama_name,
    cases=cases.picture_cases,
    many=cases.many_pictures,
    pictures=True,
    arguments={"limit_mm_per_prompt": {"image": 3}},
    crowded={"num_gpu_blocks_override": 34, "max_num_batched_tokens": 192},
)
LLAVA = Toy(
    group="LLaVA-NeXT-Video",
    make=lambda: llava_toy.random_model(llava_toy.tiny_config()),
    write=llava_toy.write_checkpoint,
    reference=LlavaReference,
    published_name=llava_name,
    cases=cases.video_cases,
    many=cases.many_videos,
    pictures=False,
    arguments={"limit_mm_per_prompt": {"video": 1}, "max_model_len": 192},
    crowded={"num_gpu_blocks_override": 15},
)
TOYS = (LLAMA, LLAVA)


@dataclass
class ModelChecks:
    """The checks of both models, and the engines that they need.

    Attributes:
        comparisons: By name of the engine.
        checks: In their order; those that this machine cannot run say so.
    """

    comparisons: dict[str, Comparison] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    def run(self, folder: Path, timeout_s: float | None = None) -> None:
        """Run the engines, so that the checks have something to judge."""
        done = run_engines({name: each.job for name, each in self.comparisons.items()}, folder, timeout_s)
        for name, comparison in self.comparisons.items():
            comparison.done = done[name]


def model_checks(
    folder: Path, machine: Machine, toys: Sequence[Toy] = TOYS, *, variants: Sequence[Variant] = VARIANTS
) -> ModelChecks:
    """Write toys into `folder`, and say what there is to check on this machine."""
    made = ModelChecks()
    for toy in toys:
        picture = Pictures(folder)
        weights = _Weights(toy, folder / toy.group)
        for variant in variants:
            if variant.only_cpu and machine.gpus:
                continue
            if lacking := machine.lacks(variant.gpus):
                made.checks.append(NotHere(toy.group, variant.name, lacking))
                continue
            _add(made, toy, variant, weights, picture)
    return made


class _Weights:
    """A toy's checkpoints and their references, each made when it is asked for."""

    def __init__(self, toy: Toy, folder: Path) -> None:
        self._toy, self._folder = toy, folder
        self._plain = toy.write(folder / "fp32", toy.make())
        self._made: dict[str, tuple[Path, Reference]] = {}

    def __call__(self, kind: str) -> tuple[Path, Reference]:
        if kind not in self._made:
            self._made[kind] = self._make(kind)
        return self._made[kind]

    def _make(self, kind: str) -> tuple[Path, Reference]:
        toy, path, model = self._toy, self._folder / kind, self._toy.make()
        if kind == "fp32":
            return self._plain, toy.reference(model, self._plain)
        if kind in {"bf16", "w4a16"}:  # kernels of four bits multiply with 16
            model = model.to(torch.bfloat16)
        if kind == "bf16":
            toy.write(path, model, dtype=torch.bfloat16)
        else:
            quantize(self._plain, path, lambda _: None, SCHEMES[kind])
            model = quantized_as_served(model, path, toy.published_name)
        return path, toy.reference(model, self._plain)


def _add(made: ModelChecks, toy: Toy, variant: Variant, weights: _Weights, picture: Pictures) -> None:
    """One engine, and the checks of what it writes."""
    checkpoint, reference = weights(variant.weights)
    first = [cases.text_alone()] if toy.pictures else []
    asked = toy.cases(picture)
    batches = [*first, asked]
    compared = tuple(range(len(batches)))
    job = Job(str(checkpoint), batches, toy.arguments | dict(variant.arguments), dict(variant.environment))
    comparison = Comparison(reference, job)
    made.comparisons[f"{toy.group}, {variant.name}"] = comparison
    if variant.close is not None:
        made.checks.append(CloseTokens(toy.group, variant.name, comparison, compared, variant.close))
        return
    made.checks.append(SameTokens(toy.group, variant.name, comparison, compared))
    if variant.sleeps:
        job.sleep_before = len(batches)
        batches.append(asked)
        name = f"{variant.name}, the same again"
        made.checks.append(SameAgain(toy.group, name, comparison, compared[-1], job.sleep_before))
    if not variant.whole:
        return
    job.arguments |= toy.crowded
    batches.append(toy.many(picture, MANY))
    name = f"{variant.name}, a cache too small"
    made.checks.append(SameTokens(toy.group, name, comparison, (len(batches) - 1,), preempted=True))
    if toy.pictures:
        start, several = len(batches), cases.tasks(picture, TASKS)
        batches += [*several, several[0]]
        job.reset_before = start + TASKS
        name = f"{variant.name}, one picture, several tasks"
        tasks = tuple(range(start, start + TASKS))
        made.checks.append(TowerRunsOnce(toy.group, name, comparison, tasks, job.reset_before))
