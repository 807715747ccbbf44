"""What the report's page knows of each file: a row of the core, and its texts by language."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from client.endpoints.language_names import language_tag, shown_name
from client.export.cues import RIGHT_TO_LEFT
from client.ledger.edits import ENGLISH, texts_of_model
from client.record import record_of
from client.tasks.schemas import is_structured, schema_of
from client.tasks.structured import times_at

if TYPE_CHECKING:
    from pathlib import Path

    from client.ledger.newest import TopicResult
    from client.ledger.results import FileResult, Results
    from client.media.strips import Strip
    from client.record import Record

_TEXTS = ("text", "sentiment")
"""Readers of answers that are one text."""
_FAILED, _DOUBTFUL, _RETRIED, _GONE, _WARNED, _TRANSLATION_DOUBTFUL = (1 << bit for bit in range(6))


class Item(NamedTuple):
    """A file, as the page gets it."""

    number: int
    """Its row in the ledger, by which links name it."""
    name: str
    kind: str
    duration_s: float
    flags: int
    sha256: str | None
    details: dict[str, Any]
    """Its record without translations, where its media lie, and which answers may be edited."""
    translations: dict[str, dict[str, Any]]
    """By language and task: the text, list or data, and those of the segments."""


class Schemas:
    """The schemas of all data that may be edited, each once."""

    def __init__(self) -> None:
        """None yet."""
        self._places: dict[str, int] = {}

    def place(self, reader: str) -> int:
        """That of the schema of a reader among them all."""
        return self._places.setdefault(reader, len(self._places))

    def all(self) -> list[dict[str, Any]]:
        """In their order."""
        return [schema_of(reader) for reader in self._places]


def item_of(file: FileResult, results: Results, page: Path | None, schemas: Schemas) -> Item:
    """A file for a page in the folder `page`, None: in a store; `schemas` gets those of its data.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    record = record_of(file, results)
    translations = _take_translations(record)
    details: dict[str, Any] = {"record": record}
    if media := _media(file.uri, page):
        details["media"] = media
    if editable := {result.topic.key: found for result in file.topics if (found := _editable(result, schemas))}:
        details["editable"] = editable
    return Item(
        file.number,
        record["file"],
        record["kind"] or "",
        record.get("duration_sec") or 0.0,
        _flags(record),
        record["sha256"],
        details,
        translations,
    )


def report_id(results: Results) -> str:
    """What tells the reports of one folder from those of others, also when it has grown or was moved.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return sha256(f"{results.began()}".encode()).hexdigest()[:16]


def language(code: str) -> dict[str, str]:
    """What the page needs to know of a language."""
    direction = "rtl" if code.partition("_")[2] in RIGHT_TO_LEFT else "ltr"
    return {"code": code, "tag": language_tag(code), "name": shown_name(code), "direction": direction}


def row_of_strip(strip: Strip | None) -> list[float] | None:
    """A thumbnail in the core: the sizes of a tile, then the times of the tiles."""
    return [strip.width, strip.height, *strip.times] if strip else None


def _take_translations(record: Record) -> dict[str, dict[str, Any]]:
    """Take the translations out of a record; its tasks say which languages there are."""
    found: dict[str, dict[str, Any]] = {}
    for key, answer in record["tasks"].items():
        languages: dict[str, None] = {}
        for code, text in answer.pop("translations").items():
            found.setdefault(code, {}).setdefault(key, {})["text"] = text
            languages[code] = None
        segments = answer.get("segments", ())
        for number, segment in enumerate(segments):
            for code, text in segment.pop("translations", {}).items():
                said = found.setdefault(code, {}).setdefault(key, {})
                said.setdefault("segments", [None] * len(segments))[number] = text
                languages[code] = None
        answer["languages"] = list(languages)
    return found


def _editable(result: TopicResult, schemas: Schemas) -> dict[str, Any]:
    """The ledger's numbers of answers that may be edited: of the whole, and of segments that are one answer each."""
    found: dict[str, Any] = {}
    segments = [] if result.whole else [segment.answer for segment in result.segments]
    for name, answers in (("whole", [result.whole] if result.whole else []), ("segments", segments)):
        readers = {answer.reader for answer in answers}
        reader = readers.pop() if len(readers) == 1 else ""
        if is_structured(reader):
            parts_of_answers = name == "segments" and times_at(reader) is not None
            if parts_of_answers or any(texts_of_model(answer, ENGLISH) is None for answer in answers):
                continue
            found["schema"] = schemas.place(reader)
        elif not answers or (name == "segments" and reader not in _TEXTS):
            continue
        found[name] = [answer.id for answer in answers] if name == "segments" else answers[0].id
    return found


def _flags(record: Record) -> int:
    answers = record["tasks"].values()
    verdicts = {answer["verdict"] for answer in answers}
    translations = [counts for answer in answers for counts in answer.get("translation_verdicts", {}).values()]
    return (
        (_FAILED if record["error"] else 0)
        | (_DOUBTFUL if "doubtful" in verdicts else 0)
        | (_RETRIED if "retried" in verdicts else 0)
        | (_GONE if record.get("gone") else 0)
        | (_WARNED if record["warnings"] else 0)
        | (_TRANSLATION_DOUBTFUL if any(counts.get("doubtful") for counts in translations) else 0)
    )


def _media(uri: str, page: Path | None) -> str | None:
    """The address of a local file, relative to the page, so that both can be moved together; None where one is far."""
    if page is None:
        return None
    if uri.startswith("file://"):
        where = unquote_to_bytes(uri.removeprefix("file://"))
    elif uri.startswith("/"):
        where = os.fsencode(uri)
    else:
        return None
    return f"./{quote(os.path.relpath(where, os.fsencode(page.absolute())))}"
