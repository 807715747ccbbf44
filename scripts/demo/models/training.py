"""The training loop of the demo vision models."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from scripts.demo.models.conversation import FIRST_LESSON
from scripts.demo.models.muon import Muon

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn


class Taught(Protocol):
    """What an inner layer should know, and how well it does."""

    outputs: dict[str, bool]
    """Keyword arguments of the model's forward, for it to give what `loss` looks at."""

    def loss(self, model: Any, output: Any, hints: torch.Tensor) -> torch.Tensor:
        """Of what the forward pass of a batch gave, and its `hints`."""


class Batches(Protocol):
    """Where the examples come from."""

    @property
    def hints(self) -> Taught | None:
        """How well hints are known, if batches have some."""

    def batch(self, size: int, step: int) -> dict[str, torch.Tensor]:
        """Keyword arguments of the model's forward, `labels` among them, for step 1, 2, ..."""


@dataclass(frozen=True)
class Plan:
    """How long and how fast to learn."""

    steps: int
    batch: int = 16
    learning_rate: float = 4e-3
    warmup: int = 100
    report_every: int = 50
    lessons_done: bool = False
    """Whether the model has had its first lesson."""

    def rate(self, step: int) -> float:
        """Share of the learning rate at a step: a short warm-up, then flat, then down to nothing from half-way on."""
        left = (self.steps - step) / (self.steps / 2)
        return min(1.0, step / self.warmup, max(left, 0.01))


def answers(model: Any, inputs: dict[str, torch.Tensor], hints: Taught | None = None) -> tuple[torch.Tensor, float]:
    """The mean loss of the labelled tokens, and the share of rows whose every labelled token is the likeliest one.

    The loss is also that of the `hints` of a batch, if it has some.

    Only what is labelled goes through the head: most tokens are prompt, and the vocabulary is wide.
    """
    labels = inputs["labels"][:, 1:]
    labelled = labels != -100
    asked = {name: value for name, value in inputs.items() if name not in ("labels", "hints")}
    taught = hints if "hints" in inputs else None
    output = model.model(**asked, use_cache=False, **(taught.outputs if taught else {}))
    logits = model.lm_head(output.last_hidden_state[:, :-1][labelled])
    right = ~labelled
    right[labelled] = logits.detach().argmax(-1) == labels[labelled]
    loss = torch.nn.functional.cross_entropy(logits, labels[labelled])
    if taught:
        loss = loss + taught.loss(model, output, inputs["hints"])
    return loss, float(right.all(-1).float().mean())


def optimizers(model: nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices within the layers, AdamW for the rest.

    With AdamW alone the same loss takes about twice as many steps. (Jordan et al., "Muon", 2024.)
    """
    inner: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, weight in model.named_parameters():
        is_inner = weight.ndim == 2 and "embed" not in name and "lm_head" not in name
        (inner if is_inner else rest).append(weight)
    return [
        Muon(inner, lr=rate),
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def train(
    model: nn.Module, batches: Batches, plan: Plan, say: Callable[[str], None], piece: Piece | None = None
) -> bool:
    """Train the model in place; whether that is done, which it is not if the `piece` ended before."""
    both = optimizers(model, plan.learning_rate)
    done = piece.load(model, both) if piece else 0
    model.train()
    started = time.monotonic()
    losses: list[float] = []
    exact: list[float] = []
    for step in range(done + 1, plan.steps + 1):
        for group in (group for optimizer in both for group in optimizer.param_groups):
            group["lr"] = plan.learning_rate * plan.rate(step)
        inputs = batches.batch(plan.batch, step + plan.lessons_done * FIRST_LESSON)
        loss, share = answers(model, inputs, batches.hints)
        model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in both:
            optimizer.step()
        losses.append(loss.item())
        exact.append(share)
        elapsed_s = time.monotonic() - started
        if step % plan.report_every == 0:
            recent, right = (_mean(values[-plan.report_every :]) for values in (losses, exact))
            say(f"step {step}/{plan.steps}  loss {recent:.4f}  exact {right:.1%}  {elapsed_s:.0f} s")
        if piece and elapsed_s > piece.length_s and step < plan.steps:
            piece.save(model, both, step)
            return False
    model.eval()
    return True


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


@dataclass(frozen=True)
class Piece:
    """A training that takes longer than a machine is to be had goes on from where it stopped."""

    path: Path
    """The state between two pieces: weights, both optimizers and the step."""
    length_s: float

    def save(self, model: nn.Module, both: list[torch.optim.Optimizer], step: int) -> None:
        """Write the state."""
        states = [optimizer.state_dict() for optimizer in both]
        unfinished = self.path.with_suffix(".part")
        torch.save({"model": model.state_dict(), "optimizers": states, "step": step}, unfinished)
        unfinished.replace(self.path)

    @property
    def step(self) -> int:
        """How many steps are done."""
        return int(torch.load(self.path)["step"]) if self.path.exists() else 0

    def load(self, model: nn.Module, both: list[torch.optim.Optimizer]) -> int:
        """Go on from the state, if there is one; how many steps are done."""
        if not self.path.exists():
            return 0
        saved = torch.load(self.path)
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(both, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        return int(saved["step"])
