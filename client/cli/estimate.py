"""How many tokens requests will take, before they are made.

The ledger's own past is the best guide: the mean of earlier answers to the same request. Without any, the prompt is its
text (four characters a token, as English has, and the chat template) and its media, by the model's geometry; the answer
is as long as the prompt file allows at most.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from client.media.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from client.tasks.plan import Request

CHARACTERS_PER_TOKEN = 4
TEMPLATE_TOKENS = 20
LLAVA_FRAME_TOKENS = 144
"""LLaVA-NeXT-Video: 24 x 24 patches of a frame of 336 pixels, pooled 2 x 2."""
LLAMA_IMAGE_TOKENS = 1
"""Llama 3.2 Vision: the 1601 states of each tile are attended to across, they are not in the prompt."""
_LLAVA, _LLAMA = re.compile(r"llava-next-video", re.IGNORECASE), re.compile(r"llama-?3\.2.*vision", re.IGNORECASE)

Means = dict[tuple[str, str, str, str], tuple[float, float]]
"""Request identity -> mean tokens of prompt and answer."""


class Tokens(NamedTuple):
    """Tokens of some requests."""

    prompt: float = 0.0
    answer: float = 0.0

    def plus(self, other: Tokens) -> Tokens:
        """Both together."""
        return Tokens(self.prompt + other.prompt, self.answer + other.answer)

    def cost(self, price_in: float, price_out: float) -> float:
        """What they cost, at prices for a million."""
        return (self.prompt * price_in + self.answer * price_out) / 1e6


def money(cost: float) -> str:
    """A cost as text: cents matter where there is little else."""
    return f"{cost:,.2f}" if cost >= 1 else f"{cost:.4f}"


class Estimate(NamedTuple):
    """What one request will take, and what that rests on."""

    tokens: Tokens
    basis: str


def estimate(
    request: Request, kind: Kind, frames: int, means: Mapping[tuple[str, str, str, str], tuple[float, float]]
) -> Estimate:
    """The tokens of one request about a file of this kind; of a video, `frames` are sent."""
    if mean := means.get(request.identity):
        return Estimate(Tokens(*mean), "the mean of earlier answers")
    text = len(request.prompt) / CHARACTERS_PER_TOKEN + TEMPLATE_TOKENS
    answer = f"at most {request.max_tokens} tokens of answer"
    if kind is Kind.VIDEO and _LLAVA.search(request.model):
        media, basis = LLAVA_FRAME_TOKENS * frames, f"{LLAVA_FRAME_TOKENS} tokens a frame, {answer}"
    elif kind is Kind.IMAGE and _LLAMA.search(request.model):
        media, basis = LLAMA_IMAGE_TOKENS, f"no tokens of the picture in the prompt, {answer}"
    else:
        media, basis = 0, f"{answer}; what media cost {request.model} is not known and NOT counted"
    return Estimate(Tokens(text + media, request.max_tokens), basis)
