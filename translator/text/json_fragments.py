"""JSON within a text: what a program will read is not translated."""

from __future__ import annotations

import json
import re

_OPENING = re.compile(r"[\[{]\s*\"")
_BEGINS = re.compile(r"(?:[\[{]\s*)+\"(?:[^\"\\\n]|\\.){0,200}\"\s*:")
_PAIR = re.compile(
    r"^[ \t]*\"(?:[^\"\\\n]|\\.){1,200}\"[ \t]*:[ \t]*"
    r"(?:\"(?:[^\"\\\n]|\\.)*\"|-?\d[\d.eE+-]*|true|false|null|[\[{][^\n]*)[ \t]*,?[ \t\]}]*\r?$",
    re.MULTILINE,
)
_SPARSE = re.compile(r"[\s\[\]{},]*")
_MOST_FAILURES = 50
"""After so many brackets that begin no JSON, no more is looked for: an error of the decoder counts all lines before."""
_DECODER = json.JSONDecoder(strict=False)


def spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each piece of JSON, in order: whole values, one that the text's end cuts off, lines `"a": 1,`.

    Each character is looked at a bounded number of times.
    """
    found: list[tuple[int, int]] = []
    at = failures = 0
    while failures < _MOST_FAILURES and (match := _OPENING.search(text, at)):
        start = at + len(text[at : match.start()].rstrip("[{ \t\r\n"))
        start = next(i for i in range(start, match.end()) if text[i] in "[{")
        end, at = _value(text, start)
        if end:
            found.append((start, end))
        else:
            failures += 1
    found += [match.span() for match in _PAIR.finditer(text)]
    return _merged(sorted(found), text)


def _value(text: str, start: int) -> tuple[int, int]:
    """Where the value that begins at `start` ends, 0 if there is none, and where to look on."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except RecursionError:
        return len(text), len(text)
    except json.JSONDecodeError as error:
        cut = error.msg.startswith("Unterminated") or not text[error.pos :].strip()
        if cut and _BEGINS.match(text, start):
            return len(text), len(text)
        return 0, max(start + 1, error.pos)
    return (end, end) if value else (0, end)


def _merged(found: list[tuple[int, int]], text: str) -> list[tuple[int, int]]:
    """Without overlaps; what stands between two of them is JSON too, if it is signs alone."""
    merged: list[tuple[int, int]] = []
    for start, end in found:
        if merged and (start <= merged[-1][1] or _SPARSE.fullmatch(text, merged[-1][1], start)):
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
