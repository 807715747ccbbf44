"""Brings what people did in the page, a file that it saved, into the ledger."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime  # noqa: TC003  # msgspec reads it
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import msgspec
import orjson

from client.errors import UsageError
from client.ledger.edits import ENGLISH, FileReviewed, TextEdited, texts_of_model
from client.ledger.ledger import Ledger
from client.ledger.results import Results
from client.report.items import report_id
from client.tasks import structured
from client.tasks.schemas import is_structured

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from client.ledger.newest import ResultAnswer

VERSION = 1
_MOST_BYTES = 256 << 20
Text = Annotated[str, msgspec.Meta(max_length=1_000_000)]


class Reviewed(msgspec.Struct):
    """What was said about a file; `state` is null where it was taken back."""

    sha256: str
    file: str
    state: Literal["accepted", "flagged"] | None
    note: Text
    at: datetime


class Edited(msgspec.Struct):
    """Texts of an answer as they shall be, and as they were; of data their JSON."""

    answer: int
    sha256: str
    file: str
    task: str
    language: str
    texts: Annotated[list[Text], msgspec.Meta(min_length=1)]
    was: list[Text]
    at: datetime


class EditsFile(msgspec.Struct):
    """What the page saves."""

    babelview_edits: int
    report: str
    reviews: list[Reviewed]
    edits: list[Edited]


class Applied(NamedTuple):
    """How much of a file came into the ledger, and what did not."""

    reviews: int
    edits: int
    left_out: list[str]


def read_edits(path: Path) -> EditsFile:
    """Read a file of the page.

    Raises:
        UsageError: it cannot be read, or is none.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"--apply {path}: too large to be a file that the report's page has saved")
        found = msgspec.json.decode(path.read_bytes(), type=EditsFile)
    except OSError as error:
        raise UsageError(f"--apply {path}: cannot be read: {error.strerror or error}") from error
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"--apply {path}: not a file that the report's page has saved: {error}") from error
    if found.babelview_edits != VERSION:
        raise UsageError(f"--apply {path}: of another version of Babelview: write the report again and edit that one")
    return found


def apply_edits(output: Path, path: Path) -> Applied:
    """Bring the edits and reviews of a file into the ledger of an output folder.

    Raises:
        UsageError: the file is none of the page's, or of the report of another folder.
        LedgerError: the ledger cannot be written; nothing of the file is in it.
    """
    found = read_edits(path)
    with closing(Ledger(output)) as ledger:
        with Results(output) as results:
            if found.report != report_id(results):
                raise UsageError(f"--apply {path}: it was made with the report of another folder than {output}")
            contents: set[str] = set()
            answers: dict[int, tuple[str, ResultAnswer]] = {}
            for file in results.files():
                if file.sha256:
                    contents.add(file.sha256)
                    shown = (answer for topic in file.topics for answer in topic.answers())
                    answers.update({answer.id: (file.sha256, answer) for answer in shown})
        reviews = [review for review in found.reviews if review.sha256 in contents]
        left_out = [f"{it.file}: not in this folder" for it in found.reviews if it.sha256 not in contents]
        events = list(_edit_events(found, answers, left_out))
        ledger.write(
            [
                *(FileReviewed(it.sha256, it.state, it.note, it.at.timestamp()) for it in reviews),
                *events,
            ]
        )
    return Applied(len(reviews), len(events), left_out)


def _edit_events(
    found: EditsFile, answers: dict[int, tuple[str, ResultAnswer]], left_out: list[str]
) -> Iterator[TextEdited]:
    for edit in found.edits:
        content, answer = answers.get(edit.answer, ("", None))
        words = texts_of_model(answer, edit.language) if answer and content == edit.sha256 else None
        problem: str | None = "it was answered anew since"
        texts = edit.texts
        if answer is not None and words is not None:
            if is_structured(answer.reader):
                texts, problem = _data(edit, answer.reader, words)
            elif words == edit.was:
                several = len(texts) > 1 and len(words) == 1 and edit.language == ENGLISH and answer.reader == "text"
                problem = "several texts for one" if several else None
        if problem is not None or answer is None or words is None:
            label = f"{edit.file}, {edit.task}{'' if edit.language == ENGLISH else f', {edit.language}'}"
            left_out.append(f"{label}: {problem}")
            continue
        key = (answer.unit, *answer.identity)
        yield TextEdited(key, edit.language, tuple(texts), tuple(words), edit.at.timestamp())


def _data(edit: Edited, reader: str, words: list[str]) -> tuple[list[str], str | None]:
    """Edited data as the ledger has them, and None; or why they cannot stand there.

    They are compared as data: the page writes numbers in another way.
    """
    (text, *others), own = edit.texts, orjson.loads(words[0])
    was = structured.read(reader, edit.was[0])[0] if len(edit.was) == 1 else None
    if was != own:
        return [], "it was answered anew since"
    data, problem = structured.read(reader, text)
    if problem is not None or others:
        return [], f"what was made of it is not by the schema: {problem or 'several texts for one'}"
    return words if data == own else [orjson.dumps(data).decode()], None
