"""What a run counts while it goes on, for the user to see."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from client.endpoints.completion import Answer
    from client.media.kinds import Kind


@dataclass
class Counters:
    """The counts of a run, kept up to date by its stages."""

    files: int = 0
    done: int = 0
    reused: int = 0
    """Files of `done` that an earlier run had finished."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """(name, reason) of each file that failed."""
    unasked: Counter[Kind] = field(default_factory=Counter)
    """Files about which no task asks anything, by kind: neither done nor failed."""
    partial: float = 0.0
    """Files in flight, each counted by the part of its requests that is answered: 2 of 3 requests are 0.67."""
    files_in_flight: int = 0
    requests: int = 0
    """Requests that are answered or given up."""
    requests_failed: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    """Answers by their verdicts: `ok`, `retried`, `doubtful`."""
    in_flight: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0

    def count(self, verdict: str, given: Iterable[Answer]) -> None:
        """Count an answer, and the tokens of all that was given to get it."""
        self.verdicts[verdict] += 1
        for answer in given:
            self.prompt_tokens += answer.prompt_tokens
            self.generated_tokens += answer.generated_tokens
