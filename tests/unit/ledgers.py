"""Ledgers as a run leaves them, without the run."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from client.endpoints.completion import Answer
from client.ledger.events import (
    AnswerStored,
    Event,
    MediaLoaded,
    RunEnded,
    SourceCompleted,
    TranslationsStored,
    UriSeen,
)
from client.ledger.ledger import Ledger
from client.ledger.rows import StoredFile, StoredTranslation
from client.media.content import Facts
from client.media.kinds import Kind
from client.media.load import Identity
from client.media.sampling import Sampling
from client.record import texts_of
from client.sources.source import KnownSource, Source
from client.tasks.plan import Plan, UnitRequest, make_plan
from client.tasks.tasks import choose_tasks
from client.tasks.units import whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MODELS = {Kind.IMAGE: "looks", Kind.VIDEO: "watches"}
FACTS = {Kind.IMAGE: Facts(4, 3), Kind.VIDEO: Facts(8, 6, 2.5, 24.0, 60)}


def plan_of(tasks: Sequence[str], languages: tuple[str, ...] = ("spa_Latn", "fra_Latn"), question: str = "") -> Plan:
    chosen = choose_tasks(list(tasks), [question] if question else [])
    return make_plan(chosen, MODELS, 0, Sampling(), languages)


def identity_of(name: str) -> Identity:
    kind = Kind.VIDEO if name.endswith(".mp4") else Kind.IMAGE
    return Identity(hashlib.sha256(name.encode()).hexdigest(), kind, None)


def write_run(
    folder: Path,
    plan: Plan,
    names: Sequence[str],
    answers: dict[str, str],
    columns: dict[str, Any] | None = None,
) -> None:
    """A finished run: the files got these answers, by key, where they had none; a content is as unique as its name."""
    ledger = Ledger(folder)
    sources = [replace(Source.local(name, columns), position=position) for position, name in enumerate(names)]
    ledger.begin_run(plan, sources)
    ledger.apply(RunEnded({"files": len(names)}))
    for source in sources:
        identity = identity_of(source.name)
        (known,) = ledger.files([(identity, plan.requests[identity.kind])])
        ledger.write(_events(source, identity, known, plan, answers))
    ledger.close()


def _events(source: Source, identity: Identity, known: StoredFile, plan: Plan, answers: dict[str, str]) -> list[Event]:
    events: list[Event] = [
        UriSeen(source.uri, KnownSource("s", 1234, identity)),
        MediaLoaded(identity, 1.5, FACTS[identity.kind], ("odd",)),
    ]
    for request in plan.requests[identity.kind]:
        if (text := answers.get(request.key)) is None:
            continue
        ask = UnitRequest(whole(identity.sha256), request)
        stored = known.answers.get(ask.key)
        if stored is None:
            events.append(AnswerStored(ask, Answer(text, "stop", 10, 2, 0.5)))
        parts = texts_of(request, stored.text if stored else text)
        translations = {
            code: StoredTranslation([f"{code} {part}" for part in parts], [], {"ok": len(parts)})
            for code in plan.languages
        }
        events.append(TranslationsStored(ask, translations))
    return [*events, SourceCompleted(source.position, identity.sha256, None)]
