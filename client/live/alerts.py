"""Whether the answer to a question of yes or no has changed."""

from __future__ import annotations


class AlertState:
    """One question, and its answer so far."""

    def __init__(self, question: str, after: int) -> None:
        """A change counts once it was answered `after` times, one after the other."""
        self.question = question
        self._after = after
        self._answer = False
        """Before the first answer it is no: that something is there already is a change."""
        self._others = 0

    def take(self, *, answer: bool) -> bool:
        """An answer about a newer clip; whether it makes a change."""
        if answer == self._answer:
            self._others = 0
            return False
        self._others += 1
        if self._others < self._after:
            return False
        self._answer, self._others = answer, 0
        return True
