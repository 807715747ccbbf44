"""Live subtitles for players: WebVTT segments and a playlist for each language, as HLS has them (RFC 8216).

A segment of captions is written once one reaches over its end, or none can come any more that does; a segment of what
is said once nothing more can be heard of it. The playlist names the newest ones, and what has left it is removed a
while later, so that memory and folder stay as they are.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from client.export.atomic import replacing
from client.export.cues import cues, vtt
from client.ledger.edits import ENGLISH
from client.live.events import LiveCaption, LiveSaid

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from client.live.events import LiveEvent

FOLDER = "subtitles"
SEGMENT_S = 6.0
_LISTED, _KEPT = 10, 20
"""Segments in a playlist, and on the disk: a player may still fetch one that it read of a moment ago."""
_SAID = "said."
"""Before the languages of what is said."""
_CLOCK_HZ, _CLOCK_BITS = 90_000, 33
"""Of MPEG-2 time stamps."""


@dataclass(slots=True)
class _Track:
    """The subtitles in a language."""

    first: int
    """The number of its first segment."""
    number: int
    """Of the next segment."""
    texts: deque[tuple[float, float, str]] = field(default_factory=deque)
    """Start, end, text."""


class LiveSubtitles:
    """Writes `subtitles/LANGUAGE.m3u8` and its segments."""

    def __init__(self, folder: Path, began: datetime, segment_s: float = SEGMENT_S) -> None:
        """`began` is the beginning of the run's clock."""
        self._folder, self._began, self._segment_s = folder / FOLDER, began, segment_s
        self._tracks: dict[str, _Track] = {}
        self._until_s = 0.0
        """Where the last caption ends."""
        self.heard_until_s = 0.0
        """Of the time before it, on the run's clock, nothing more will be heard."""
        self._closed = False
        self.pts_at_0_s: float | None = None
        """The source's own time when the run's clock began: players place subtitles by it."""

    def add(self, event: LiveEvent) -> None:
        """A caption, or what is said; with any event what is due is written.

        Raises:
            OSError: a file cannot be written.
        """
        if isinstance(event, LiveCaption):
            texts = _texts(event)
            start_s, end_s = max(event.start_us / 1e6, self._until_s), event.end_us / 1e6
            if end_s > start_s:
                self._until_s = end_s
                for language, text in texts.items():
                    self._put(language, start_s, end_s, text)
        elif isinstance(event, LiveSaid):
            said = {event.language or "und": event.text, **event.translations}
            for language, text in said.items():
                self._put(f"{_SAID}{language}", event.start_us / 1e6, event.end_us / 1e6, text)
        self._write_due()

    def flush(self, until_s: float) -> None:
        """Write what is due though no event comes: no caption is still to come that ends before `until_s`.

        Raises:
            OSError: a file cannot be written.
        """
        self._until_s = max(self._until_s, until_s)
        self._write_due()

    def _write_due(self) -> None:
        for language, track in self._tracks.items():
            self._write_until(language, track, self._due_s(language))

    def close(self) -> None:
        """Write what is left, and that no more comes; once."""
        if not self._closed:
            self._closed = True
            for language, track in self._tracks.items():
                end_s = max(self._due_s(language), track.texts[-1][1] if track.texts else 0.0)
                self._write_until(language, track, end_s + self._segment_s, last=True)

    def _due_s(self, language: str) -> float:
        """Until when all is there."""
        return self.heard_until_s if language.startswith(_SAID) else self._until_s

    def _put(self, language: str, start_s: float, end_s: float, text: str) -> None:
        """Add a text; a language that comes for the first time begins with its segment."""
        track = self._tracks.get(language)
        if track is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            number = int(start_s / self._segment_s)
            track = self._tracks[language] = _Track(number, number)
        if end_s > track.number * self._segment_s:
            track.texts.append((start_s, end_s, text))

    def _write_until(self, language: str, track: _Track, end_s: float, *, last: bool = False) -> None:
        """Write the segments that end before `end_s`; of many no more than the playlist names."""
        before, oldest = track.number, int(end_s / self._segment_s) - _LISTED
        if oldest > before:
            for number in range(max(0, before - _KEPT), min(before, oldest - _KEPT)):
                (self._folder / _name(language, number)).unlink(missing_ok=True)
            track.number = oldest
        while (track.number + 1) * self._segment_s <= end_s:
            self._write(language, track)
        if track.number > before or last:
            self._list(language, track, last=last)

    def _write(self, language: str, track: _Track) -> None:
        start_s, end_s = track.number * self._segment_s, (track.number + 1) * self._segment_s
        found = [
            cue
            for begins_s, ends_s, text in track.texts
            if begins_s < end_s and ends_s > start_s
            for cue in cues(begins_s, ends_s, text, language.removeprefix(_SAID))
            if cue.start_s < end_s and cue.end_s > start_s
        ]
        content = vtt(found).replace("WEBVTT", f"WEBVTT\n{self._map()}", 1)
        with replacing(self._folder / _name(language, track.number)) as file:
            file.write(content.encode())
        (self._folder / _name(language, track.number - _KEPT)).unlink(missing_ok=True)
        while track.texts and track.texts[0][1] <= end_s:
            track.texts.popleft()
        track.number += 1

    def _map(self) -> str:
        ticks = round((self.pts_at_0_s or 0.0) * _CLOCK_HZ) % (1 << _CLOCK_BITS)
        return f"X-TIMESTAMP-MAP=MPEGTS:{ticks},LOCAL:00:00:00.000"

    def _list(self, language: str, track: _Track, *, last: bool) -> None:
        first = max(track.first, track.number - _LISTED)
        begins = self._began + timedelta(seconds=first * self._segment_s)
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:6",
            f"#EXT-X-TARGETDURATION:{-(-self._segment_s // 1):.0f}",
            f"#EXT-X-MEDIA-SEQUENCE:{first}",
            f"#EXT-X-PROGRAM-DATE-TIME:{begins.isoformat('T', 'milliseconds')}",
        ]
        for number in range(first, track.number):
            lines += [f"#EXTINF:{self._segment_s:.3f},", _name(language, number)]
        with replacing(self._folder / f"{language}.m3u8") as file:
            file.write("\n".join([*lines, *(["#EXT-X-ENDLIST"] if last else []), ""]).encode())


def _name(language: str, number: int) -> str:
    return f"{language}-{number:08}.vtt"


def _texts(caption: LiveCaption) -> dict[str, str]:
    """What is shown of a caption, by language: its first answer."""
    if not caption.answers:
        return {}
    first = caption.answers[0]
    texts = {ENGLISH: first.answer.text}
    texts |= {code: ", ".join(part.text for part in parts) for code, parts in first.translations.items()}
    return {code: text for code, text in texts.items() if text}
