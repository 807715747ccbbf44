# ruff: noqa: RUF001  (signs of many scripts)
"""Subtitles in WebVTT and SubRip (SRT): the words change, everything else stays byte for byte.

A sentence is translated as one, also where it runs over several cues; its translation is shared out among them by
length, so that each shows what is said while it is there. Lines are then broken anew, at most as long as the guides of
broadcasters have it: 42 columns, 16 letters in Chinese, Japanese and Korean.

Formats: w3.org/TR/webvtt1; SRT has no standard: a number, times, lines, an empty line.
"""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from translator.errors import SubtitleError
from translator.text.marked import Marked, Tag, as_it_is
from translator.text.placement import break_lines

if TYPE_CHECKING:
    from translator.text.marked import Kind

Format = Literal["vtt", "srt"]

_TIMES = re.compile(
    r"\s*(?:(\d{1,4}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})\s*-->\s*(?:(\d{1,4}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
)
_MARKUP = re.compile(
    r"<(?P<close>/?)(?P<name>[a-zA-Z]*+)[^<>\n]{0,400}+>|\{\\[^{}\n]{1,200}+\}|&[a-zA-Z]{2,8};|&#\d{1,7};"
)
_DASH = re.compile(r"\s*[-–—‐]\s*")
_SAID_BY_NOBODY = re.compile(r"[\[(♪♫#]")
_LONGEST_GAP_S = 3.0
"""Between two cues of one sentence there is no more time than that."""
_COLUMNS = {"Hans": 16, "Hant": 16, "Jpan": 16, "Hang": 16, "Thai": 35, "Laoo": 35, "Khmr": 35, "Mymr": 35, "Arab": 42}
_USUAL_COLUMNS = 42


@dataclass(slots=True)
class _Cue:
    start_s: float
    end_s: float
    first: int
    """Its first line of text in the file, and one past its last."""
    last: int
    speakers: bool = False
    """Whether its lines are said by several people, with a dash before each."""
    ends: bool = True
    """Whether no sentence goes on from it to the next."""


class Subtitles:
    """A subtitle file, and the text in it."""

    def __init__(self, source: str, form: Format) -> None:
        """Take a file apart.

        Raises:
            SubtitleError: there is no cue in it.
        """
        self._lines = source.splitlines(keepends=True)
        self._form = form
        self._cues = list(self._find_cues())
        if not self._cues:
            raise SubtitleError(
                f"no {form} subtitles: not a single line of times such as 00:00:01.000 --> 00:00:02.000"
            )
        self.text = self._read()
        """What there is to translate: a line for each cue, or for each speaker in it."""

    def with_text(self, said: str, script: str) -> str:
        """The file with a translation.

        Args:
            said: as many lines as `text` has.
            script: of the FLORES code of its language, for the length of lines.
        """
        columns = _COLUMNS.get(script, _USUAL_COLUMNS)
        lines = iter(said.split("\n"))
        built: list[str] = []
        at = 0
        for cue in self._cues:
            built += self._lines[at : cue.first]
            ending = _line_end(self._lines[cue.first])
            count = cue.last - cue.first if cue.speakers else 1
            shown = [line for _ in range(count) for line in _broken(next(lines).strip(), columns)]
            built.append(ending.join(shown) + _line_end(self._lines[cue.last - 1], always=False))
            at = cue.last
            if cue.ends:
                next(lines)
        return "".join([*built, *self._lines[at:]])

    def _find_cues(self) -> list[_Cue]:
        found: list[_Cue] = []
        number = 0
        while number < len(self._lines):
            times = _TIMES.match(self._lines[number])
            number += 1
            if not times:
                continue
            first = number
            while number < len(self._lines) and self._is_text(number):
                number += 1
            if number > first:
                cue = _Cue(_as_s(*times.groups()[:4]), _as_s(*times.groups()[4:]), first, number)
                cue.speakers = number - first > 1 and all(
                    _DASH.match(_MARKUP.sub("", line)) for line in self._lines[first:number]
                )
                found.append(cue)
        return found

    def _is_text(self, number: int) -> bool:
        """Whether a line after times is of the cue: not empty, and neither the next cue's times nor its number."""
        line = self._lines[number]
        if not line.strip() or _TIMES.match(line):
            return False
        after = self._lines[number + 1] if number + 1 < len(self._lines) else ""
        return not (line.strip().isdigit() and _TIMES.match(after))

    def _read(self) -> Marked:
        reading = _Reading(escapes=self._form == "vtt")
        for cue, after in zip(self._cues, [*self._cues[1:], None], strict=True):
            lines = [line.strip() for line in self._lines[cue.first : cue.last]]
            for line in lines if cue.speakers else [" ".join(lines)]:
                reading.add(line)
                reading.end_line()
            cue.ends = after is None or not self._may_go_on(cue, after)
            if cue.ends:  # an empty line, across which no sentence goes on
                reading.end_line()
        return reading.marked()

    def _may_go_on(self, cue: _Cue, after: _Cue) -> bool:
        said = _MARKUP.sub("", self._lines[after.first]).strip()
        near = after.start_s - cue.end_s <= _LONGEST_GAP_S
        return near and not (cue.speakers or after.speakers or _SAID_BY_NOBODY.match(said) or _DASH.match(said))


