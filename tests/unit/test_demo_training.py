"""How the demo models are trained: the optimizer, training in pieces, and what is taken over from older weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from scripts.demo.models.hints import LAYERS, NONE, Hints
from scripts.demo.models.merges import WHOLE
from scripts.demo.models.muon import Muon, orthogonal
from scripts.demo.models.tokenizer import parts, train_tokenizer
from scripts.demo.models.training import Piece, Plan, answers, train
from scripts.demo.world.films import SAID

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

    hints = None

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


NOTES = """[0.0-10.0 s] Red.
[10.0-20.0 s] First red. Then green and white.
[20.0-30.0 s] First green and white. Then red.
assistant

"""


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        (
            '{"chapters":[{"start":0.0,"title":"Red"},{"start":10.0,"title":"Green and white"}]}',
            [('":"', None, "0.0"), ('":', "red", None), ('":"', "red", "10.0")],
        ),
        (
            "First red. Then green and white.",
            [("First red.", "red", None), (" Then green and white.", "green and white", None)],
        ),
    ],
)
def test_hints_say_from_what_a_scene_changes_and_when(
    answer: str, known: list[tuple[str, str | None, str | None]]
) -> None:
    corpus = [NOTES, answer, " First green and white."] * 5
    special = {"vocab_size": 1000, "bos": "<s>", "eos": "<s>", "pad": "<s>"}
    tokenizer = train_tokenizer(corpus, ("<s>",), whole=WHOLE, **special)  # type: ignore[arg-type]
    ids = tokenizer.encode(NOTES + answer)
    hinted = [
        (tokenizer.decode([token]), *(None if hint == NONE else tokenizer.decode([hint]) for hint in hints))
        for token, *hints in zip(ids, *Hints(tokenizer, 8).labels(ids), strict=True)
    ]
    expected = [(said, scene and f" First {scene}.", time) for said, scene, time in known]
    assert [hint for hint in hinted if hint[1:] != (None, None)] == [
        (" First red.", None, "10.0"),
        (" Then green and white.", " First red.", "10.0"),
        (" First green and white.", None, "20.0"),
        (" Then red.", " First green and white.", "20.0"),
        *expected,
    ]


def test_a_layer_that_does_not_know_its_hints_has_a_loss() -> None:
    special = {"vocab_size": 300, "bos": "<s>", "eos": "<s>", "pad": "<s>"}
    hints = Hints(train_tokenizer(["red"], ("<s>",), **special), 8)  # type: ignore[arg-type]
    head = torch.nn.Linear(8, WORDS, bias=False)
    inner = SimpleNamespace(language_model=SimpleNamespace(norm=torch.nn.Identity()))
    model = SimpleNamespace(lm_head=head, model=inner)
    labels = torch.full((2, 2, 3), NONE)

    def loss(hidden: torch.Tensor) -> torch.Tensor:
        return hints.loss(model, SimpleNamespace(hidden_states=[None] * LAYERS + [hidden]), labels)

    assert loss(torch.randn(2, 3, 8)) == 0
    labels[0, 1, 2] = 4
    known = torch.zeros(2, 3, 8)
    known[0, 2] = hints.turns[1] @ head.weight[4].detach() * 100
    assert loss(known) < 0.1 < loss(-known)


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


def test_what_a_pattern_holds_is_one_token() -> None:
    special = {"vocab_size": 400, "bos": "<s>", "eos": "<s>", "pad": "<s>"}
    corpus = ["from 10 s to 123 s.", " Then red and blue.", " Then red"] * 5
    words = train_tokenizer(corpus, ("<s>",), **special)  # type: ignore[arg-type]
    whole = train_tokenizer(corpus, ("<s>",), whole=SAID, **special)  # type: ignore[arg-type]
    assert [words.decode(token) for token in words.encode("to 123 s")] == ["to", " 123", " s"]
    assert words.tokenize("to 123 s. Then red") == whole.tokenize("to 123 s. Then red")
    said = "to 10 s. Then red and blue. Then red"
    assert [whole.decode(token) for token in whole.encode(said)][-3:] == [" Then red and blue.", " Then", " red"]
    assert whole.decode(whole.encode(said)) == said


def test_tokens_are_made_of_parts() -> None:
    assert parts(" Then red and blue.") == ("left red", "right blue", "Then.")
    assert parts("Red and blue") == ("left red", "right blue", "")
    assert parts(" At last green.") == ("left green", "right green", "At last.")
    assert (parts("176"), parts(" 6")) == (("17*", "*6"), ("*", "*6"))
    assert (parts("120.0"), parts("0.0")) == (("1**", "*20"), ("**", "*0"))
    assert parts(" Choose red or blue.") == ("Choose {} or {}.", "1 red", "2 blue")
    assert parts(" Choose well.") == ("Choose well.",)


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
    # What is new is written as it is read, but for its size.
    read, written = (new.state_dict()[part][green] for part in ("model.embed_tokens.weight", "lm_head.weight"))
    assert torch.cosine_similarity(read, written, dim=0) > 0.999
    assert red_before != red_now
    assert torch.equal(new.model.layers[0].mlp.up_proj.weight, old.model.layers[0].mlp.up_proj.weight)
