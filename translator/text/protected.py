"""Protected spans: what must come through a translation as it is (addresses, handles, placeholders, tags, emoji)."""

from __future__ import annotations

import re

_EMOJI = "[\U0001f000-\U0001faff\u2600-\u27bf\u2b05-\u2bff]"
_PATTERN = re.compile(
    r"https?://[^\s<>\"']*[\w/]|www\.[\w.-]+\w|(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+|(?<!\w)@\w{2,}"
    r"|\{\{?\w*\}?\}|\$\{\w+\}|%\(\w+\)[sd]|%[sd]\b|</?[a-z]\w*/?>"
    rf"|{_EMOJI}(?:[\ufe0f\u200d\u20e3]|{_EMOJI})*",
    re.IGNORECASE,
)


def find(text: str) -> list[str]:
    """The protected parts of a text, in order."""
    return _PATTERN.findall(text)


def spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each protected part, in order."""
    return [match.span() for match in _PATTERN.finditer(text)]


def without(text: str) -> str:
    """The text with a space for each protected part."""
    return _PATTERN.sub(" ", text)
