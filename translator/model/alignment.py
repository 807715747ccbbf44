"""Which part of a sentence each token of its translation comes from, by the decoder's attention."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from translator.model.job import Job
    from translator.text.placement import Anchor

_REACH = 0.4
"""A token far from its translation, in shares of the sentence, must have more attention: a weak one says little."""
_END = "</s>"
_SPACE = "\u2581"
"""How SentencePiece writes a space."""


def anchors(job: Job, tokens: Sequence[str], attention: Sequence[Sequence[float]], text: str) -> tuple[Anchor, ...]:
    """For each token of a translation, its place there and the place in the source that it attends to most.

    Args:
        job: the sentence.
        tokens: of the translation, the end among them.
        attention: for each of them, weights over the source's tokens: language, sentence, end.
        text: the translation.

    Returns:
        () if the tokens do not spell the texts (the tokenizer has normalised something away).
    """
    spans = _spans(tokens, text)
    places = _spans(job.tokens, job.text)
    if spans is None or places is None or not places or len(attention) < len(spans):
        return ()
    found: list[Anchor] = []
    for (start, end), weights in zip(spans, attention, strict=False):
        if end > start:
            there = (start + end) / 2 / len(text)
            middles = [(first + last) / 2 for first, last in places]
            _, place = max(
                (weight * math.exp(-abs(middle / len(job.text) - there) / _REACH), middle)
                for weight, middle in zip(weights[1:], middles, strict=False)
            )
            found.append((start, end, place))
    return tuple(found)


def _spans(tokens: Sequence[str], text: str) -> list[tuple[int, int]] | None:
    """Start and end of each token in its text, without the space before it; None if they do not spell it."""
    spans: list[tuple[int, int]] = []
    spelled = "".join(token.replace(_SPACE, " ") for token in tokens if token != _END)
    skipped = len(spelled) - len(spelled.lstrip())
    if len(spelled.strip()) != len(text):
        return None
    at = -skipped
    for token in tokens:
        if token == _END:
            break
        bare = token.lstrip(_SPACE)
        spans.append((max(0, at + len(token) - len(bare)), max(0, at + len(token))))
        at += len(token)
    return spans
