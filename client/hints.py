"""What messages say to help: what was probably meant, and what to type."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that was probably meant, upper and lower case apart; the higher `cutoff`, the nearer it is."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean describe?)` for `descrbe`; nothing where no known word is near."""
    near = nearest(word, known)
    return f" (did you mean {near}?)" if near else ""


def install(extra: str) -> str:
    """The command that installs the packages of one of our extras; nothing of ours is published yet.

    With `-e`, as `make setup` does it: without it a copy would stand in the place of the folder from then on.
    """
    return f"pip install -e '.[{extra}]' in Babelview's own folder"
