"""The training loop of the demo vision models."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from scripts.demo.models.conversation import FIRST_LESSON

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


class Batches(Protocol):
    """Where the examples come from."""

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


def answers(model: Any, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, float]:
    """The mean loss of the labelled tokens, and the share of rows whose every labelled token is the likeliest one.

    Only what is labelled goes through the head: most tokens are prompt, and the vocabulary is wide.
    """
    labels = inputs["labels"][:, 1:]
    labelled = labels != -100
    hidden = model.model(**{name: value for name, value in inputs.items() if name != "labels"}, use_cache=False)
    logits = model.lm_head(hidden.last_hidden_state[:, :-1][labelled])
    loss = torch.nn.functional.cross_entropy(logits, labels[labelled])
    right = ~labelled
    right[labelled] = logits.detach().argmax(-1) == labels[labelled]
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
        torch.optim.Muon(inner, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def train(model: nn.Module, batches: Batches, plan: Plan, say: Callable[[str], None]) -> None:
    """Train the model in place."""
    both = optimizers(model, plan.learning_rate)
    model.train()
    started = time.monotonic()
    losses: list[float] = []
    exact: list[float] = []
    for step in range(1, plan.steps + 1):
        for group in (group for optimizer in both for group in optimizer.param_groups):
            group["lr"] = plan.learning_rate * plan.rate(step)
        inputs = batches.batch(plan.batch, step + plan.lessons_done * FIRST_LESSON)
        loss, share = answers(model, inputs)
        model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in both:
            optimizer.step()
        losses.append(loss.item())
        exact.append(share)
        if step % plan.report_every == 0:
            recent, right = (sum(values[-plan.report_every :]) / plan.report_every for values in (losses, exact))
            elapsed = time.monotonic() - started
            say(f"step {step}/{plan.steps}  loss {recent:.4f}  exact {right:.1%}  {elapsed:.0f} s")
    model.eval()
