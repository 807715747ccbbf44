"""The sound of a file on its way to a transcript, and what waits to be told of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from client.tasks import transcript

if TYPE_CHECKING:
    from client.media.content import Span
    from client.tasks.plan import UnitRequest
    from client.tasks.transcript import Said

MARGIN_US = 1000
"""Times of segments are rounded: one that begins so much behind a window's end may seem to begin within it."""


class Parts(NamedTuple):
    """What requests about a content need of it."""

    by_measure: dict[str | None, bytes]
    """JSON: its media as the endpoint takes them, or what is measured, by `Request.measure`."""
    still: bool = False
    """Its frames hardly change; only looked at where somebody talks."""

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(map(len, self.by_measure.values()))


class Held(NamedTuple):
    """What is decoded and waits for what is said in that time."""

    untold: list[UnitRequest]
    """Requests about one look, without a transcript yet."""
    parts: Parts

    @property
    def span(self) -> Span | None:
        """The time that they are about; None: all of it."""
        return self.untold[0].unit.span


class Hearing:
    """What is said in a file, as far as that is known; pieces of its sound are transcribed in any order."""

    def __init__(self) -> None:
        """Begin before the first piece."""
        self.said: list[Said] = []
        """In order, up to `reached_us`; without what failed."""
        self.reached_us = 0
        """Of the file's time: up to here all is transcribed."""
        self.over = False
        """There is no more to come."""
        self.lost = False
        """And it is not all: the file has changed, or the run ends."""
        self.held: list[Held] = []
        self.later: list[UnitRequest] = []
        """Requests without a transcript yet, and not decoded either."""
        self._pieces: dict[int, list[Said] | None] = {}
        self._decoded_us = 0
        self.news = asyncio.Event()
        """Is set when more is known, or held; another one stands here then."""

    def begin(self, span: Span) -> None:
        """A piece, behind all others so far, is to be transcribed."""
        self._pieces[span.start_us] = None
        self._decoded_us = span.end_us
        self._advance()

    def add(self, span: Span, said: list[Said]) -> None:
        """A piece is transcribed."""
        self._pieces[span.start_us] = said
        self._advance()

    def pass_silence(self, until_us: int) -> None:
        """There is nothing to be heard from the last piece until then."""
        self._decoded_us = until_us
        self._advance()

    def end(self, *, lost: bool = False) -> None:
        """All is heard that is to be heard."""
        if not self.over:
            self.over, self.lost = True, lost
            self._wake()

    def knows(self, span: Span | None) -> bool:
        """Whether it is known what is said in a time; None: as much as a prompt about the whole file holds."""
        if span is None:
            return self.over or transcript.fills(self.said)
        return self.over or self.reached_us >= span.end_us + MARGIN_US

    def hold(self, held: Held) -> None:
        """Keep something until `take_held` gives it."""
        self.held.append(held)
        self._wake()

    def take_held(self) -> list[Held]:
        """What was held and is waited for no longer."""
        ready = [held for held in self.held if self.knows(held.span)]
        self.held = [held for held in self.held if not self.knows(held.span)]
        return ready

    def take_later(self) -> list[UnitRequest]:
        """What is to be decoded now."""
        later, self.later = self.later, []
        return later

    def _advance(self) -> None:
        for start_us, said in list(self._pieces.items()):
            if said is None:
                self.reached_us = start_us
                break
            self.said += said
            del self._pieces[start_us]
        else:
            self.reached_us = self._decoded_us
        self._wake()

    def _wake(self) -> None:
        self.news.set()
        self.news = asyncio.Event()
