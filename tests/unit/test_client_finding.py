"""Local files are looked at in groups: what takes long to read holds up none, what cannot be read fails alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from client.errors import MediaError
from client.sources import fetch
from client.sources.fetch import Fetcher
from client.sources.source import Found, Source

if TYPE_CHECKING:
    from pathlib import Path

    from client.sources.source import KnownSource


def looked_at(folder: Path, looks: list[tuple[Source, KnownSource | None]]) -> list[Found | MediaError | None]:
    async def look() -> list[Found | MediaError | None]:
        fetcher = Fetcher(folder / ".downloads", 1 << 20)
        try:
            return await fetcher.find_small(looks)
        finally:
            await fetcher.close()

    return asyncio.run(look())


@pytest.fixture
def looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Source, KnownSource | None]]:
    """Of 10 bytes, missing, large, of 10 bytes."""
    monkeypatch.setattr(fetch, "LARGE_BYTES", 1000)
    for name, size in (("a.gif", 10), ("c.gif", 1001), ("d.gif", 10)):
        (tmp_path / name).write_bytes(b"GIF89a" + bytes(size - 6))
    return [(Source.local(tmp_path / name), None) for name in ("a.gif", "b.gif", "c.gif", "d.gif")]


def test_each_of_a_group_has_its_own_outcome(tmp_path: Path, looks: list[tuple[Source, KnownSource | None]]) -> None:
    first, missing, large, last = looked_at(tmp_path, looks)
    assert isinstance(first, Found)
    assert isinstance(last, Found)
    assert (first.known.size, first.known.identity) == (10, last.known.identity)
    assert isinstance(missing, MediaError)
    assert "No such file" in str(missing)
    assert large is None


def test_a_group_ends_when_much_was_read(
    tmp_path: Path, looks: list[tuple[Source, KnownSource | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_READ_AT_ONCE_BYTES", 10)
    (first,) = looked_at(tmp_path, looks)
    assert isinstance(first, Found)
    # What is known is not read, and does not count.
    again = looked_at(tmp_path, [(looks[0][0], first.known), *looks[1:], looks[0]])
    assert [type(outcome) for outcome in again] == [Found, MediaError, type(None), Found]