class _Reading:
    """The text of the cues as it grows."""

    def __init__(self, *, escapes: bool) -> None:
        self._escapes = escapes
        self._said: list[str] = []
        self._spelled: list[str] = []
        self._tags: list[Tag] = []

    def add(self, line: str) -> None:
        """Add text of a cue."""
        at = 0
        if dash := _DASH.match(line):
            self._tags.append(Tag(len(self._said), dash.group()))
            at = dash.end()
        for match in _MARKUP.finditer(line, at):
            self._put(line[at : match.start()])
            at = match.end()
            written = match.group()
            if not written.startswith("&"):
                name = match["name"] or ""
                kind: Kind = "point" if not name else "close" if match["close"] else "open"
                self._tags.append(Tag(len(self._said), written, name, kind))
            elif self._escapes and len(said := html.unescape(written)) == 1:
                self._said.append(said)
                self._spelled.append(written)
            else:
                self._put(written)
        self._put(line[at:])

    def end_line(self) -> None:
        """End a line."""
        self._put("\n")

    def marked(self) -> Marked:
        """All of it."""
        escape = _escape if self._escapes else as_it_is
        return Marked("".join(self._said), tuple(self._tags), tuple(self._spelled), escape, layout="cues")

    def _put(self, text: str) -> None:
        self._said += text
        self._spelled += text


def _escape(text: str) -> str:
    return html.escape(text, quote=False).replace("\u00a0", "&nbsp;")


def _as_s(hours: str | None, minutes: str, rest: str, fraction: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(rest) + float(f"0.{fraction}")


def _line_end(line: str, *, always: bool = True) -> str:
    ending = line[len(line.rstrip("\r\n")) :]
    return ending or ("\n" if always else "")


def _broken(line: str, columns: int) -> list[str]:
    """A line as several of about the same length, none longer than `columns` if its words allow it; tags have none."""
    bare = _MARKUP.sub("", line)
    if len(bare) <= columns:
        return [line]
    for count in range(math.ceil(len(bare) / columns), len(bare)):
        starts = break_lines(bare, [1 / count] * count)
        lines = [bare[a:b].strip() for a, b in zip([0, *starts], [*starts, len(bare)], strict=True)]
        if all(len(one) <= columns for one in lines) or count > 8:
            return _with_markup(line, starts)
    return [line]


def _with_markup(line: str, starts: list[int]) -> list[str]:
    """Cut a line, which has tags, at places that count its letters alone."""
    cuts, seen, at = [], 0, 0
    waiting = list(starts)
    for match in _MARKUP.finditer(line):
        while waiting and waiting[0] < seen + match.start() - at:
            cuts.append(at + waiting.pop(0) - seen)
        seen += match.start() - at
        at = match.end()
    cuts += [at + start - seen for start in waiting]
    return [line[a:b].strip() for a, b in zip([0, *cuts], [*cuts, len(line)], strict=True)]
