"""A ledger of one block of sources on the machine that works on it, each of whose answers is an object, too.

It begins empty: what is known of a content is brought in when it is first asked for, from the journal and from the
Parquet tables. An answer counts as done, and its place goes to the next request of its block, once it is in the store:
so it costs what is in flight to lose the machine, and answers on their way to the store, of which a block has at most
as many as the actor may have requests in flight.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import orjson

from client.cluster.rows import answer_doc, folder_of, keeps, media_doc, name_of, take
from client.ledger.events import AnswerStored, MediaLoaded, MediaProbed, RequestFailed, TranslationsStored
from client.ledger.ledger import Ledger
from client.ledger.sqlite_errors import sqlite_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from client.cluster.objects import Objects
    from client.cluster.rows import Doc
    from client.cluster.tables import Tables
    from client.ledger.events import Event
    from client.ledger.rows import StoredFile
    from client.media.load import Identity
    from client.sources.source import Source
    from client.tasks.plan import Plan, Request


def read_docs(objects: Objects, names: Iterable[str]) -> list[Doc]:
    """Some of the journal, without what was broken off while it was written.

    Raises:
        LedgerError: it cannot be read.
    """
    docs: list[Doc] = []
    for content in objects.get(names).values():
        try:
            docs.append(orjson.loads(content))
        except ValueError:  # of a file system that keeps half of a file when it fails
            continue
    return docs


class JournaledLedger(Ledger):
    """See the module."""

    def __init__(self, folder: Path, objects: Objects, tables: Tables, run: int, redo_run: int | None) -> None:
        """A new ledger in `folder`, of the cluster's `run`; `redo_run` is the one that began what is done again."""
        super().__init__(folder)
        self._objects, self._tables = objects, tables
        self._cluster_run, self._redo_run = run, redo_run
        self._fetched: set[str] = set()
        self._translates = False

    def begin_run(self, plan: Plan, sources: list[Source], redo: str | None = None) -> bool:
        """As of any ledger; the run has the cluster's number."""
        self._translates = bool(plan.languages)
        goes_on = super().begin_run(plan, sources, redo)
        with sqlite_errors(self._path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("UPDATE runs SET id = ?", (self._cluster_run,))
            self._connection.execute("UPDATE sources SET run = ?", (self._cluster_run,))
            self._connection.execute("UPDATE redo SET run = ?", (self._redo_run or self._cluster_run,))
        self._run = self._cluster_run
        return goes_on

    def files(self, wanted: Sequence[tuple[Identity, list[Request]]]) -> list[StoredFile]:
        """As of any ledger, once what the cluster knows of these contents is brought in, all of them together."""
        new = {identity.sha256: None for identity, _ in wanted if identity.sha256 not in self._fetched}
        if new:
            self._bring_in(list(new))
        return super().files(wanted)

    def _bring_in(self, new: list[str]) -> None:
        found = itertools.chain.from_iterable(
            self._objects.names_below([folder_of(content) for content in new]).values()
        )
        docs = [*self._tables.docs(new), *read_docs(self._objects, found)]
        with sqlite_errors(self._path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            for doc in docs:
                take(self._connection, doc)
        self._fetched.update(new)

    def write(self, events: Sequence[Event]) -> None:
        """Keep what events tell; what models and translator said is in the store when this returns."""
        super().write(events)
        asks, contents = {}, set()
        for event in events:
            if isinstance(event, AnswerStored | RequestFailed | TranslationsStored):
                asks[event.ask.key] = event.ask.unit.content
            elif isinstance(event, MediaProbed | MediaLoaded):
                contents.add(event.identity.sha256)
        with sqlite_errors(self._path):
            docs = [answer_doc(self._connection, content, key) for key, content in asks.items()]
            docs += [media_doc(self._connection, content) for content in contents.difference(asks.values())]
        if docs:
            self._put({name_of(doc): doc for doc in docs})

    def _put(self, docs: dict[str, Doc]) -> None:
        """Write docs by their names, but for those in whose place is what another actor wrote, and what is better."""
        less = [name for name, doc in docs.items() if self._may_be_less(doc)]
        kept = {name_of(stored) for stored in read_docs(self._objects, less) if keeps(stored, docs[name_of(stored)])}
        self._objects.put({name: orjson.dumps(doc) for name, doc in docs.items() if name not in kept})

    def _may_be_less(self, doc: Doc) -> bool:
        answer = doc["answer"]
        if not answer:
            return False
        return answer["state"] != "done" or (self._translates and not doc["translations"])
