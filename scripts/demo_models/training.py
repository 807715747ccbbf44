"""The training loop of the demo vision models."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


class Batches(Protocol):
    """Where the examples come from."""

    def batch(self, size: int, turns: int, progress: float) -> dict[str, torch.Tensor]:
        """Keyword arguments of the model's forward, `labels` among them; `progress` goes from 0 to 1."""


@dataclass(frozen=True)
class Plan:
    """How long and how fast to learn."""

    steps: int
    batch: int = 16
    turns: int = 3
    """Questions about one picture or video in an example: looking costs more than answering."""
    learning_rate: float = 2e-3
    warmup: int = 100
    report_every: int = 50


def exact_share(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of rows [batch] whose every labelled token is the likeliest one, given the right ones before it."""
    right = (logits[:, :-1].argmax(-1) == labels[:, 1:]) | (labels[:, 1:] == -100)
    return float(right.all(-1).float().mean())


def train(model: nn.Module, batches: Batches, plan: Plan, say: Callable[[str], None]) -> None:
    """Train in place with AdamW, a short warm-up and a cosine down to a hundredth."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)

    def rate(step: int) -> float:
        if step < plan.warmup:
            return (step + 1) / plan.warmup
        done = (step - plan.warmup) / max(1, plan.steps - plan.warmup)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    model.train()
    started = time.monotonic()
    losses: list[float] = []
    exact: list[float] = []
    for step in range(1, plan.steps + 1):
        inputs = batches.batch(plan.batch, plan.turns, step / plan.steps)
        output = model(**inputs)
        optimizer.zero_grad()
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(output.loss.item())
        exact.append(exact_share(output.logits.detach(), inputs["labels"]))
        if step % plan.report_every == 0:
            recent = slice(-plan.report_every, None)
            mean = [sum(v[recent]) / len(v[recent]) for v in (losses, exact)]
            elapsed = time.monotonic() - started
            say(f"step {step}/{plan.steps}  loss {mean[0]:.4f}  exact {mean[1]:.1%}  {elapsed:.0f} s")
    model.eval()
