"""The Parquet tables of an output: what was compacted, by tables and by the first digit of contents' sha256.

`tables/answers/a-<id>.parquet` and so on: each has rows in the order of contents, so that a reader of some contents
passes over most of it. Of rows about the same `client.cluster.rows` says which one stands.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from client.cluster.rows import ANSWER, KEY, MEDIA, SOURCE, TRANSLATION, UNIT, URI, Doc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from client.cluster.objects import Objects
    from client.cluster.rows import Row

FOLDER = "tables"
CONTENT = "content"
COLUMNS = {
    "answers": (CONTENT, *ANSWER),
    "translations": (CONTENT, *KEY, "updated", *TRANSLATION),
    "units": (CONTENT, *(column for column in UNIT if column != CONTENT)),
    "media": (CONTENT, *MEDIA),
    "sources": ("run", *SOURCE),
    "uris": URI,
}
"""Table -> its columns."""
OF_CONTENTS = ("answers", "translations", "units", "media")
_WHOLE = {"prompt_tokens", "generated_tokens", "run", "start_us", "end_us", "size", "position"}
_NUMBER = {"request_s", "tokens_per_s", "updated", "spent_s"}
ROWS_AT_ONCE = 5000
"""A row group."""


class TableWriter:
    """Writes tables to files of this machine, and puts all of them in the store at the end, if nothing went wrong."""

    def __init__(self, objects: Objects, tables: Sequence[str], part: str) -> None:
        """`part` begins the names of the files."""
        self._objects, self._tables = objects, tables
        self._name = f"{part}-{uuid.uuid4().hex[:16]}.parquet"
        self._waiting: dict[str, list[Row]] = {table: [] for table in tables}
        self._open: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Return the writer itself."""
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="babelview-")))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Put the files in the store, the answers last: they are what others belong to."""
        with self._stack:
            for table in self._tables:
                self._write(table)
            for writer in self._open.values():
                writer.close()
            if kind is None:
                for table in reversed(self._tables):
                    if table in self._open:
                        self._objects.upload(self._folder / table, f"{FOLDER}/{table}/{self._name}")

    def add(self, table: str, row: Row) -> None:
        """A further row."""
        self._waiting[table].append(row)
        if len(self._waiting[table]) >= ROWS_AT_ONCE:
            self._write(table)

    def add_doc(self, doc: Doc) -> None:
        """The rows of a doc."""
        of = {CONTENT: doc["content"]}
        if doc["media"]:
            self.add("media", of | doc["media"])
        if doc["unit"]:
            self.add("units", of | doc["unit"])
        if answer := doc["answer"]:
            key = of | {column: answer[column] for column in (*KEY, "updated")}
            for row in doc["translations"]:
                self.add("translations", key | row)
            self.add("answers", of | answer)

    def _write(self, table: str) -> None:
        import pyarrow as pa  # noqa: PLC0415 (optional)
        import pyarrow.parquet as pq  # noqa: PLC0415

        rows, self._waiting[table] = self._waiting[table], []
        if not rows:
            return
        types = {True: pa.int64(), False: pa.string()}
        schema = pa.schema(
            [(name, pa.float64() if name in _NUMBER else types[name in _WHOLE]) for name in COLUMNS[table]]
        )
        if table not in self._open:
            self._open[table] = pq.ParquetWriter(self._folder / table, schema, compression="zstd")
        columns = {name: [row[name] for row in rows] for name in COLUMNS[table]}
        self._open[table].write_table(pa.table(columns, schema=schema))


class Tables:
    """The tables as they are now; files that come later are not seen."""

    def __init__(self, objects: Objects, names: Sequence[str] | None = None) -> None:
        """`names` are those of the files, where they are known.

        Raises:
            LedgerError: they cannot be listed.
        """
        self._objects = objects
        self.names = list(objects.names(FOLDER) if names is None else names)
        self._groups: dict[str, list[tuple[str, str]]] = {}
        """File -> the first and the last content of each of its row groups."""

    def docs(self, contents: Sequence[str]) -> list[Doc]:
        """All that the tables tell of some contents.

        Raises:
            LedgerError: they cannot be read.
        """
        by_digit: dict[str, set[str]] = defaultdict(set)
        for content in contents:
            by_digit[content[:1]].add(content)
        return (
            [doc for digit, some in sorted(by_digit.items()) for doc in self._docs(digit, some)] if self.names else []
        )

    def rows(self, table: str, part: str = "", contents: set[str] | None = None) -> Iterator[Row]:
        """The rows of a table, of the files that begin with `part`; of some contents, or of all.

        Raises:
            LedgerError: it cannot be read.
        """
        import pyarrow.parquet as pq  # noqa: PLC0415 (optional)

        for name in self.names:
            if not name.startswith(f"{FOLDER}/{table}/{part}"):
                continue
            if contents is not None and not self._may_hold(name, contents):
                continue
            with self._objects.reading(name) as file:
                opened = pq.ParquetFile(file)
                groups = self._groups_of(name, opened) if table in OF_CONTENTS else []
                for number in range(opened.num_row_groups):
                    if contents is not None and not _within(groups[number], contents):
                        continue
                    for row in opened.read_row_group(number).to_pylist():
                        if contents is None or row[CONTENT] in contents:
                            yield row

    def _may_hold(self, name: str, contents: set[str]) -> bool:
        known = self._groups.get(name)
        return known is None or any(_within(group, contents) for group in known)

    def _groups_of(self, name: str, opened: Any) -> list[tuple[str, str]]:
        if name not in self._groups:
            found = [opened.metadata.row_group(number).column(0).statistics for number in range(opened.num_row_groups)]
            self._groups[name] = [(of.min, of.max) for of in found]
        return self._groups[name]

    def _docs(self, digit: str, contents: set[str]) -> Iterator[Doc]:
        translations: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in self.rows("translations", digit, contents):
            translations[*(row[column] for column in KEY), row["updated"]].append(row)
        for row in self.rows("media", digit, contents):
            yield _doc(row, media=row)
        for row in self.rows("units", digit, contents):
            yield _doc(row, unit=row)
        for row in self.rows("answers", digit, contents):
            yield _doc(row, answer=row, translations=translations[*(row[column] for column in KEY), row["updated"]])


def _doc(row: Row, **parts: Any) -> Doc:
    return Doc(**{"content": row[CONTENT], "media": None, "unit": None, "answer": None, "translations": [], **parts})  # type: ignore[typeddict-item]


def _within(group: tuple[str, str], contents: Iterable[str]) -> bool:
    return any(group[0] <= content <= group[1] for content in contents)
