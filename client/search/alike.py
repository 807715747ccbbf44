"""What is like what: files of the same content, near-identical pictures and videos, and shared words and tags."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from client.ledger.edits import ENGLISH
from client.media.kinds import SEEN
from client.media.likeness import bits_apart, same_colours
from client.media.thumbnail_folder import Thumbnails
from client.search.looks import looks_of
from client.search.tokens import words_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from client.media.likeness import Look
    from client.search.index import Index

NEAR_BITS = 8
"""Of 64: hashes that differ in no more are of near-identical pictures, if their colours are the same; of videos their
tiles on average."""
_WORDS, _MOST_COMMON = 24, 0.5
"""So many of a file's words are looked for, and none that more than this share of the texts have."""
_FILES = "SELECT source, name, sha256, gone, kind FROM files"
_VOCABULARY = "CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary USING fts5vocab(main, words, row)"
_SHARED = """
    SELECT texts.source FROM words JOIN texts ON texts.id = words.rowid
    WHERE words MATCH ? AND language = ? AND texts.source != ? ORDER BY bm25(words)"""


class File(NamedTuple):
    """A file of the index."""

    source: int
    name: str
    sha256: str | None
    gone: bool
    kind: str | None


class Alike(NamedTuple):
    """A file that is like another one."""

    file: File
    distance: float | None
    """Bits in which the pictures differ, 0 of the same content; None where they are not near-identical."""
    words: list[str]
    """What the texts about both have in common, the most telling first."""


class Group(NamedTuple):
    """Files that are duplicates: of the same content, or near-identical."""

    files: list[File]
    same: bool
    """All of them are of the same content."""


def duplicates(index: Index, output: Path) -> list[Group]:
    """The groups of files that are near-identical, each file in one at most."""
    files = _files(index)
    leader = list(range(len(files)))

    def find(at: int) -> int:
        while leader[at] != at:
            leader[at] = leader[leader[at]]
            at = leader[at]
        return at

    for first, second in _same(files):
        leader[find(second)] = find(first)
    for some in _by_length(index, files, output):
        for row in range(len(some.numbers) - 1):
            for other in some.near(row, row + 1):
                leader[find(some.numbers[other])] = find(some.numbers[row])
    groups: dict[int, list[File]] = {}
    for at, file in enumerate(files):
        groups.setdefault(find(at), []).append(file)
    found = [Group(some, len({file.sha256 for file in some}) == 1) for some in groups.values() if len(some) > 1]
    return sorted(found, key=lambda group: not group.same)


def like(index: Index, output: Path, file: File, limit: int) -> list[Alike]:
    """The files that are most like one: near-identical ones first, then those of which similar things are said."""
    files = {other.source: other for other in _files(index)}
    distances = dict(_near(index, list(files.values()), output, file))
    words = _rare_words(index, file.source)
    ranked: list[int] = []
    if words:
        expression = " OR ".join('"' + word.replace('"', '""') + '"' for word in words)
        ranked = [source for (source,) in index.connection.execute(_SHARED, (expression, ENGLISH, file.source))]
    chosen = dict.fromkeys([*sorted(distances, key=lambda source: distances[source]), *ranked])
    return [
        Alike(files[source], distances.get(source), _in_common(index, words, source)) for source in list(chosen)[:limit]
    ]


def find_file(index: Index, name: str, sha256: str | None) -> File | None:
    """The file of a name, else one of a content."""
    rows = index.connection.execute(f"{_FILES} WHERE name = ? OR sha256 = ? ORDER BY name != ?", (name, sha256, name))
    row = rows.fetchone()
    return File(*row) if row else None


def without_thumbnail(index: Index, output: Path) -> list[File]:
    """The files whose pictures cannot be compared before they have thumbnails."""
    thumbnails = Thumbnails(output)
    seen = (file for file in _files(index) if file.kind in SEEN)
    return [file for file in seen if file.sha256 and not thumbnails.has(file.sha256)]


def _files(index: Index) -> list[File]:
    return [File(*row) for row in index.connection.execute(f"{_FILES} ORDER BY source")]


def _same(files: list[File]) -> Iterator[tuple[int, int]]:
    first: dict[str, int] = {}
    for at, file in enumerate(files):
        if file.sha256:
            known = first.setdefault(file.sha256, at)
            if known != at:
                yield known, at


class _Looks(NamedTuple):
    """Those of files with as many tiles each."""

    numbers: list[int]
    """Places of the files in the list of all."""
    hashes: NDArray[np.uint64]
    """[files, tiles]."""
    colours: NDArray[np.uint8]
    """[files, tiles, 16, 3]."""

    def near(self, row: int, since: int = 0) -> dict[int, float]:
        """The rows, from one on, whose pictures are near-identical to those of a row: in how many bits they differ."""
        bits = bits_apart(self.hashes[row], self.hashes[since:])
        close = np.flatnonzero(bits <= NEAR_BITS)
        close = close[same_colours(self.colours[row], self.colours[since:][close])]
        return {since + at: float(bits[at]) for at in close.tolist()}


def _by_length(index: Index, files: list[File], output: Path) -> Iterator[_Looks]:
    """The looks of files, of each content the first one, by their number of tiles."""
    places: dict[str, int] = {}
    for at, file in enumerate(files):
        if file.sha256 and file.kind in SEEN:  # no picture is like another because of a waveform
            places.setdefault(file.sha256, at)
    by_length: dict[int, list[tuple[int, Look]]] = {}
    for sha256, look in looks_of(index.connection, output, places).items():
        by_length.setdefault(len(look.hashes), []).append((places[sha256], look))
    for some in by_length.values():
        hashes, colours = (np.stack(values) for values in zip(*(look for _, look in some), strict=True))
        yield _Looks([at for at, _ in some], hashes, colours)


def _near(index: Index, files: list[File], output: Path, file: File) -> Iterator[tuple[int, float]]:
    for other in files:
        if other.source != file.source and file.sha256 and other.sha256 == file.sha256:
            yield other.source, 0.0
    for some in _by_length(index, files, output):
        rows = [row for row, at in enumerate(some.numbers) if files[at].sha256 == file.sha256]
        if not rows:
            continue
        for row, distance in some.near(rows[0]).items():
            if files[some.numbers[row]].sha256 != file.sha256:
                yield files[some.numbers[row]].source, distance


def _rare_words(index: Index, source: int) -> list[str]:
    """The words of a file's texts in English that tell it best from others: often in these, seldom in all."""
    counts = _words(index, source)
    index.connection.execute(_VOCABULARY)
    (total,) = index.connection.execute("SELECT COUNT(*) FROM texts WHERE language = ?", (ENGLISH,)).fetchone()
    known = {
        term: found
        for word in counts
        for term, found in index.connection.execute("SELECT term, doc FROM vocabulary WHERE term = ?", (word,))
    }
    telling = {word: count for word, count in counts.items() if 1 < known.get(word, 0) <= max(2, _MOST_COMMON * total)}
    return sorted(telling, key=lambda word: (-telling[word] * np.log(total / known[word]), word))[:_WORDS]


def _words(index: Index, source: int) -> Counter[str]:
    rows = index.connection.execute("SELECT text FROM texts WHERE source = ? AND language = ?", (source, ENGLISH))
    return Counter(word for (text,) in rows for word in words_of(text))


def _in_common(index: Index, words: list[str], source: int) -> list[str]:
    others = _words(index, source)
    return [word for word in words if word in others]
