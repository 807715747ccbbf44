# ruff: noqa: RUF001  (signs of many scripts)
"""Sentences of Thai, which has neither full stops nor spaces between words.

A space may end a sentence or a clause, or stand around a number or a name. PyThaiNLP's "crfcut", a conditional random
field over the words, tells which; without that package each space before a long enough part counts as an end.
"""

from __future__ import annotations

import os
import re
import threading
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LETTERS = re.compile(r"[\u0e01-\u0e3a\u0e40-\u0e4e]")
_LONG = 1000
"""Characters that are looked at together; the time grows faster than the length."""
_LONGEST = 20_000
"""Characters of a line that are worth a second of work."""
_USUAL = 4
"""Between two spaces there are more characters than that."""
_SPACES = re.compile(r"(?<=\S)\s+")
_ENDS = re.compile(r"[.!?…]+[\"'”’)]*\s+")


def is_thai(line: str) -> bool:
    """Whether a line is Thai, and long enough to hold two sentences."""
    return len(line) > 8 and len(_LETTERS.findall(line, 0, 400)) * 2 > len(line[:400].replace(" ", ""))


def segments(line: str) -> Iterator[str]:
    """Cut a line at sentence ends; white space stays at the end of the sentence before it."""
    odd = len(line) > _LONGEST or len(line) < _USUAL * line.count(" ")
    cut = None if odd else _cutter()
    at = 0
    while at < len(line):
        end = _part_end(line, at)
        part = line[at:end]
        at = end
        yield from _at_spaces(part, cut(part)) if cut else [part]


def _part_end(line: str, at: int) -> int:
    """The end of the next part of at most `_LONG` characters, after a space if there is one."""
    if len(line) - at <= _LONG:
        return len(line)
    ends = [match.end() for match in _SPACES.finditer(line, at + _LONG // 2, at + _LONG)]
    return ends[-1] if ends else at + _LONG


def _at_spaces(part: str, said: list[str]) -> Iterator[str]:
    """The library's sentences as slices of the text: only cuts at spaces count, so that nothing is lost."""
    lengths = [len("".join(sentence.split())) for sentence in said]
    ends, total = set(), 0
    for length in lengths:
        total += length
        ends.add(total)
    seen = start = 0
    for match in re.finditer(r"\S+\s*", part):
        seen += len(match.group().rstrip())
        if seen in ends or _ENDS.search(match.group()):
            yield part[start : match.end()]
            start = match.end()
    if part[start:]:
        yield part[start:]


def word_starts(text: str) -> frozenset[int]:
    """Where words begin, as far as PyThaiNLP's dictionary tells; empty without that package."""
    words = _tokenizer()
    starts, at = set(), 0
    for word in words(text) if words else ():
        starts.add(at)
        at += len(word)
    return frozenset(starts) if at == len(text) else frozenset()


@cache
def _tokenizer() -> Callable[[str], list[str]] | None:
    _leave_the_home_alone()
    try:
        from pythainlp.tokenize import word_tokenize  # noqa: PLC0415
    except ImportError:
        return None
    tokenize: Callable[[str], list[str]] = word_tokenize
    return tokenize


@cache
def _cutter() -> Callable[[str], list[str]] | None:
    _leave_the_home_alone()
    try:
        from pythainlp.tokenize import crfcut  # noqa: PLC0415  (a model of 4 MB: only where there is Thai)
    except ImportError:
        return None
    lock = threading.Lock()

    def cut(text: str) -> list[str]:
        with lock:  # it has one tagger, which keeps the text that it looks at
            said: list[str] = crfcut.segment(text)
        return said

    return cut


def _leave_the_home_alone() -> None:
    """Keep PyThaiNLP from making a folder for downloads in the user's home, which may not be writable."""
    if "PYTHAINLP_READ_MODE" not in os.environ:
        os.environ.setdefault("PYTHAINLP_READ_ONLY", "1")
