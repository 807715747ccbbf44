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
"""Llama 3.2 Vision: the token that stands for a picture in the prompt."""
LLAMA_TILE_TOKENS = 1601
"""Llama 3.2 Vision: 40 x 40 patches of a tile of 560 pixels, and the class token. They are attended to across, beside
the prompt: they take the server's time and memory, and its count of prompt tokens leaves them out."""
_LLAVA, _LLAMA = re.compile(r"llava-next-video", re.IGNORECASE), re.compile(r"llama-?3\.2.*vision", re.IGNORECASE)

Means = dict[tuple[str, str, str, str], tuple[float, float]]
"""Request identity -> mean tokens of prompt and answer."""


class Tokens(NamedTuple):
    """Tokens of some requests."""

    prompt: float = 0.0
    answer: float = 0.0
    beside: float = 0.0
    """Tokens of pictures beside the prompt: not in the server's own count, and not in the cost."""

    def __add__(self, other: object) -> Tokens:
        """The sum of both."""
        if not isinstance(other, Tokens):
            return NotImplemented
        return Tokens(self.prompt + other.prompt, self.answer + other.answer, self.beside + other.beside)

    def cost(self, price_in: float, price_out: float) -> float:
        """What they cost, at prices for a million."""
        return (self.prompt * price_in + self.answer * price_out) / 1e6

    def __str__(self) -> str:
        """For a line of the dry run."""
        beside = f", {self.beside:,.0f} more for pictures," if self.beside else ""
        return f"{self.prompt:,.0f} tokens in{beside} and {self.answer:,.0f} out"


def money(cost: float) -> str:
    """A cost as text: cents matter where there is little else."""
    return f"{cost:,.2f}" if cost >= 1 else f"{cost:.4f}"


class Estimate(NamedTuple):
    """What requests will take, and what that rests on."""

    tokens: Tokens
    basis: str


def has_tiles(request: Request, kind: Kind) -> bool:
    """Whether the model cuts a file of this kind into tiles."""
    return kind is Kind.IMAGE and _LLAMA.search(request.model) is not None


def estimate(
    request: Request,
    kind: Kind,
    count: int,
    means: Mapping[tuple[str, str, str, str], tuple[float, float]],
    *,
    frames: int,
    tiles: int = 0,
) -> Estimate:
    """The tokens of `count` requests about as many files of a kind: videos of `frames`, pictures of `tiles` in all."""
    beside = LLAMA_TILE_TOKENS * tiles if has_tiles(request, kind) else 0
    attended = f"{LLAMA_TILE_TOKENS:,} tokens for each tile of a picture, uncounted by the server" if beside else ""
    if mean := means.get(request.identity):
        prompt, answer = mean
        basis = ", ".join(filter(None, ("the mean of earlier answers", attended)))
        return Estimate(Tokens(prompt * count, answer * count, beside), basis)
    prompt = len(request.prompt) / CHARACTERS_PER_TOKEN + TEMPLATE_TOKENS
    basis = f"at most {request.max_tokens} tokens of answer"
    if kind is Kind.VIDEO and _LLAVA.search(request.model):
        prompt += LLAVA_FRAME_TOKENS * frames
        basis = f"{LLAVA_FRAME_TOKENS} tokens a frame, {basis}"
    elif has_tiles(request, kind):
        prompt += LLAMA_IMAGE_TOKENS
        basis = ", ".join(filter(None, (attended, basis)))
    else:
        basis += f"; what media cost {request.model} is not known and NOT counted"
    return Estimate(Tokens(prompt * count, request.max_tokens * count, beside), basis)
