"""What the pictures of a folder look like, from their thumbnails; the index keeps what was computed."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from client.media.likeness import Look, look_of
from client.media.thumbnail_folder import KeptThumbnails

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def looks_of(connection: sqlite3.Connection, output: Path, contents: Iterable[str]) -> dict[str, Look]:
    """The looks of contents (SHA-256) of an output folder that have a thumbnail, which is not of one colour."""
    known = {sha256: (stamp, kept) for sha256, stamp, kept in connection.execute("SELECT * FROM looks")}
    thumbnails = KeptThumbnails(output)
    found: dict[str, Look] = {}
    made: list[tuple[str, int, bytes]] = []
    for sha256 in contents:
        if (stamp := thumbnails.stamp(sha256)) is None:
            continue
        earlier, kept = known.get(sha256, (None, b""))
        if earlier != stamp:
            thumbnail = thumbnails.read(sha256)
            look = look_of(thumbnail) if thumbnail else None
            kept = look.to_bytes() if look else b""
            made.append((sha256, stamp, kept))
        if kept:
            found[sha256] = Look.from_bytes(kept)
    with suppress(sqlite3.Error):  # they are computed again then
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?, ?)", made)
        connection.execute("COMMIT")
    return found
