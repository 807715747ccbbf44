"""A live session on the terminal: captions as they come, what is said, alerts; or a line of JSON for each."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import orjson

from client.checks.issues import DOUBTFUL
from client.cli.said import clock, note, show, text_of
from client.live.events import LiveAlert, LiveCaption, LiveSaid

if TYPE_CHECKING:
    from client.live.events import LiveEvent
    from client.live.reader import Reader
    from client.live.watch import LiveStats

_REMIND_S = 60.0
"""So often it is said again that something goes wrong."""


class LiveScreen:
    """Writes events to standard output, and notes to standard error; a caption that streams is not broken by others."""

    def __init__(self, *, as_json: bool) -> None:
        """`as_json`: lines of JSON."""
        self._as_json = as_json
        self._streams = sys.stdout.isatty() and not as_json
        self._open = 0
        """The end of the caption whose line is open (microseconds); 0: none is."""
        self._shown = -1
        """The end of the last caption that streamed."""
        self._waiting: list[tuple[bool, str]] = []
        self._skipped = 0
        self._told: dict[str, float] = {}

    def piece(self, start_us: int, end_us: int, text: str) -> None:
        """A piece of a caption, as it comes."""
        if not self._streams:
            return
        if self._open != end_us:
            self._close()
            self._open = self._shown = end_us
            show(f"{_span(start_us, end_us)}  ", end="")
        show(text, end="")

    def note(self, text: str) -> None:
        """A line for the user."""
        self._write(text, to_stderr=True)

    def show(self, event: LiveEvent) -> None:
        """What has come."""
        if self._as_json:
            show(orjson.dumps(event.to_json()).decode())
        elif isinstance(event, LiveCaption):
            self._show_caption(event)
        elif isinstance(event, LiveSaid):
            lines = [f"{_span(event.start_us, event.end_us)}  said: {event.text}"]
            lines += [f"    {code}: {text}" for code, text in event.translations.items()]
            self._write("\n".join(lines))
        else:
            self._write(f"{_span(event.start_us, event.end_us)}  ALERT: {event.question} {_word(event)}")

    def _show_caption(self, event: LiveCaption) -> None:
        lines: list[str] = []
        streamed = self._streams and self._shown == event.end_us
        if streamed:
            self._close(f"  ({event.lag_s:.1f} s)" if event.answers else "  ... (given up)")
        else:
            self._close()
        for number, (key, answer) in enumerate(event.tasks.items()):
            if not streamed:
                name = f"{key}: " if len(event.tasks) > 1 else ""
                lag = "" if number else f"  ({event.lag_s:.1f} s)"
                lines.append(f"{_span(event.start_us, event.end_us)}  {name}{text_of(key, answer)}{lag}")
            if answer["verdict"] == DOUBTFUL:
                self._tell(f"doubtful answer: {'; '.join(answer['reasons'])}")
            for code, said in answer.get("translations", {}).items():
                lines.append(f"    {code}: {said if isinstance(said, str) else ', '.join(map(str, said))}")
        if lines:
            self._write("\n".join(lines))
        if event.error:
            self._tell(event.error)
        if event.skipped > self._skipped:
            self._tell(
                f"the model is slower than --every: {_count(event.skipped, 'step')} left out so far", about="slower"
            )
            self._skipped = event.skipped

    def summary(self, stats: LiveStats, reader: Reader | None) -> None:
        """What was counted, at the end; nothing where nothing was ever seen."""
        self._close()
        if reader is None or reader.began is None:
            return
        received, dropped, again = reader.received, reader.dropped, reader.reconnects
        told = [
            _count(stats.captions, "caption"),
            f"lag {stats.mean_lag_s:.1f} s, at most {stats.longest_lag_s:.1f} s",
            f"{_count(stats.skipped, 'step')} left out",
            f"{dropped:,} of {received:,} frames in no caption",
        ]
        told += [f"{stats.too_old:,} given up, as too old"] if stats.too_old else []
        told += [f"{stats.failed:,} with something unanswered"] if stats.failed else []
        told += [_count(stats.alerts, "alert")] if stats.alerts else []
        told += [f"{stats.untold:,} of them not told"] if stats.untold else []
        told += [_count(again, "reconnection")] if again else []
        told += [f"{_count(stats.unheard, 'piece')} of sound left out"] if stats.unheard else []
        note("; ".join(told))

    def _tell(self, text: str, about: str | None = None) -> None:
        """Note what may go on for long, once a minute."""
        now_s = time.monotonic()
        if now_s - self._told.get(about or text, -_REMIND_S) >= _REMIND_S:
            self._told = {known: at_s for known, at_s in self._told.items() if now_s - at_s < _REMIND_S}
            self._told[about or text] = now_s
            self.note(text)

    def _write(self, text: str, *, to_stderr: bool = False) -> None:
        if self._open:
            self._waiting.append((to_stderr, text))
        elif to_stderr:
            note(text)
        else:
            show(text)

    def _close(self, end: str = "") -> None:
        """End the line that is open, and write what waited for that."""
        if self._open:
            self._open = 0
            show(end)
        waiting, self._waiting = self._waiting, []
        for to_stderr, text in waiting:
            self._write(text, to_stderr=to_stderr)


def _word(alert: LiveAlert) -> str:
    return "yes" if alert.answer else "no"


def _span(start_us: int, end_us: int) -> str:
    return f"{clock(start_us / 1e6)}-{clock(end_us / 1e6)}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
