# ruff: noqa: RUF001  (signs of many scripts)
"""From timed texts to cues as subtitle guidelines want them: two lines at most, each short enough to be read at once.

The lengths of lines are those of Netflix's timed text style guides: 42 characters, 35 of Thai, and of scripts that are
twice as wide 16 (Chinese, Korean) or 13 (Japanese).
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LINES = 2
LINE_CHARACTERS = 42
_LINE_CHARACTERS = {"Hans": 16, "Hant": 16, "Jpan": 13, "Hang": 16, "Thai": 35}
"""By the script in a FLORES code, where it is another number."""
RIGHT_TO_LEFT = frozenset({"Arab", "Hebr", "Thaa", "Nkoo", "Syrc"})
RLM = "\N{RIGHT-TO-LEFT MARK}"
SHORTEST_S = 1.0
"""A cue is shown for so long at least, where its text has that time."""

_NOT_FIRST = "、。，．：；！？）］｝〉》」』】〕…‥ー々,.:;!?)]}»›%‰"
"""Must not begin a line in the scripts without spaces (kinsoku shori, JIS X 4051)."""
_NOT_LAST = "（［｛〈《「『【〔([{«‹"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SENTENCE_END = re.compile(r"[.!?…।॥።։។؟۔]+[\"'”’»)\]]*\s+|[。！？]+[”’」』）]*\s*")
_CLAUSE_END = re.compile(r"[,;:—–،؛]\s+|[、，；：]\s*")


class Cue(NamedTuple):
    """What is shown at a time: seconds, half open; its lines are joined by line feeds."""

    start_s: float
    end_s: float
    text: str


def cues(start_s: float, end_s: float, text: str, language: str) -> Iterator[Cue]:
    """The cues of a text that is shown from `start_s` to `end_s`; `language` is a FLORES code.

    A long text becomes several cues, one after the other without a gap, each shown for its share of the characters.
    """
    script = language.partition("_")[2]
    width = _LINE_CHARACTERS.get(script, LINE_CHARACTERS)
    parts = _join_short(_split(text, width), end_s - start_s, width)
    total, begun, shown = sum(map(len, parts)), 0, start_s
    for part in parts:
        begun += len(part)
        until = round(start_s + (end_s - start_s) * begun / total, 3)
        lines = _lines(part, width)
        if shown < until:
            yield Cue(shown, until, "\n".join(_directed(line, script) for line in lines))
        shown = until


def _directed(line: str, script: str) -> str:
    """A line of a script that runs from right to left, also if it begins with a Latin name."""
    if script not in RIGHT_TO_LEFT:
        return line
    strong = next((kind for kind in map(unicodedata.bidirectional, line) if kind in ("L", "R", "AL")), "L")
    return line if strong != "L" else RLM + line


def _split(text: str, width: int) -> list[str]:
    """Parts of a text that fit on the lines of a cue, cut where a sentence, a clause or a word ends."""
    parts: list[str] = []
    part = ""
    for piece in _pieces(" ".join(_CONTROL.sub(" ", text).split()), width):
        if part and not _fits(part + piece, width):
            cut = _best_cut(part)
            parts.append(part[:cut])
            part = part[cut:]
            if part and not _fits(part + piece, width):
                parts.append(part)
                part = ""
        part += piece
    return [*(kept for kept in map(str.strip, [*parts, part]) if kept)]


def _fits(part: str, width: int) -> bool:
    return len(_wrap(part, width)) <= LINES


def _best_cut(part: str) -> int:
    """Where to end a cue of which no more fits: after a sentence, or clause, in its second half, or nowhere."""
    for pattern in (_SENTENCE_END, _CLAUSE_END):
        ends = [match.end() for match in pattern.finditer(part)]
        if ends and ends[-1] * 2 >= len(part):
            return ends[-1]
    return len(part)


def _pieces(text: str, width: int) -> Iterator[str]:
    """What a line cannot be broken within, with the white space after it."""
    for word in re.findall(r"\S+\s*", text):
        pieces = _characters(word) if any(map(_is_wide, word)) else [word]
        for piece in pieces:
            yield from _fitting(piece, width)


def _fitting(word: str, width: int) -> Iterator[str]:
    """A word in as many parts as have to stand on lines of their own."""
    while word:
        end = _end_of_line(word, width)
        yield word[:end]
        word = word[end:]


def _end_of_line(word: str, width: int) -> int:
    """Where a word that is longer than a line is cut: not between a sign and what is written on it."""
    ends = range(width, 0, -1) if len(word) > width else ()
    return next((end for end in ends if not unicodedata.category(word[end]).startswith("M")), width)


def _characters(word: str) -> Iterator[str]:
    """The pieces of a word of a script without spaces: a line may break between nearly all characters."""
    piece = ""
    for character in word:
        glued = piece and (
            character in _NOT_FIRST
            or character.isspace()
            or unicodedata.combining(character)
            or piece[-1] in _NOT_LAST
            or not (_is_wide(character) or _is_wide(piece[-1]))
        )
        if piece and not glued:
            yield piece
            piece = ""
        piece += character
    yield piece


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def _wrap(text: str, width: int) -> list[str]:
    """Lines of `width` characters at most, each as full as can be."""
    lines = [""]
    for piece in _pieces(text.strip(), width):
        if lines[-1] and len((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.strip() for line in lines]


def _lines(part: str, width: int) -> list[str]:
    """A part on one line if it fits, else on two of about the same length, rather where a clause ends."""
    if len(part) <= width:
        return [part]
    pieces = list(_pieces(part, width))
    cuts = [len("".join(pieces[:count])) for count in range(1, len(pieces))]
    fitting = [cut for cut in cuts if max(len(part[:cut].rstrip()), len(part[cut:])) <= width]
    if not fitting:
        return _wrap(part, width)
    ends = {match.end() for pattern in (_SENTENCE_END, _CLAUSE_END) for match in pattern.finditer(part)}
    cut = min(fitting, key=lambda at: abs(2 * at - len(part)) - (at in ends) * len(part) / 3)
    return [part[:cut].rstrip(), part[cut:]]


def _join_short(parts: list[str], shown_s: float, width: int) -> list[str]:
    """Join parts that would be shown too shortly to be seen, as long as they fit; all of one if there is no time."""
    total = sum(map(len, parts))
    joined: list[str] = []
    for part in parts:
        short = joined and shown_s * min(len(part), len(joined[-1])) / total < SHORTEST_S
        if short and _fits(f"{joined[-1]} {part}", width):
            joined[-1] = f"{joined[-1]} {part}"
        else:
            joined.append(part)
    return joined


def vtt(found: Iterable[Cue]) -> str:
    """WebVTT (https://www.w3.org/TR/webvtt1/)."""
    blocks = ["WEBVTT"]
    for cue in found:
        text = cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        blocks.append(f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n{text}")
    return "\n\n".join(blocks) + "\n"


def srt(found: Iterable[Cue]) -> str:
    """SubRip: numbered cues; there is no way to write `<` so that no player takes it for a tag."""
    blocks = [
        f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{cue.text.replace('-->', '->')}\n"
        for number, cue in enumerate(found, 1)
    ]
    return "\n".join(blocks)


def ffmetadata(chapters: Iterable[Cue]) -> str:
    """FFmpeg's metadata file, with a chapter for each (https://ffmpeg.org/ffmpeg-formats.html#Metadata-2)."""
    blocks = [";FFMETADATA1"]
    for chapter in chapters:
        title = re.sub(r"([=;#\\\n])", r"\\\1", " ".join(chapter.text.split()))
        times = f"START={round(chapter.start_s * 1000)}\nEND={round(chapter.end_s * 1000)}"
        blocks.append(f"[CHAPTER]\nTIMEBASE=1/1000\n{times}\ntitle={title}")
    return "\n".join(blocks) + "\n"


def _clock(time_s: float, point: str) -> str:
    """`00:01:02.500`, or with a comma."""
    total_ms = round(time_s * 1000)
    minutes, milliseconds = divmod(total_ms, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"
