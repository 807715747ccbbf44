"""A live session in the ledger: as a file, whose segments are what was said of its moments."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from client.ledger.events import AnswerStored, MediaLoaded, RunEnded, SourceCompleted, TranslationsStored, UriSeen
from client.ledger.ledger import Ledger
from client.ledger.rows import StoredTranslation
from client.live.asker import unit_of
from client.live.events import LiveAlert, LiveCaption
from client.media.content import Facts
from client.media.kinds import Kind
from client.media.load import Identity
from client.sources.source import KnownSource, Source
from client.tasks.plan import UnitRequest

if TYPE_CHECKING:
    from pathlib import Path

    from client.ledger.events import Event
    from client.live.events import LiveEvent, LiveSession
    from client.tasks.plan import Plan


class LiveLedger:
    """Keeps what comes of a run: each session is a source of its own, `NAME#SESSION`, and a run of the ledger."""

    def __init__(self, folder: Path, plan: Plan, name: str) -> None:
        """Open the ledger of a folder; `plan` is what is asked about videos.

        Raises:
            LedgerError: it cannot be opened.
        """
        self._plan, self._name = plan, name
        self._ledger = Ledger(folder)
        self._thread = ThreadPoolExecutor(1, "ledger")
        self._session: LiveSession | None = None
        self._until_us = 0
        self.facts: Facts | None = None
        """Of the source, once they are known: of the whole session at its end."""
        self.received = 0
        """Frames so far, over all sessions."""
        self._received_before = 0

    async def add(self, event: LiveEvent) -> None:
        """Keep an event.

        Raises:
            LedgerError: it cannot be written.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._add, event)

    def _add(self, event: LiveEvent) -> None:
        if event.session.follows(self._session):  # of the one before some may still come
            self._end()
            self._begin(event.session)
        self._until_us = max(self._until_us, event.end_us)
        self._ledger.write(_changes(event))

    def _begin(self, session: LiveSession) -> None:
        self._session = session
        identity = _identity(session)
        source = Source(f"{self._name}#{session.id}", session.content, remote=True)
        self._ledger.begin_run(self._plan, [source])
        # Finished from the beginning: what is there of a stream is all that there will be.
        self._ledger.write(
            [
                UriSeen(source.uri, KnownSource(None, 0, identity)),
                MediaLoaded(identity, 0.0, self.facts),
                SourceCompleted(source.position, session.content, None),
            ]
        )

    def _end(self, stats: dict[str, Any] | None = None) -> None:
        """Note how long the session was."""
        if self._session is None:
            return
        lasted_s = max(0, self._until_us - self._session.offset_us) / 1e6
        frames = self.received - self._received_before
        self._received_before = self.received
        facts = self.facts or Facts(0, 0)
        facts = replace(facts, duration_sec=round(lasted_s, 3), frames=frames)
        if lasted_s:
            facts = replace(facts, fps=round(frames / lasted_s, 3))
        self._ledger.write([MediaLoaded(_identity(self._session), lasted_s, facts), RunEnded(stats or {})])

    def close(self, stats: dict[str, Any]) -> None:
        """End the session with what was counted, and close the ledger."""
        try:
            self._thread.submit(self._end, stats).result()
        finally:
            self._thread.shutdown()
            self._ledger.close()


def _identity(session: LiveSession) -> Identity:
    return Identity(session.content, Kind.VIDEO, None)


def _changes(event: LiveEvent) -> list[Event]:
    """What the ledger keeps of an event."""
    if isinstance(event, LiveAlert):
        unit = unit_of(event.session, event.start_us, event.end_us)
        return [AnswerStored(UnitRequest(unit, event.ask.request), event.said)]
    changes: list[Event] = []
    for answer in event.answers if isinstance(event, LiveCaption) else (event.answer,):
        changes.append(AnswerStored(answer.ask, answer.answer))
        if answer.translations:
            joined = {code: StoredTranslation.joined(parts) for code, parts in answer.translations.items()}
            changes.append(TranslationsStored(answer.ask, joined))
    return changes
