"""Places in the documentation that a measurement writes: between a comment that names it and the next one's end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

END = "<!-- Until here. -->"


def begin(owner: str) -> str:
    """The comment that opens a place; `owner` is the module that writes it."""
    return f"<!-- The next lines are written by {owner}. -->"


def fill(page: Path, owner: str, text: str) -> None:
    """Put Markdown in the place of a page that `owner` writes.

    Raises:
        ValueError: The page has no such place.
    """
    before = page.read_text(encoding="utf-8")
    pattern = re.compile(rf"{re.escape(begin(owner))}\n.*?{re.escape(END)}", re.DOTALL)
    after, places = pattern.subn(lambda _: f"{begin(owner)}\n\n{text}\n\n{END}", before)
    if not places:
        raise ValueError(f"{page} has no line {begin(owner)!r}")
    page.write_text(after, encoding="utf-8")
