"""The ledger's rows about one content, as the journal and the Parquet tables have them, and back into a ledger.

A `Doc` is an answer with its translations, the unit that it is about, and what is known of its file: of two about the
same the one that is to stand can be told, so that it does not matter in which order they are read, or how often.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from client.tasks.plan import AnswerKey

Row = dict[str, Any]
"""Column -> value, as SQLite has it."""

KEY = ("unit", "task", "prompt_hash", "model", "params")
ANSWER = (
    *(*KEY, "state", "text", "finish_reason", "prompt_tokens", "generated_tokens", "request_s", "tokens_per_s"),
    *("error", "verdict", "reasons", "reasoning", "updated", "run"),
)
TRANSLATION = ("language", "texts", "doubts", "verdicts")
UNIT = ("id", "content", "kind", "start_us", "end_us", "inputs")
MEDIA = ("sha256", "kind", "facts", "warnings", "error", "spent_s", "probe")
SOURCE = ("uri", "name", "columns", "position", "sha256", "problem", "live_photo_of", "fingerprint")
"""The last one is that of `uris`."""
URI = ("uri", "fingerprint", "size", "sha256", "kind", "problem")


class Doc(TypedDict):
    """What one object of the journal holds."""

    content: str
    """The sha256 of the file."""
    media: Row | None
    unit: Row | None
    """None of a whole file, which has no row."""
    answer: Row | None
    translations: list[Row]


def select(table: str, columns: Sequence[str], where: str) -> str:
    """A query for rows that `rows_of` reads."""
    return f"SELECT {', '.join(columns)} FROM {table} WHERE {where}"  # noqa: S608  # constants


def rows_of(connection: sqlite3.Connection, query: str, columns: Sequence[str], values: Sequence[Any]) -> list[Row]:
    """The rows that a query gives, of these columns.

    Raises:
        sqlite3.Error: the ledger cannot be read.
    """
    return [dict(zip(columns, row, strict=True)) for row in connection.execute(query, values)]


_OF_KEY = " AND ".join(f"{column} = ?" for column in KEY)
_SELECT_ANSWER = select("answers", (*ANSWER, "id"), _OF_KEY)
_SELECT_TRANSLATIONS = select("translations", TRANSLATION, "answer = ?")
_SELECT_UNIT = select("units", UNIT, "id = ?")
_SELECT_MEDIA = select("media", MEDIA, "sha256 = ?")


def media_doc(connection: sqlite3.Connection, content: str) -> Doc:
    """What is known of a file.

    Raises:
        sqlite3.Error: the ledger cannot be read.
    """
    media = rows_of(connection, _SELECT_MEDIA, MEDIA, (content,))
    return Doc(content=content, media=media[0] if media else None, unit=None, answer=None, translations=[])


def answer_doc(connection: sqlite3.Connection, content: str, key: AnswerKey) -> Doc:
    """An answer, or a failure, with all that belongs to it.

    Raises:
        sqlite3.Error: the ledger cannot be read.
    """
    doc = media_doc(connection, content)
    for answer in rows_of(connection, _SELECT_ANSWER, (*ANSWER, "id"), key):
        doc["translations"] = rows_of(connection, _SELECT_TRANSLATIONS, TRANSLATION, (answer.pop("id"),))
        doc["answer"] = answer
        units = rows_of(connection, _SELECT_UNIT, UNIT, (answer["unit"],))
        doc["unit"] = units[0] if units else None
    return doc


def keeps(stored: Doc, doc: Doc) -> bool:
    """Whether what is stored is not to be replaced by a doc of the same name.

    Two actors may ask about a content that lies in two files: an answer stands before the failure of the other one, and
    an answer of the same run with its translations before one that waits for them.
    """
    there, answer = stored["answer"], doc["answer"]
    if not there or not answer or there["state"] != "done":
        return False
    if answer["state"] != "done":
        return True
    return there["run"] == answer["run"] and len(stored["translations"]) > len(doc["translations"])


def name_of(doc: Doc) -> str:
    """The object that a doc is written to: always the same of one answer."""
    answer = doc["answer"]
    told = hashlib.sha256("\0".join(answer[column] for column in KEY).encode()).hexdigest()[:24] if answer else "media"
    return f"{folder_of(doc['content'])}/{told}.json"


def folder_of(content: str) -> str:
    """Where all about a content lies."""
    return f"journal/{content[:1]}/{content}"


_INSERT_ANSWER = f"INSERT INTO answers ({', '.join(ANSWER)}) VALUES ({', '.join('?' * len(ANSWER))})"  # noqa: S608
_INSERT_TRANSLATION = (
    "INSERT OR IGNORE INTO translations (answer, language, texts, doubts, verdicts) VALUES (?, ?, ?, ?, ?)"
)
_INSERT_UNIT = f"INSERT OR IGNORE INTO units ({', '.join(UNIT)}) VALUES ({', '.join('?' * len(UNIT))})"  # noqa: S608
_INSERT_MEDIA = f"INSERT OR REPLACE INTO media ({', '.join(MEDIA)}) VALUES ({', '.join('?' * len(MEDIA))})"  # noqa: S608


def take(connection: sqlite3.Connection, doc: Doc) -> None:
    """Bring a doc into a ledger, within the transaction that is open.

    An answer stands before a failure, a later one before an earlier one; translations stay with their answer.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    if doc["media"]:
        take_media(connection, doc["media"])
    if doc["unit"]:
        connection.execute(_INSERT_UNIT, _values(doc["unit"], UNIT))
    if doc["answer"]:
        take_answer(connection, doc["answer"], doc["translations"])


def take_media(connection: sqlite3.Connection, media: Row) -> None:
    """Bring what is known of a file into a ledger: of two, that on which more time was spent.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    there = connection.execute("SELECT spent_s FROM media WHERE sha256 = ?", (media["sha256"],)).fetchone()
    if there is None or there[0] < media["spent_s"]:
        connection.execute(_INSERT_MEDIA, _values(media, MEDIA))


def take_answer(connection: sqlite3.Connection, answer: Row, translations: Sequence[Row]) -> None:
    """Bring an answer into a ledger, with its translations. See `take`.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    key = _values(answer, KEY)
    there = connection.execute(f"SELECT id, state = 'done', updated FROM answers WHERE {_OF_KEY}", key).fetchone()  # noqa: S608
    rank = (answer["state"] == "done", answer["updated"])
    if there is None or tuple(there[1:]) < rank:
        if there:
            connection.execute("DELETE FROM answers WHERE id = ?", there[:1])
        number = connection.execute(_INSERT_ANSWER, _values(answer, ANSWER)).lastrowid
    elif tuple(there[1:]) == rank:
        number = there[0]
    else:
        return
    connection.executemany(_INSERT_TRANSLATION, [(number, *_values(row, TRANSLATION)) for row in translations])


def _values(row: Mapping[str, Any], columns: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[column] for column in columns)
