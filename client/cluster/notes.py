"""Lines of the actors for the user: the driver shows them, each once, whichever of the actors say it."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from client.endpoints.retry import Notify

ECHO_S = 30.0
"""What one actor has said is said by no other for so long: they all meet the same endpoints."""
LOOK_S = 0.5
_LAST_LOOK_S = 10.0


class Notes:
    """Lines that were said and not taken yet."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """None are there yet."""
        self._clock = clock
        self._lines: list[str] = []
        self._said: dict[str, tuple[str, float]] = {}
        """Line -> the actor that said it, and when."""

    def say(self, actor: str, line: str) -> None:
        """Take a line, unless another actor has just said it."""
        now = self._clock()
        self._said = {known: said for known, said in self._said.items() if now - said[1] < ECHO_S}
        if self._said.setdefault(line, (actor, now))[0] == actor:
            self._lines.append(line)

    def take(self) -> list[str]:
        """What was said since the last call."""
        lines, self._lines = self._lines, []
        return lines


@contextmanager
def showing(take: Callable[[], list[str]], show: Notify) -> Iterator[None]:
    """Show what actors say inside the block, as it comes."""
    ended = threading.Event()

    def look() -> None:
        with suppress(Exception):  # Ray's, of many kinds: what keeps the lines is away for a moment, or for ever
            for line in take():
                show(line)

    def follow() -> None:
        while not ended.wait(LOOK_S):
            look()
        look()

    following = threading.Thread(target=follow, name="notes", daemon=True)
    following.start()
    try:
        yield
    finally:
        ended.set()
        following.join(_LAST_LOOK_S)
