"""What the user sees of a run, and what the log file keeps."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from client.errors import UsageError
from client.log import open_log
from client.screen import Screen
from client.tally import Tally

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("client.tally.time", clock)
    monkeypatch.setattr("client.screen.time", clock)
    return clock


def screen(tally: Tally, *, quiet: bool = False) -> tuple[Screen, io.StringIO]:
    shown = io.StringIO()
    return Screen(tally, quiet=quiet, console=Console(file=shown, width=300)), shown


def test_the_time_left_is_told_by_what_this_run_did_of_late(clock: Clock) -> None:
    tally = Tally(files=1000, began=clock.now)
    tally.done = tally.reused = 400  # at once: an earlier run had done them
    for _ in range(100):
        clock.now += 1
        tally.done += 2
        tally.generated_tokens += 50
        tally.pace()
    assert tally.pace() == (pytest.approx(2), pytest.approx(50))
    assert "600/1000 files, 0 failed" in tally.lines()[0]
    assert "3:20 left" in tally.lines()[0]  # 400 files at 2 a second
    for _ in range(200):
        clock.now += 1
        tally.done += 1
        tally.pace()
    assert tally.pace()[0] == pytest.approx(1)  # the faster beginning is forgotten


def test_plain_lines_come_every_few_seconds(clock: Clock) -> None:
    tally = Tally(files=1000, began=clock.now)
    shown_on, shown = screen(tally)
    for _ in range(305):
        clock.now += 0.1
        tally.done += 1
        tally.requests += 2
        tally.prompt_tokens += 1000
        shown_on.update()
    lines = shown.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("200/1000 files, 0 failed; 400 requests, 0 in flight, 1:20 left; 10.0 files/s")
    assert "200,000 tokens in" in lines[1]


def test_quiet_leaves_what_needs_attention() -> None:
    tally = Tally(files=60, done=0, failures=[(f"{number}.jpg", "broken") for number in range(60)])
    quiet, shown = screen(tally, quiet=True)
    quiet.update(now=True)
    quiet.note("the server is away")
    quiet.summary("captions/results.json")
    lines = shown.getvalue().splitlines()
    assert lines[:2] == ["the server is away", "failed: 0.jpg: broken"]
    assert lines[-1] == "... and 10 more, all with their reasons in captions/results.json"
    assert len(lines) == 52


def test_the_log_file_grows_line_by_line_and_keeps_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "run.log"
    for number in range(2):
        open_log(path, "sk-secret")
        logging.getLogger("client.pipeline").warning("%d: the server said\nInvalid key sk-secret", number)
    open_log(None, "sk-secret")
    logging.getLogger("client.pipeline").error("not kept")
    lines = path.read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        f"WARNING {number}: the server said\\nInvalid key ***" for number in range(2)
    ]
    assert lines[0].startswith("20")
    with pytest.raises(UsageError, match="--log-file"):
        open_log(tmp_path, "none")
