"""Ledgers that earlier versions of the client wrote, as SQL; `make.py` says how they were made."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

HERE = Path(__file__).parent
WRITTEN_NS = 1_763_700_000_123_456_789
"""When the files were written: a part of what tells that they are the same."""
VERSIONS = (1, 2, 3, 4, 5)
REFUSED = ("0000.ppm", "list")
"""What the server refused for good, of which file."""
OPTIONS = ("ads", "--tasks", "haiku,list", "--prompts", "mine", "--languages", "fra_Latn,spa_Latn")


def write_inputs(folder: Path) -> Path:
    """Three pictures and a video in `ads`, byte for byte the same on every machine, and prompts in `mine`."""
    ads = folder / "ads"
    ads.mkdir()
    for number in range(3):
        pixels = bytes((number * 60 + 20, 90, 200)) * (32 * 24)
        (ads / f"{number:04d}.ppm").write_bytes(b"P6\n32 24\n255\n" + pixels)
    frames = b"".join(b"FRAME\n" + bytes([shade]) * (32 * 24 * 3) for shade in range(40, 200, 16))
    (ads / "clip.y4m").write_bytes(b"YUV4MPEG2 W32 H24 F10:1 Ip A1:1 C444\n" + frames)
    for path in ads.iterdir():
        os.utime(path, ns=(WRITTEN_NS, WRITTEN_NS))
    for task, reader, text in (("haiku", "text", "Write a haiku."), ("list", "list", "A JSON array of things.")):
        (folder / "mine" / task).mkdir(parents=True)
        for kind in ("image", "video"):
            (folder / "mine" / task / f"{kind}.md").write_text(f"---\nanswer: {reader}\nmax_tokens: 33\n---\n{text}")
    return ads


def write_ledger(version: int, folder: Path) -> None:
    """The ledger of a run of that version over `folder/ads`, in `folder/captions`."""
    (folder / "captions").mkdir()
    connection = sqlite3.connect(folder / "captions" / "ledger.db")
    connection.executescript((HERE / f"v{version}.sql").read_text().replace("{ads}", str(folder / "ads")))
    connection.close()
