"""Which moments of a folder's videos are cut out: the segments of a task's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from client.errors import MediaError
from client.media.load import identify
from client.record import records
from client.sources.source import Source, fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from client.ledger.results import Results


class Moment(NamedTuple):
    """A part of a video: seconds of its own clock, half open."""

    file: str
    """As the record names it."""
    number: int
    """Among those chosen of this file, from 1."""
    start_s: float
    end_s: float
    text: str
    score: float | None


def moments(results: Results, task: str, top: int | None) -> Iterator[Moment]:
    """The moments of a task, file by file: the `top` best ones where they have scores, else the first ones.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    for record in records(results):
        segments = record["tasks"].get(task, {}).get("segments", ())
        for number, segment in enumerate(_best(list(segments), top), 1):
            text = segment.get("title") or segment.get("text", "")
            yield Moment(record["file"], number, segment["start"], segment["end"], text, segment.get("score"))


def changed_files(results: Results, files: Iterable[str]) -> set[str]:
    """Those of the files that are not what was asked about any more: times in them would say nothing.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return {file for file in set(files) if _has_changed(results, Source.local(file))}


def _has_changed(results: Results, source: Source) -> bool:
    known = results.known(source.uri)
    try:
        if known is None or known.fingerprint == fingerprint_of(source.look()):
            return False
        return identify(source.path).sha256 != known.identity.sha256
    except MediaError:  # which cutting will tell
        return False


def tasks_with_moments(results: Results) -> list[str]:
    """The tasks of which there are moments.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    answers = (answer for record in records(results) for answer in record["tasks"].items())
    return sorted({task for task, answer in answers if answer.get("segments")})


def _best(segments: list[dict[str, Any]], top: int | None) -> list[dict[str, Any]]:
    scored = all("score" in segment for segment in segments)
    ranked = sorted(segments, key=lambda segment: -segment["score"]) if scored else segments
    return ranked[:top]
