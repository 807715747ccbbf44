"""What the gateway and the process that decodes sounds tell each other; light, for both import it."""

from __future__ import annotations

import msgspec

RATE = 16_000
"""Samples a second of a sound as engines get it, each a float32 number."""
SAMPLE_BYTES = 4


class Task(msgspec.Struct, frozen=True):
    """A sound to be decoded."""

    size: int
    """Bytes that follow."""
    most_s: float
    """A longer sound is refused."""


class Decoded(msgspec.Struct, frozen=True):
    """What became of it."""

    size: int = 0
    """Bytes of the WAV file that follows."""
    samples: int = 0
    problem: str | None = None
    """What is wrong with the file, for people."""
    code: str | None = None
    """The same for programs."""
