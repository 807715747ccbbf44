"""Asking the index: files, the best first, each with the texts that were found and the moments they are about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from client.errors import UsageError
from client.hints import did_you_mean
from client.search.tokens import parse, spans

if TYPE_CHECKING:
    from client.search.index import Index
    from client.search.tokens import Query

SNIPPET = 160
"""Characters of a text that are shown."""
_MATCHES = """
    SELECT texts.source, texts.id, bm25(words) AS rank FROM words JOIN texts ON texts.id = words.rowid
    WHERE words MATCH ? AND (?2 IS NULL OR key = ?2) AND (?3 IS NULL OR language = ?3) ORDER BY rank, texts.id"""
_TEXT = "SELECT key, language, start_s, end_s, text FROM texts WHERE id = ?"


class Match(NamedTuple):
    """A text that was found."""

    task: str
    """The key of its task."""
    language: str
    start_s: float | None
    """Seconds of the video that it is about; None of the whole."""
    end_s: float | None
    snippet: str
    """The part of it where most of the query is, on one line."""
    marks: list[tuple[int, int]]
    """Where in the snippet the words of the query are."""


@dataclass(slots=True)
class Hit:
    """A file that was found."""

    file: str
    sha256: str | None
    gone: bool
    rank: float
    """FTS5's bm25 of its best text: the lower the better."""
    found: int
    """How many of its texts were."""
    matches: list[Match] = field(default_factory=list)
    """The best of them."""


class Found(NamedTuple):
    """What a search gives."""

    hits: list[Hit]
    files: int
    """How many there are in all."""


def search(
    index: Index, text: str, *, task: str | None = None, language: str | None = None, limit: int = 20, texts: int = 3
) -> Found:
    """Find files by a query; of each the `texts` best ones.

    Raises:
        UsageError: nothing was asked with that task, or in that language.
    """
    _check(index, "key", "--task", task)
    _check(index, "language", "--language", language)
    query = parse(text)
    if not (expression := query.expression()):
        return Found([], 0)
    best: dict[int, list[int]] = {}
    ranks: dict[int, float] = {}
    for source, number, rank in index.connection.execute(_MATCHES, (expression, task, language)):
        best.setdefault(source, []).append(number)
        ranks.setdefault(source, rank)
    hits = [_hit(index, query, source, best[source][:texts], ranks[source]) for source in list(best)[:limit]]
    for hit, numbers in zip(hits, best.values(), strict=False):
        hit.found = len(numbers)
    return Found(hits, len(best))


def _check(index: Index, column: str, option: str, value: str | None) -> None:
    known = [name for (name,) in index.connection.execute(f"SELECT DISTINCT {column} FROM texts ORDER BY 1")]  # noqa: S608
    if value is not None and value not in known:
        hint = did_you_mean(value, known)
        raise UsageError(f"{option} {value}{hint}: there are no such texts; there are: {', '.join(known) or 'none'}")


def _hit(index: Index, query: Query, source: int, numbers: list[int], rank: float) -> Hit:
    row = index.connection.execute("SELECT name, sha256, gone FROM files WHERE source = ?", (source,)).fetchone()
    hit = Hit(row[0], row[1], bool(row[2]), rank, len(numbers))
    for number in numbers:
        key, language, start_s, end_s, text = index.connection.execute(_TEXT, (number,)).fetchone()
        hit.matches.append(Match(key, language, start_s, end_s, *snippet(text, query)))
    return hit


def snippet(text: str, query: Query) -> tuple[str, list[tuple[int, int]]]:
    """The part of a text where most of a query is, and where in it."""
    text = " ".join(text.split())
    marks = spans(text, query)
    if len(text) <= SNIPPET:
        return text, marks
    firsts = [start for start, _ in marks] or [0]
    begin = max(firsts, key=lambda at: (sum(at <= start < at + SNIPPET for start, _ in marks), -at))
    begin = max(0, min(begin - SNIPPET // 4, len(text) - SNIPPET))
    if begin:  # at a word, where there are words
        begin = text.find(" ", begin, begin + 20) + 1 or begin
    end = begin + SNIPPET
    if end < len(text):
        end = text.rfind(" ", end - 20, end) if " " in text[end - 20 : end] else end
    before, after = ("… " if begin else ""), (" …" if end < len(text) else "")
    moved = [(start - begin + len(before), stop - begin + len(before)) for start, stop in marks]
    shown = [(start, stop) for start, stop in moved if start >= len(before) and stop <= end - begin + len(before)]
    return before + text[begin:end] + after, shown


def as_json(hit: Hit) -> dict[str, Any]:
    """A hit as `--json` writes it."""
    matches = [match._asdict() for match in hit.matches]
    gone = {"gone": True} if hit.gone else {}
    return {"file": hit.file, **gone, "sha256": hit.sha256, "rank": hit.rank, "found": hit.found, "matches": matches}
