"""A live session on the terminal: what streams is not broken by what comes meanwhile."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from live_events import caption

from client.cli.live_screen import LiveScreen
from client.endpoints.translation import Translated
from client.live.events import LiveAlert
from client.live.watch import LiveStats

if TYPE_CHECKING:
    import pytest

    from client.live.events import LiveCaption


def translated(event: LiveCaption, **texts: str) -> LiveCaption:
    found = {code: [Translated(text, Counter(), [])] for code, text in texts.items()}
    return replace(event, answers=(replace(event.answers[0], translations=found),))


def at_a_terminal() -> LiveScreen:
    screen = LiveScreen(as_json=False)
    screen._streams = True
    return screen


def test_a_caption_streams_and_other_lines_wait_for_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    screen = at_a_terminal()
    screen.piece(0, 2_000_000, "A red ")
    screen.note("rtsp://camera: back after 3 s")
    screen.piece(0, 2_000_000, "car.")
    assert capsys.readouterr() == ("0:00-0:02  A red car.", "")
    screen.show(translated(caption(0, 2, "A red car."), fra_Latn="Une voiture rouge."))
    assert capsys.readouterr() == (
        "  (0.5 s)\n    fra_Latn: Une voiture rouge.\n",
        "rtsp://camera: back after 3 s\n",
    )


def test_a_caption_that_was_given_up_ends_with_the_next_one(capsys: pytest.CaptureFixture[str]) -> None:
    screen = at_a_terminal()
    screen.piece(0, 2_000_000, "A red")
    screen.piece(4_000_000, 6_000_000, "A blue")
    screen.show(replace(caption(4, 6, "A blue car."), skipped=1))
    assert capsys.readouterr().out == "0:00-0:02  A red\n0:04-0:06  A blue  (0.5 s)\n"


def test_what_goes_on_is_said_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    screen = LiveScreen(as_json=False)
    for number in range(1, 4):
        screen.show(replace(caption(number, number + 1, "A car."), error="no answer within 30 s", skipped=number))
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [f"0:0{number}-0:0{number + 1}  A car.  (0.5 s)" for number in range(1, 4)]
    assert shown.err.splitlines() == [
        "no answer within 30 s",
        "the model is slower than --every: 1 step left out so far",
    ]


def test_an_alert_and_the_sums_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    screen = LiveScreen(as_json=False)
    event = caption(0, 2, "Yes")
    alert = LiveAlert(
        session=event.session,
        start_us=0,
        end_us=2_000_000,
        question="Is it?",
        answer=True,
        lag_s=0.5,
        ask=event.answers[0].ask,
        said=event.answers[0].answer,
        stills=(None, b""),
    )
    sums = {"alerts": 1, "untold": 1, "too_old": 1, "unheard": 2}
    stats = LiveStats(captions=10, late_s=5.0, every_s=2.0, lags_s=4.0, longest_lag_s=1.5, **sums)
    screen.summary(stats, None)
    assert not capsys.readouterr().err, "of nothing that was ever seen"
    screen.show(alert)
    reader: Any = SimpleNamespace(began=True, received=80, dropped=3, reconnects=1)
    screen.summary(stats, reader)
    shown = capsys.readouterr()
    assert shown.out == "0:00-0:02  ALERT: Is it? yes\n"
    assert shown.err == (
        "10 captions; lag 0.4 s, at most 1.5 s; 2 steps left out; 3 of 80 frames in no caption; "
        "1 given up, as too old; 1 alert; 1 of them not told; 1 reconnection; "
        "2 pieces of sound left out\n"
    )


def test_a_message_of_several_lines_stays_one_and_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    screen = LiveScreen(as_json=False)
    screen.note("HTTP 400: no such task\r\n\n  at line 3\n\x1b[2Jat line 4\n")
    assert capsys.readouterr().err == "HTTP 400: no such task\n  at line 3\n    \\x1b[2Jat line 4\n"


def test_a_caption_that_was_given_up_while_it_streamed_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    screen = at_a_terminal()
    screen.piece(0, 2_000_000, "A red")
    screen.show(replace(caption(0, 2, ""), answers=(), error="given up: it would be older than 4 s"))
    shown = capsys.readouterr()
    assert shown.out == "0:00-0:02  A red  ... (given up)\n"
    assert shown.err == "given up: it would be older than 4 s\n"
