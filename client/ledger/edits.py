"""What people changed: texts of answers, beside the model's own words, and what they think of files."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from client.tasks.readers import reader_of
from client.tasks.schemas import is_structured

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from client.ledger.newest import ResultAnswer
    from client.tasks.answers import Reading
    from client.tasks.plan import AnswerKey

ENGLISH = "eng_Latn"
"""The language of answers."""

_EDITS = """
    SELECT unit, task, prompt_hash, model, params, language, texts, was FROM edits
    WHERE unit IN (SELECT value FROM json_each(?))"""
_REVIEWS = "SELECT sha256, state, note FROM reviews WHERE sha256 IN (SELECT value FROM json_each(?))"


class Review(NamedTuple):
    """What a person thinks of a file."""

    state: str
    """`accepted` or `flagged`."""
    note: str


@dataclass(frozen=True, slots=True)
class TextEdited:
    """A person wrote other texts; those of the model, `was`, stay where they are. The same texts take it back.

    Of data there is one text: their JSON.
    """

    key: AnswerKey
    language: str
    texts: tuple[str, ...]
    was: tuple[str, ...]
    at: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class FileReviewed:
    """A person accepted or flagged a file, or took that back: `state` is None."""

    sha256: str
    state: str | None
    note: str
    at: float
    """Seconds since 1970."""


def texts_of_model(answer: ResultAnswer, language: str) -> list[str] | None:
    """What may be edited of an answer in a language: its text, the items of its list, its data as JSON; None: nothing.

    Translated data cannot be edited: they are the model's data with other texts.
    """
    if language == ENGLISH:
        reading = reader_of(answer.reader)(answer.text)
        if is_structured(answer.reader):
            return None if reading.data is None else [orjson.dumps(reading.data).decode()]
        return [reading.text] if reading.items is None else list(reading.items)
    translation = None if is_structured(answer.reader) else answer.translations.get(language)
    return list(translation.texts) if translation and translation.texts else None


def add_edits(connection: sqlite3.Connection, answers: Iterable[ResultAnswer]) -> None:
    """Give answers, whose translations are there, the texts that people wrote instead.

    Raises:
        sqlite3.Error: the ledger cannot be read.
    """
    by_key = {(answer.unit, *answer.identity): answer for answer in answers}
    units = orjson.dumps(list({unit for unit, *_ in by_key})).decode()
    for *key, language, texts, was in connection.execute(_EDITS, (units,)):
        if (answer := by_key.get(tuple(key))) is None:
            continue
        if texts_of_model(answer, language) == orjson.loads(was):
            answer.edits[language] = orjson.loads(texts)
        else:
            answer.outdated_edits.append(language)


def read_reviews(connection: sqlite3.Connection, contents: Iterable[str]) -> dict[str, Review]:
    """What people think of contents, as far as they said.

    Raises:
        sqlite3.Error: the ledger cannot be read.
    """
    found = connection.execute(_REVIEWS, (orjson.dumps(list(contents)).decode(),))
    return {sha256: Review(state, note) for sha256, state, note in found}


def store_change(connection: sqlite3.Connection, event: TextEdited | FileReviewed) -> None:
    """Keep what a person changed, or take it back, within the transaction that is open.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    if isinstance(event, FileReviewed):
        _store_review(connection, event)
    elif event.texts == event.was:
        connection.execute(
            "DELETE FROM edits WHERE (unit, task, prompt_hash, model, params, language) = (?, ?, ?, ?, ?, ?)",
            (*event.key, event.language),
        )
    else:
        connection.execute(
            "INSERT OR REPLACE INTO edits VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*event.key, event.language, json.dumps(event.texts), json.dumps(event.was), event.at),
        )


def _store_review(connection: sqlite3.Connection, event: FileReviewed) -> None:
    if event.state is None:
        connection.execute("DELETE FROM reviews WHERE sha256 = ?", (event.sha256,))
    else:
        connection.execute(
            "INSERT OR REPLACE INTO reviews VALUES (?, ?, ?, ?)", (event.sha256, event.state, event.note, event.at)
        )


def edited_reading(reading: Reading, answer: ResultAnswer) -> Reading:
    """An answer as it was read, with what a person wrote instead."""
    if (texts := answer.edits.get(ENGLISH)) is None:
        return reading
    if reading.data is not None:
        return replace(reading, data=orjson.loads(texts[0]))
    if reading.items is None:
        return reader_of(answer.reader)(texts[0])
    return replace(reading, items=texts, original_order=None if reading.original_order is None else texts)


def edited_fields(answer: ResultAnswer) -> dict[str, dict[str, Any]]:
    """What a record says of edits: by language, the model's own words, or data; nothing where there is none."""
    words: dict[str, Any] = {}
    for language in answer.edits:
        texts = texts_of_model(answer, language) or []
        reading = reader_of(answer.reader)(answer.text)
        own = texts if reading.items is not None else texts[0]
        words[language] = own if reading.data is None else reading.data
    return {"edited": words} if words else {}
