# ruff: noqa: RUF001  (signs of many scripts)
"""Lists written within a line: "1. The first item 2. The second item"."""

from __future__ import annotations

import itertools
import re

_BULLETS = "•⁃◦‣▪●○"
_MARKER = re.compile(
    rf"(?:(?<=\s)|^)(?P<bullet>[{_BULLETS}]\s*)?"
    r"(?P<open>\()?(?P<value>\d{1,3}|[a-zA-Z]|[ivx]{2,5}|[IVX]{2,5})(?P<close>\.\)|[.)])(?P<gap>\s+)(?=\S)"
)
_BULLET = re.compile(rf"(?:(?<=\s)|^)([{_BULLETS}])\s*(?=\S)|(?:(?<=\s)|^)(\*)\s+(?=\S)")
_BEFORE_FIRST = re.compile(r"(?:^|[:;.!?。：]\s)\s*$")
_SHORT_WORD = re.compile(r"(?:^|\s)[^\W\d_A-Z]{1,3}\s+$")
_ROMAN = ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii"]
_MOST = 20_000
"""Characters of a line that are looked at: a longer one is no list that anybody wrote."""


def markers(line: str) -> list[tuple[int, int]]:
    """Start and end of each item's marker, white space after it included; empty if the line holds no such list.

    Numbers and letters must follow each other ("1." "2.", "a)" "b)"), and the first must open the line or a clause.
    """
    if len(line) > _MOST:
        return []
    found = [match for match in _MARKER.finditer(line) if _may_be(match, line)]
    for number, first in enumerate(found):
        chain = _chain(first, found[number + 1 :], line) if _BEFORE_FIRST.search(line, 0, first.start()) else []
        if len(chain) > 1:
            return [match.span() for match in chain]
    bullets = list(_BULLET.finditer(line))
    if (
        len(bullets) > 1
        and not line[: bullets[0].start()].strip()
        and len({match[1] or match[2] for match in bullets}) == 1
    ):
        return [match.span() for match in bullets]
    return []


def _may_be(marker: re.Match[str], line: str) -> bool:
    """Whether it can be a marker at all: "J. Smith" is none, and parentheses come in pairs."""
    close, value, opened = marker["close"], marker["value"], marker["open"]
    if opened:
        return close == ")"
    if value.isupper():
        return close != "." or set(value) <= set("IVX")
    return value.isdigit() or close != "." or not line[marker.end()].islower()


def _chain(first: re.Match[str], rest: list[re.Match[str]], line: str) -> list[re.Match[str]]:
    """The markers that continue `first`: same signs, each value the one after the last."""
    for values in _successions(first["value"]):
        chain = [first]
        for match in rest:
            same = all(bool(match[name]) == bool(first[name]) for name in ("open", "bullet"))
            if not same or match["close"] != first["close"] or match["value"] != values.get(chain[-1]["value"]):
                continue
            # "in der 2. Liga": an ordinal, as German, Danish or Czech write it
            if match["close"] != "." or match["bullet"] or not _SHORT_WORD.search(line, 0, match.start()):
                chain.append(match)
        if len(chain) > (2 if first["value"].isalpha() and first["close"] == "." else 1):
            return chain
    return []


def _successions(value: str) -> list[dict[str, str]]:
    """What follows what, in the numberings that `value` can begin; a list begins with 1, a or i, bullets aside."""
    if value.isdigit():
        return [{str(n): str(n + 1) for n in range(1000)}]
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    found = []
    if value in ("i", "I"):
        case = str.upper if value.isupper() else str.lower
        found.append({case(a): case(b) for a, b in itertools.pairwise(_ROMAN)})
    if value in ("a", "A"):
        case = str.upper if value.isupper() else str.lower
        found.append({case(a): case(b) for a, b in itertools.pairwise(letters)})
    return found
