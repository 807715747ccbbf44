"""Lines of the actors for the user: the driver shows them, each once, whichever of the actors say it."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from client.endpoints.places import BACK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from client.endpoints.retry import Notify

ECHO_S = 30.0
"""What one actor has said is said by no other for so long: they all meet the same endpoints."""
LOOK_S = 0.5
_LAST_LOOK_S = 10.0


class Taken(NamedTuple):
    """Lines for the user, and by what name they are acknowledged."""

    name: str
    lines: list[str]


class Notes:
    """Lines that were said and that the driver may not have yet."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """None are there yet."""
        self._clock = clock
        self._lines: list[str] = []
        self._said: dict[str, tuple[str, float]] = {}
        """Line -> the actor that said it, and when."""
        self._taken, self._count = "", 0
        """The name of what was taken last, and how many lines it was."""

    def say(self, actor: str, line: str) -> None:
        """Take a line, unless another actor has just said it."""
        now = self._clock()
        self._said = {known: said for known, said in self._said.items() if now - said[1] < ECHO_S}
        if self._said.setdefault(line, (actor, now))[0] == actor:
            self._lines.append(line)
            self._said = {known: said for known, said in self._said.items() if not _ends(line, known)}

    def take(self, acknowledged: str) -> Taken:
        """What was said and not acknowledged: an answer may come too late for who asked. "": nothing is."""
        if acknowledged == self._taken:
            del self._lines[: self._count]
        self._taken, self._count = uuid4().hex, len(self._lines)
        return Taken(self._taken, list(self._lines))


def _ends(line: str, earlier: str) -> bool:
    """Whether a line says that an endpoint is back, or that it is not any more: the earlier one may be said again."""
    if line == earlier or line.endswith(BACK) == earlier.endswith(BACK):
        return False
    back, other = (line, earlier) if line.endswith(BACK) else (earlier, line)
    return back.removesuffix(BACK).rpartition(" ")[2] in other


@contextmanager
def showing(take: Callable[[str], Taken], show: Notify) -> Iterator[None]:
    """Show what actors say inside the block, as it comes."""
    ended, shown = threading.Event(), ""

    def look() -> None:
        nonlocal shown
        with suppress(Exception):  # Ray's, of many kinds: what keeps the lines is away for a moment, or for ever
            shown, lines = take(shown)
            for line in lines:
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
