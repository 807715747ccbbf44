"""Hints: what an inner layer of the picture model should know while it learns merges of notes.

To tell what comes next it must find the note in which the scene told last is seen to change. That takes two steps, of
which neither is of use without the other, so that training alone finds both only after hours. The first is to know, at
each change, from what, and when: this is asked of a layer half-way, and then the second is learned within minutes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch

from scripts.demo.models.tokenizer import parts
from scripts.demo.world.films import SAID

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NONE = -100
"""No hint, as it is no label."""
LAYERS = 3
"""Behind so many layers."""
WEIGHT = 0.5
"""Of the loss of each kind of hint, beside that of the answers."""
_SEED = 77


class Hints:
    """The right hints of token ids, and how well a layer knows them.

    There are two kinds: a scene, as the token of `First <scene>.`, and a time, as that of its number. What a layer
    knows of each is read by the model's own head, but turned: so neither is mistaken for what the token itself says.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, width: int) -> None:
        """`width` is the size of the hidden states."""
        self.outputs = {"output_hidden_states": True}
        tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        texts = [tokenizer.convert_tokens_to_string([token]) for token in tokens]
        said = {at: text for at, text in enumerate(texts) if re.fullmatch(SAID, text)}
        first = {parts(text)[:2]: at for at, text in said.items() if text.startswith(" First ")}
        self.scenes = {at: first[parts(text)[:2]] for at, text in said.items() if parts(text)[:2] in first}
        self.changes = {at for at, text in said.items() if text.startswith(" Then ")}
        self.beginnings = set(first.values())
        self.sentences = {at for at, text in said.items() if text.endswith(".")}
        self.times = {at for at, text in enumerate(texts) if re.fullmatch(r"\d+\.0", text)}
        self.answer, self.start, self.title = tokenizer.convert_tokens_to_ids(["assistant", "start", "title"])
        drawn = torch.randn(2, width, width, generator=torch.Generator().manual_seed(_SEED))
        self.turns = torch.linalg.qr(drawn)[0]

    def labels(self, ids: list[int]) -> tuple[list[int], list[int]]:
        """Scene and time that should be known at each token of a merge and its answer, or `NONE`."""
        scenes, times = [NONE] * len(ids), [NONE] * len(ids)
        asked = ids.index(self.answer)
        time, scene = NONE, NONE
        for at, token in enumerate(ids[:asked]):
            time = token if token in self.times else time
            if token in self.beginnings:
                times[at] = time
            elif token in self.changes:
                scenes[at], times[at] = scene, time
            scene = self.scenes.get(token, scene)
        time, scene = NONE, NONE
        for at, token in enumerate(ids[asked:], asked):
            time = token if token in self.times else time
            scene = self.scenes.get(token, scene)
            if token in self.sentences or ids[at - 1] == self.start:
                scenes[at] = scene
            elif ids[at - 1] == self.title:
                scenes[at], times[at] = scene, time
        return scenes, times

    def loss(self, model: Any, output: Any, labels: torch.Tensor) -> torch.Tensor:
        """Of what a forward pass gave, and labels [batch, 2, tokens]."""
        hidden = output.hidden_states[LAYERS]
        losses = [torch.zeros(())]
        for kind, turn in enumerate(self.turns):
            hinted = labels[:, kind] != NONE
            if hinted.any():
                known = model.lm_head(model.model.language_model.norm(hidden[hinted]) @ turn)
                losses.append(torch.nn.functional.cross_entropy(known, labels[:, kind][hinted]))
        return WEIGHT * torch.stack(losses).sum()
