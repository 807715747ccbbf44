"""What the engine is asked and what it answers: one sentence, and its translation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from translator.glossary import Term
    from translator.text.placement import Anchor

MAX_SOURCE_TOKENS = 200
"""Longest sentence given to the model. It takes 1024, but was trained on sentences: longer ones lose parts, and
one of 500 keeps a CPU busy, and everybody else waiting, for a minute."""
ANSWER_TOKENS = {8: 48, 32: 128, 96: 288, MAX_SOURCE_TOKENS: 500}
"""Source tokens up to -> answer tokens at most. A batch has one limit for all its rows, so only sentences of
one class share a batch: then a sentence's translation does not depend on its company."""
CUT = "no end: the translation was cut"
"""The issue of a translation that reached its class's most answer tokens."""

BatchClass = tuple[int, int, bool, int, bool]


@dataclass(frozen=True, slots=True)
class Job:
    """A sentence to translate; equal jobs have equal translations."""

    text: str
    source: str
    target: str
    tokens: tuple[str, ...] = field(compare=False, repr=False)
    """The text's tokens, without language and end."""
    no_repeat: int = 0
    """No run of so many tokens may come twice in the translation; 0 allows all."""
    whole: bool = field(default=True, compare=False)
    """Whether it needs the whole vocabulary (see `Engine.job`)."""
    hypotheses: int = 1
    """Translations wanted, the best and alternatives; at most the size of the beam."""
    align: bool = False
    """Whether to tell which words translate which."""
    terms: tuple[Term, ...] = ()
    """Of a glossary, that it holds; checked, not given to the model."""

    @property
    def length_class(self) -> int:
        """The most source tokens of the class of `ANSWER_TOKENS` that it falls in."""
        return next(limit for limit in ANSWER_TOKENS if len(self.tokens) <= limit)

    @property
    def batch_class(self) -> BatchClass:
        """Only sentences of one class share a batch, whatever their languages; low classes are quick."""
        return self.length_class, self.no_repeat, self.whole, self.hypotheses, self.align


@dataclass(frozen=True, slots=True)
class Translation:
    """What the model made of a sentence."""

    text: str
    issues: tuple[str, ...] = ()
    """What speaks against it, each in a few words; empty for a good one."""
    score: float = 0.0
    """Mean log-probability of its tokens, the end among them."""
    failed: bool = False
    """The model raised an error; `text` is the source."""
    by: str = ""
    """Which other model made it; empty for the service's own."""
    alternatives: tuple[str, ...] = ()
    """Other translations, the likeliest first."""
    anchors: tuple[Anchor, ...] = field(default=(), compare=False, repr=False)
    """Which place of the source each token translates, if that was asked for and `text` is the model's own."""
    remarks: tuple[str, ...] = ()
    """What is worth to know of a good one: figures given in other units."""
