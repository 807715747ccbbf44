"""A content on its way through the pipeline, and what is still to be done about it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from client.ledger.ledger import Ledger
from client.record import missing_languages, texts_of

if TYPE_CHECKING:
    from client.ledger.redo import Redo
    from client.ledger.rows import StoredAnswer, StoredFile
    from client.ledger.writer import Change
    from client.media.load import Identity
    from client.sources.source import Source
    from client.tasks.plan import Plan, Request


@dataclass(slots=True, eq=False)
class Job:
    """A content, and the sources that hold it."""

    identity: Identity
    sources: list[Source]
    parts: bytes = b""
    """Its media as they are sent, while something is to be asked."""
    asked: int = 0
    """Requests of this run about it."""
    to_ask: int = 0
    """Of `asked`: those without an answer yet."""
    texts: list[tuple[Request, list[str], list[str]]] = field(default_factory=list)
    """Waiting to be translated: request, texts, languages."""
    asking_since: float = 0.0
    changes: list[Change] = field(default_factory=list)
    """For the ledger; what can be found out again waits here for what cannot."""
    problems: list[str] = field(default_factory=list)
    finished: bool = False
    reused: bool = False
    """An earlier run had done it all."""

    @property
    def name(self) -> str:
        """As the user knows it."""
        return self.sources[0].name

    def take_changes(self) -> list[Change]:
        """What is to be written now."""
        changes, self.changes = self.changes, []
        return changes

    def add_seconds(self, since: float) -> None:
        """Count the time spent on it since then."""
        self.changes.append(partial(Ledger.add_seconds, sha256=self.identity.sha256, seconds=time.monotonic() - since))

    def missing_requests(self, stored: StoredFile, plan: Plan, redo: Redo | None) -> list[Request]:
        """What is to be asked; what is to be translated, or failed for good, is noted."""
        missing: list[Request] = []
        for request in plan.requests[self.identity.kind]:
            answer = stored.answers.get(request.key)
            if answer is None or answer.state == "pending" or (redo and redo.again(request, answer)):
                missing.append(request)
            elif answer.state == "done":
                self.want_translations(request, answer, plan)
            else:
                self.problems.append(f"{request.key}: {answer.error} (in an earlier run; --redo failed tries again)")
        if stored.error and not redo:
            self.problems.append(stored.error)
            return []
        return missing

    def want_translations(self, request: Request, answer: StoredAnswer, plan: Plan) -> None:
        """Note what of an answer has yet to be translated."""
        if languages := missing_languages(request, answer, plan):
            self.texts.append((request, texts_of(request, answer.text), languages))
