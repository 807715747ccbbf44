"""The journal of a run that has come to its end becomes Parquet tables; what is in these is removed from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from client.cluster.journal import read_docs
from client.cluster.records import SOURCES, source_rows
from client.cluster.tables import OF_CONTENTS, TableWriter

if TYPE_CHECKING:
    from client.cluster.objects import Objects

DIGITS = "0123456789abcdef"
_TOGETHER = 256


def compact(objects: Objects, part: str) -> int:
    """Compact what is known of contents whose sha256 begins with a digit, or of sources; returns how many objects.

    An object is removed once its rows are in a table. What is broken off may be done again: of rows that are there
    twice one counts.

    Raises:
        LedgerError: something cannot be read or written.
    """
    return _compact_sources(objects) if part == SOURCES else _compact_contents(objects, part)


def _compact_contents(objects: Objects, digit: str) -> int:
    names = objects.names(f"journal/{digit}")
    if not names:
        return 0
    with TableWriter(objects, OF_CONTENTS, digit) as writer:
        for at in range(0, len(names), _TOGETHER):
            for doc in sorted(read_docs(objects, names[at : at + _TOGETHER]), key=lambda doc: doc["content"]):
                writer.add_doc(doc)
    objects.delete(names)
    return len(names)


def _compact_sources(objects: Objects) -> int:
    names = objects.names(SOURCES)
    if not names:
        return 0
    with TableWriter(objects, ("sources", "uris"), "s") as writer:
        for sources, uris in source_rows(objects, names):
            for row in sources:
                writer.add("sources", row)
            for row in uris:
                writer.add("uris", row)
    objects.delete(names)
    return len(names)
