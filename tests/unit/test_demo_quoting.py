"""Lessons in quoting: what they point at, and what a model that looks elsewhere loses."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from transformers import AutoProcessor

from scripts.demo.models import quoting
from scripts.demo.models.quoting import HEAD, NONE, Quotes
from scripts.demo.train import DEMO

WIDTH = 16


@pytest.fixture(scope="module")
def quotes() -> Quotes:
    """Lessons for the committed model."""
    processor = AutoProcessor.from_pretrained(DEMO / "llava-next-video-7b-bf16")
    return Quotes(processor, seed=5, width=WIDTH)


def test_each_line_of_an_answer_is_looked_for_where_it_stands_in_the_prompt(quotes: Quotes) -> None:
    batch = quotes.batch(2, 1)
    assert len(batch["input_ids"]) == 2 * quoting.ROWS
    counts = set()
    for ids, labels, (numbers, places) in zip(batch["input_ids"], batch["labels"], batch["hints"], strict=True):
        written = [at for at in range(len(ids)) if int(ids[at]) in quotes.hints.lines and labels[at] != NONE]
        counts.add(len(written))
        for number, at in zip(quotes.hints.numbers, written, strict=False):
            place = int(places[at - 1])
            assert ids[place] == ids[at]
            assert labels[place] == NONE
            assert numbers[place] == numbers[at - 1] == number
        assert (places != NONE).sum() == len(written)
        assert (numbers != NONE).sum() == 2 * len(written)
        assert "A voice says this." in quotes.tokenizer.decode(ids[labels != NONE])
    assert counts == {1, 2, 3}


def test_a_model_that_knows_no_number_or_looks_elsewhere_has_a_loss(quotes: Quotes) -> None:
    hints = quotes.hints
    head = torch.nn.Linear(WIDTH, len(quotes.tokenizer), bias=False)
    weight = head.weight[hints.numbers[0]].detach()
    inner = SimpleNamespace(language_model=SimpleNamespace(norm=torch.nn.Identity()))
    model = SimpleNamespace(lm_head=head, model=inner)
    wanted = torch.full((1, 2, 5), NONE)
    wanted[0, 0, 1] = wanted[0, 0, 3] = hints.numbers[0]
    wanted[0, 1, 3] = 1

    def loss(*, knows: float, looks_at: int) -> float:
        hidden = torch.zeros(1, 5, WIDTH)
        hidden[0, [1, 3]] = knows * 500 * weight @ hints.turn.T
        attention = torch.zeros(1, 2, 5, 5)
        attention[0, HEAD, 3, looks_at] = 1.0
        states = [None] * quoting.LAYERS
        output = SimpleNamespace(hidden_states=[*states, hidden], attentions=[*states, attention])
        return hints.loss(model, output, wanted).item()

    assert loss(knows=1, looks_at=1) < 0.1
    assert loss(knows=0, looks_at=1) > 1
    assert loss(knows=1, looks_at=0) > 1
