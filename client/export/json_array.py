"""A JSON array that is written item by item, a line each."""

from __future__ import annotations

from typing import IO, Any

import orjson


class JsonArray:
    """An array in a file that is open for writing, between a head and a tail of it."""

    def __init__(self, file: IO[bytes], head: bytes = b"", tail: bytes = b"\n") -> None:
        """Nothing but the head is written yet."""
        self._file, self._tail = file, tail
        self._separator = head + b"["

    def add(self, item: Any) -> None:
        """Write an item."""
        self._file.write(self._separator + b"\n  " + orjson.dumps(item))
        self._separator = b","

    def end(self) -> None:
        """Write the end of the array."""
        self._file.write((b"\n" if self._separator == b"," else self._separator) + b"]" + self._tail)
