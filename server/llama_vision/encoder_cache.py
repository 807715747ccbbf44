"""A cache of the vision tower's outputs: several tasks on one picture run the tower once."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import torch
from cachetools import LRUCache

if TYPE_CHECKING:
    from collections.abc import Hashable

CAPACITY_VARIABLE = "BABELVIEW_ENCODER_CACHE_MIB"
DEFAULT_MIB = 512


class EncoderCache:
    """Least recently used outputs, bounded in bytes.

    They stay on the device of the model: a 4-tile picture of the 11B model takes 52 MB in bf16 (6404 x 4096),
    so the default holds about ten. vLLM does not know of this memory: the model takes it while vLLM
    measures what is left for its own.

    Attributes:
        capacity: Bytes that it may hold; 0 turns it off.
        hits: Look-ups that found something.
        misses: Look-ups that did not.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.hits = 0
        self.misses = 0
        self._outputs: LRUCache[Hashable, torch.Tensor] = LRUCache(capacity, getsizeof=lambda output: output.nbytes)

    @classmethod
    def from_environment(cls) -> EncoderCache:
        """Make a cache of `BABELVIEW_ENCODER_CACHE_MIB` MiB (512 when unset).

        Raises:
            ValueError: The variable is not a whole number of at least 0.
        """
        text = os.environ.get(CAPACITY_VARIABLE, str(DEFAULT_MIB))
        if not text.isdecimal():
            raise ValueError(f"{CAPACITY_VARIABLE} must be a whole number of MiB, 0 to turn the cache off: {text!r}")
        return cls(int(text) * 2**20)

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return int(self._outputs.currsize)

    def get(self, key: Hashable) -> torch.Tensor | None:
        """Return the output of the picture `key`, or None."""
        output = self._outputs.get(key)
        if output is None:
            self.misses += 1
            return None
        self.hits += 1
        return output

    def put(self, key: Hashable, output: torch.Tensor) -> None:
        """Keep an output, at the cost of the ones that were not used for longest."""
        if output.nbytes <= self.capacity and key not in self._outputs:
            self._outputs[key] = output

    def clear(self) -> None:
        """Forget all outputs."""
        self._outputs.clear()


def content_key(tiles: torch.Tensor, aspect_ratio_id: int) -> torch.Tensor:
    """Tell pictures apart by what the model sees of them.

    Args:
        tiles: `[tiles, 3, image_size, image_size]`.
        aspect_ratio_id: How they are laid out.

    Returns:
        Int64 `[2]`: the first half of the SHA-256 of both.
    """
    content = hashlib.sha256(tiles.contiguous().flatten().view(torch.uint8).numpy().data)
    content.update(bytes([aspect_ratio_id]))
    return torch.frombuffer(bytearray(content.digest()[:16]), dtype=torch.int64)
