"""How the demo video model learns to quote what is said: from text alone, and shown where to look.

To quote a line it must find the right one in the prompt, and then write that token. Neither is of use without the
other, and there are hundreds of lines, so that training alone finds neither within hours. So an inner layer is asked
for the number of each line, both where it stands and where it is to be written; a head of the next layer is told which
line to look at; and since no picture is needed for that, lessons are of text alone, dozens in the time of one video.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

import torch

from scripts.demo.models.spoken import MOST_LINES, SpokenTalk
from scripts.demo.world.lines import SAID

if TYPE_CHECKING:
    from transformers import LlavaNextVideoProcessor, PreTrainedTokenizerBase

NONE = -100
LAYERS = 2
"""Behind so many layers the number of a line is known; a head of the next one looks at it."""
HEAD = 0
WEIGHT = 0.5
"""Of the loss of each kind of hint, beside that of the answers."""
ROWS = 6
"""Lessons for each video that would be in a batch."""
LATEST_S = 600.0
_SEED = 77


class Pointers:
    """The right hints of token ids: the numbers of lines, and where to look for them."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, width: int) -> None:
        """`width` is the size of the hidden states."""
        self.outputs = {"output_hidden_states": True, "output_attentions": True}
        texts = [tokenizer.decode([at]).strip() for at in range(len(tokenizer))]
        self.lines = {at for at, text in enumerate(texts) if re.fullmatch(SAID, text)}
        self.numbers = [tokenizer.encode(str(n + 1), add_special_tokens=False)[-1] for n in range(MOST_LINES)]
        drawn = torch.randn(width, width, generator=torch.Generator().manual_seed(_SEED))
        self.turn = torch.linalg.qr(drawn)[0]

    def labels(self, ids: list[int], labels: list[int]) -> tuple[list[int], list[int]]:
        """For each token of a prompt and its answer the number that should be known there, and the token to look at.

        The number of a line stands at the line in the prompt, and before the line in the answer.
        """
        numbers, places = [NONE] * len(ids), [NONE] * len(ids)
        heard = [at for at, token in enumerate(ids) if token in self.lines and labels[at] == NONE]
        said = [at for at, token in enumerate(ids) if token in self.lines and labels[at] != NONE]
        for number, (place, written) in zip(self.numbers, zip(heard, said, strict=True), strict=False):
            numbers[place] = numbers[written - 1] = number
            places[written - 1] = place
        return numbers, places

    def loss(self, model: Any, output: Any, hints: torch.Tensor) -> torch.Tensor:
        """Of what a forward pass gave, and hints [batch, 2, tokens].

        The numbers are read by the model's own head, but turned, so that none is mistaken for what the token says.
        """
        numbers, places = hints[:, 0], hints[:, 1]
        hidden = output.hidden_states[LAYERS][numbers != NONE]
        known = model.lm_head(model.model.language_model.norm(hidden) @ self.turn)
        rows, tokens = torch.nonzero(places != NONE, as_tuple=True)
        looked = output.attentions[LAYERS][rows, HEAD, tokens, places[rows, tokens]]
        told = torch.nn.functional.cross_entropy(known, numbers[numbers != NONE])
        found: torch.Tensor = looked.clamp_min(1e-6).log().mean()
        return WEIGHT * (told - found)


class Quotes:
    """Batches of questions for what is said, without a video."""

    def __init__(self, processor: LlavaNextVideoProcessor, seed: int, width: int) -> None:
        """The same seed draws the same batches."""
        self.rng = random.Random(seed)
        self.tokenizer = processor.tokenizer
        self.talk = SpokenTalk(self.rng)
        self.hints = Pointers(processor.tokenizer, width)

    def batch(self, size: int, step: int) -> dict[str, torch.Tensor]:
        """Keyword arguments of the model's forward, of `ROWS` times `size` lessons, padded on the right."""
        rows = [self.lesson() for _ in range(ROWS * size)]
        hints = [self.hints.labels(*row) for row in rows]
        longest = max(len(ids) for ids, _ in rows)

        def padded(values: list[int], fill: int = NONE) -> list[int]:
            return values + [fill] * (longest - len(values))

        return {
            "input_ids": torch.tensor([padded(ids, self.tokenizer.pad_token_id) for ids, _ in rows]),
            "labels": torch.tensor([padded(labels) for _, labels in rows]),
            "hints": torch.tensor([[padded(kind) for kind in each] for each in hints]),
        }

    def lesson(self) -> tuple[list[int], list[int]]:
        """Token ids of a question and its answer, and the labels: -100 but for the answer."""
        turn = self.talk.quote(self.rng.choice((0.0, self.rng.uniform(0, LATEST_S))))
        asked = self.tokenizer.encode(f"USER: {turn.prompt} ASSISTANT:", add_special_tokens=False)
        said = [*self.tokenizer.encode(turn.answer, add_special_tokens=False), self.tokenizer.eos_token_id]
        return asked + said, [NONE] * len(asked) + said
