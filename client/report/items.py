"""What the report's page knows of each file: a row of the core, and its texts by language."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from client.endpoints.language_names import language_tag, shown_name
from client.export.cues import RIGHT_TO_LEFT
from client.ledger.edits import ENGLISH, texts_of_model
from client.tasks.schemas import is_structured, schema_of
from client.tasks.structured import times_at

if TYPE_CHECKING:
    from client.ledger.newest import TopicResult
    from client.ledger.results import FileResult, Results
    from client.record import Record

_TEXTS = ("text", "sentiment")
"""Readers of answers that are one text."""
_FAILED, _DOUBTFUL, _RETRIED, _GONE, _WARNED, _TRANSLATION_DOUBTFUL = (1 << bit for bit in range(6))
_OF_VERDICTS = {"doubtful": _DOUBTFUL, "retried": _RETRIED}
_PLAIN = re.compile(r"[\w.-]+", re.ASCII)
"""Names that stand in an address as they are."""


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


def item_of(file: FileResult, record: Record, page: bytes | None, schemas: Schemas) -> Item:
    """A file, of which that is the record, for a page in the folder `page`, None: in a store.

    `schemas` gets those of its data.
    """
    tasks, translations = _without_translations(record)
    details: dict[str, Any] = {"record": {**record, "tasks": tasks}}
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


def _without_translations(record: Record) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The tasks of a record, each with the languages that there are of it; and translations by language and task."""
    tasks: dict[str, Any] = {}
    found: dict[str, dict[str, Any]] = {}
    for key, said in record["tasks"].items():
        tasks[key] = answer = said.copy()
        languages: dict[str, None] = {}
        for code, text in answer.pop("translations").items():
            found.setdefault(code, {}).setdefault(key, {})["text"] = text
            languages[code] = None
        if "segments" in answer:
            answer["segments"] = segments = [segment.copy() for segment in answer["segments"]]
            for number, segment in enumerate(segments):
                for code, text in segment.pop("translations", {}).items():
                    texts = found.setdefault(code, {}).setdefault(key, {})
                    texts.setdefault("segments", [None] * len(segments))[number] = text
                    languages[code] = None
        answer["languages"] = list(languages)
    return tasks, found


def _editable(result: TopicResult, schemas: Schemas) -> dict[str, Any]:
    """The ledger's numbers of answers that may be edited: of the whole, and of segments that are one answer each."""
    found: dict[str, Any] = {}
    segments = [] if result.whole else [segment.answer for segment in result.segments]
    for name, answers in (("whole", [result.whole] if result.whole else []), ("segments", segments)):
        if not answers:
            continue
        readers = {answer.reader for answer in answers}
        reader = readers.pop() if len(readers) == 1 else ""
        if is_structured(reader):
            parts_of_answers = name == "segments" and times_at(reader) is not None
            if parts_of_answers or any(texts_of_model(answer, ENGLISH) is None for answer in answers):
                continue
            found["schema"] = schemas.place(reader)
        elif name == "segments" and reader not in _TEXTS:
            continue
        found[name] = [answer.id for answer in answers] if name == "segments" else answers[0].id
    return found


def _flags(record: Record) -> int:
    flags = (
        (_FAILED if record["error"] else 0)
        | (_GONE if record.get("gone") else 0)
        | (_WARNED if record["warnings"] else 0)
    )
    for answer in record["tasks"].values():
        flags |= _OF_VERDICTS.get(answer["verdict"], 0)
        for counts in answer.get("translation_verdicts", {}).values():
            if counts.get("doubtful"):
                flags |= _TRANSLATION_DOUBTFUL
    return flags


def _media(uri: str, page: bytes | None) -> str | None:
    """The address of a local file, relative to the page, so that both can be moved together; None where one is far."""
    if page is None or not uri.startswith(("file://", "/")):
        return None
    folder, _, name = uri.rpartition("/")
    return _address(folder, page) + (name if _PLAIN.fullmatch(name) else quote(_path(name, uri.startswith("file://"))))


@lru_cache(1024)
def _address(folder: str, page: bytes) -> str:
    """That of a folder, relative to the page's, with a slash."""
    is_url = folder.startswith("file://")
    where = _path(folder.removeprefix("file://"), is_url) or b"/"
    return f"./{quote(os.path.relpath(where, page))}/"


def _path(text: str, is_url: bool) -> bytes:
    """Of a path, or of the same in a URL, the bytes that the system knows it by."""
    return unquote_to_bytes(text) if is_url else os.fsencode(text)
