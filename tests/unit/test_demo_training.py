"""How the demo models are trained: the optimizer, training in pieces, and what is taken over from older weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

torch = pytest.importorskip("torch")

from scripts.demo.models.muon import Muon, orthogonal  # noqa: E402
from scripts.demo.models.tokenizer import train_tokenizer  # noqa: E402
from scripts.demo.models.training import Piece, Plan, answers, train  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

WORDS = 12


class Guess(torch.nn.Module):
    """Guesses the next word from the last one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.embed = torch.nn.Embedding(WORDS, 8)
        self.inner = torch.nn.Linear(8, 8, bias=False)
        self.lm_head = torch.nn.Linear(8, WORDS, bias=False)

    def model(self, input_ids: Any, use_cache: bool) -> SimpleNamespace:
        assert not use_cache
        return SimpleNamespace(last_hidden_state=self.inner(self.embed(input_ids)))


class Counting:
    """One word after the other; the same batch for the same step."""

    def batch(self, size: int, step: int) -> dict[str, Any]:
        ids = (torch.arange(6) + step + torch.arange(size)[:, None]) % WORDS
        return {"input_ids": ids, "labels": ids}


@pytest.mark.parametrize("shape", [(8, 8), (6, 20), (20, 6)])
def test_steps_of_muon_are_about_orthogonal(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(3)) * 100
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert values.min() > 0.6
    assert values.max() < 1.3
    assert orthogonal(matrix).dtype == torch.float32
    assert not orthogonal(torch.zeros(shape)).any()


def test_muon_finds_a_matrix() -> None:
    goal = torch.randn(8, 8, generator=torch.Generator().manual_seed(4))
    found = torch.nn.Parameter(torch.zeros(8, 8))
    optimizer = Muon([found], lr=0.1, decay=0.0)
    for _ in range(100):
        loss = (found - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_tokens_of_little_weight_count_little_and_not_for_what_is_exact() -> None:
    model, inputs = Guess(), Counting().batch(4, 1)
    inputs["labels"] = inputs["labels"].clone()
    guessed = model.lm_head(model.model(inputs["input_ids"], use_cache=False).last_hidden_state).argmax(-1)
    inputs["labels"][:, -1] = guessed[:, -2]
    plain, exact_plain = answers(model, inputs)
    same, _ = answers(model, inputs | {"weights": torch.ones_like(inputs["labels"], dtype=torch.float32)})
    assert same.item() == pytest.approx(plain.item())
    light = torch.full(inputs["labels"].shape, 0.1)
    light[:, -1] = 1.0
    last = inputs["labels"].clone()
    last[:, :-1] = -100
    weighed, exact = answers(model, inputs | {"weights": light})
    alone, exact_alone = answers(model, inputs | {"labels": last})
    assert (exact_plain, exact, exact_alone) == (0.0, 1.0, 1.0)
    assert min(plain.item(), alone.item()) < weighed.item() < max(plain.item(), alone.item())


def test_a_training_in_pieces_is_the_same_training(tmp_path: Path) -> None:
    plan = Plan(20, batch=4, learning_rate=0.02, warmup=3, lessons_done=True)
    whole, pieces = Guess(), Guess()
    assert train(whole, Counting(), plan, print)
    piece = Piece(tmp_path / "state.pt", 0.0)  # one step each
    steps = []
    while not train(pieces, Counting(), plan, print, piece):
        steps.append(piece.step)
        pieces = Guess()
    assert steps == list(range(1, 20))
    assert all(torch.equal(one, other) for one, other in zip(whole.parameters(), pieces.parameters(), strict=True))
    (trained, _), (fresh, _) = (answers(model, Counting().batch(8, 0)) for model in (whole, Guess()))
    assert trained.item() < fresh.item() - 0.5


def test_numbers_are_one_token_or_one_a_digit() -> None:
    special = {"vocab_size": 400, "bos": "<s>", "eos": "<s>", "pad": "<s>"}
    corpus = ["from 10 s to 123 s"] * 5
    whole = train_tokenizer(corpus, ("<s>",), **special)  # type: ignore[arg-type]
    digits = train_tokenizer(corpus, ("<s>",), single_digits=True, **special)  # type: ignore[arg-type]
    assert [whole.decode(token) for token in whole.encode("to 123 s")] == ["to", " 123", " s"]
    assert [digits.decode(token) for token in digits.encode("to 123 s")] == ["to", " 1", "2", "3", " s"]


def test_what_both_tokenizers_know_is_taken_over(tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM  # noqa: PLC0415 - heavy

    from scripts.demo.models.checkpoint import inherit  # noqa: PLC0415

    special = {"vocab_size": 400, "bos": "<s>", "eos": "<s>", "pad": "<s>"}
    before = train_tokenizer(["red blue"] * 5, ("<s>",), **special)  # type: ignore[arg-type]
    now = train_tokenizer(["green red"] * 5, ("<s>",), **special)  # type: ignore[arg-type]

    def model(words: int) -> Any:
        shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
        return LlamaForCausalLM(LlamaConfig(vocab_size=words, **shape))

    old, new = model(len(before)), model(len(now))
    old.save_pretrained(tmp_path)
    before.save_pretrained(tmp_path)
    inherit(new, now, tmp_path)
    (red_before,), (red_now,), (green,) = (before.encode("red"), now.encode(" red"), now.encode("green"))
    for part in ("model.embed_tokens.weight", "lm_head.weight"):
        assert torch.equal(new.state_dict()[part][now.encode("r")], old.state_dict()[part][before.encode("r")])
        assert not any(torch.equal(new.state_dict()[part][green], row) for row in old.state_dict()[part])
    assert red_before != red_now
    assert torch.equal(new.model.layers[0].mlp.up_proj.weight, old.model.layers[0].mlp.up_proj.weight)
