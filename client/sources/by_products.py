"""What systems leave in folders of pictures: thumbnails, recycle bins, other halves of files. Nobody means these."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FOLDERS = frozenset(
    {
        *("@eadir", "@tmp", "@sharebin", "@synoresource", "@synoeastream", "#recycle", "#snapshot"),  # Synology
        *("@recycle", "@recently-snapshot", "@thumb", "@__thumb"),  # QNAP
        *("$recycle.bin", "recycler", "recycled", "system volume information", "found.000"),  # Windows
        *("__macosx", "network trash folder", "temporary items"),  # macOS; `.Trashes` and the like are hidden
        *("lost+found", "lost.dir"),  # Linux, Android
    }
)
_PATTERNS = ("*.lrdata",)
"""Folders of previews, of Lightroom."""
_APPLE_DOUBLE = "._"


def by_product(name: str, *, folder: bool) -> str | None:
    """What a file or folder of this name is counted as, if it is hidden or a by-product; None if it is neither."""
    if name.startswith(_APPLE_DOUBLE) and not folder:
        return f"{_APPLE_DOUBLE}*"
    if name.startswith("."):
        return f"{name}/" if folder else "hidden"
    if folder and (name.lower() in _FOLDERS or any(fnmatchcase(name.lower(), pattern) for pattern in _PATTERNS)):
        return f"{name}/"
    return None


def name_patterns(include: Iterable[str]) -> list[str]:
    """The parts of `--include` patterns that can name a file or folder."""
    parts = (part for pattern in include if not pattern.startswith("!") for part in pattern.split("/"))
    return [part.removeprefix("\\").lower() for part in parts if part.strip("*")]


def is_named(name: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern names it, its first letter too: `*.jpg` means no `._a.jpg`, as in a shell."""
    name = name.lower()
    return any(pattern[0] == name[0] and fnmatchcase(name, pattern) for pattern in patterns)
