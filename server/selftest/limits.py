"""What a model could do at most with the bandwidth and the arithmetic of a device: no engine is quicker.

Only what cannot be avoided is counted: each step reads the weights of the text layers and of the head once, and each
token, patch and pair of patches is multiplied. Whatever else an engine does makes it slower than these limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.selftest.device import Speeds
    from server.sizing.memory import Model


def tokens_per_s(model: Model, speeds: Speeds, requests: int, tokens: int) -> float:
    """Tokens a second that so many requests can write, together.

    Args:
        model: Its sizes.
        speeds: The device's.
        requests: At once; each writes a token a step.
        tokens: That each has on average while it writes.
    """
    text = model.text
    head = text.hidden * text.vocabulary
    written = text.linear - _cross_keys(model)  # keys and values of pictures are made once, not for each token
    read = model.linear_bytes * written / text.linear + head * text.number + requests * text.kv_per_token * tokens
    multiplied = 2 * requests * (written + head)
    return requests / max(read / speeds.bytes_per_s, multiplied / speeds.best_flops_per_s)


def media_per_s(model: Model, speeds: Speeds, items: int = 1) -> float:
    """Pictures, or videos of so many frames, that can be looked at in a second, each with its first token.

    Args:
        model: Its sizes.
        speeds: The device's.
        items: Frames of a video; 1 for a picture.
    """
    text, vision = model.text, model.vision
    tower = items * (2 * vision.matrices * vision.tokens + 4 * vision.layers * vision.width * vision.tokens**2)
    if text.cross_layers:  # the text layers see a picture through keys and values alone
        seen = 2 * _cross_keys(model) * vision.output_tokens
    else:
        seen = 2 * text.linear * vision.output_tokens * items
    return speeds.best_flops_per_s / (tower + seen)


def _cross_keys(model: Model) -> int:
    """Weights that make keys and values of pictures."""
    text = model.text
    return 2 * text.cross_layers * text.hidden * text.kv_heads * text.head_dim
