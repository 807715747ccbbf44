"""What the user sees of a run, and what the log file keeps."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import pty
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from batch_runs import command, pictures, results
from rich.console import Console

from client.cli.log import open_log
from client.cli.progress import Progress
from client.cli.said import note
from client.cli.screen import ProgressDisplay
from client.errors import UsageError
from client.media.kinds import Kind

if TYPE_CHECKING:
    from fake_servers import FakeServers


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("client.cli.progress.time", clock)
    monkeypatch.setattr("client.cli.screen.time", clock)
    return clock


def run_on_a_terminal(servers: FakeServers, folder: Path, *, cwd: Path, **variables: str) -> str:
    """All that a run writes to its terminal."""
    ours, theirs = pty.openpty()
    line, environment = command(servers, folder, "--languages", "")
    environment = {"TERM": "xterm"} | {k: v for k, v in environment.items() if k != "NO_COLOR"} | variables
    with subprocess.Popen(line, env=environment, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 1 << 16):
                shown += piece
        except OSError:
            pass  # the other end is closed
    os.close(ours)
    return shown.decode()


def screen(progress: Progress, *, quiet: bool = False) -> tuple[ProgressDisplay, io.StringIO]:
    shown = io.StringIO()
    return ProgressDisplay(progress, quiet=quiet, console=Console(file=shown, width=300)), shown


def test_the_time_left_is_told_by_what_this_run_did_of_late(clock: Clock) -> None:
    progress = Progress(files=1000, began=clock.now)
    progress.done = progress.reused = 400  # at once: an earlier run had done them
    for _ in range(100):
        clock.now += 1
        progress.done += 2
        progress.generated_tokens += 50
        progress.pace()
    assert progress.pace() == (pytest.approx(2), pytest.approx(50))
    assert "600 of 1,000 files done, 0 failed, 0 in flight" in progress.lines()
    assert "3:20 left" in progress.lines()[0]  # 400 files at 2 a second
    for _ in range(200):
        clock.now += 1
        progress.done += 1
        progress.pace()
    assert progress.pace()[0] == pytest.approx(1)  # the faster beginning is forgotten


def test_files_that_take_minutes_have_a_pace_too(clock: Clock) -> None:
    progress = Progress(files=100, began=clock.now)
    for second in range(3000):
        clock.now += 1
        progress.done += second % 100 == 99
        progress.pace()
    assert progress.pace()[0] == pytest.approx(0.01, rel=0.15)
    assert progress.lines()[0].startswith("50:00, 1:")
    assert "0.011 files/s, 0 tokens/s" in progress.lines()


def test_plain_lines_come_every_few_seconds(clock: Clock) -> None:
    progress = Progress(files=1000, began=clock.now)
    shown_on, shown = screen(progress)
    for _ in range(305):
        clock.now += 0.1
        progress.done += 1
        progress.requests += 2
        progress.prompt_tokens += 1000
        shown_on.update()
    lines = shown.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[1].startswith(
        "0:20, 1:20 left; 200 of 1,000 files done, 0 failed, 0 in flight; 400 requests done, 0 failed, 0 in flight; "
        "10.0 files/s"
    )
    assert "200,000 tokens in" in lines[1]


def test_the_bar_moves_with_the_requests_of_a_file() -> None:
    progress = Progress(files=4, done=1, partial=0.75)
    assert (progress.completed, progress.percent) == (1.75, 43)
    progress.done, progress.partial = 3, 0.999
    assert progress.percent == 99
    progress.partial = 1.0000001  # as sums of thirds may be
    assert (progress.completed, progress.percent) == (4, 99)
    progress.done, progress.partial = 4, 1e-9
    assert progress.percent == 100
    assert Progress().percent == 0


def test_the_pace_counts_the_requests_of_files_in_flight(clock: Clock) -> None:
    progress = Progress(files=10, began=clock.now)
    for _ in range(60):
        clock.now += 1
        progress.partial += 0.1
        progress.pace()
    assert progress.pace()[0] == pytest.approx(0.1)
    assert progress.lines()[0] == "1:00, 0:40 left"  # 4 of 10 files' requests at 0.1 a second


def test_files_without_a_prompt_need_attention() -> None:
    progress = Progress(files=3, done=1, unasked=Counter({Kind.VIDEO: 2}))
    assert progress.finished == 3
    assert "1 of 3 files done, 0 failed, 2 without a prompt, 0 in flight" in progress.lines()
    quiet, shown = screen(progress, quiet=True)
    quiet.summary("captions/results.json")
    assert shown.getvalue() == "not done: 2 videos: no task of this run asks anything about them\n"


def test_quiet_leaves_what_needs_attention() -> None:
    progress = Progress(files=60, done=0, failures=[(f"{number}.jpg", "broken") for number in range(60)])
    quiet, shown = screen(progress, quiet=True)
    quiet.update()
    quiet.note("the server is away")
    quiet.summary("captions/results.json")
    lines = shown.getvalue().splitlines()
    assert lines[:2] == ["the server is away", "failed: 0.jpg: broken"]
    assert len(lines) == 61


def test_a_terminal_is_not_flooded_with_failures() -> None:
    progress = Progress(files=60, done=0, failures=[(f"{number}.jpg", "broken") for number in range(60)])
    shown = io.StringIO()
    quiet = ProgressDisplay(progress, quiet=True, console=Console(file=shown, force_terminal=True, width=300))
    quiet.summary("captions/results.json")
    lines = shown.getvalue().splitlines()
    assert len(lines) == 51
    assert lines[-1] == "... and 10 more, all with their reasons in captions/results.json"


def test_names_are_shown_as_they_are_and_move_nothing() -> None:
    progress = Progress(files=1, failures=[("a:car: [bold]\x1b[2J\u202e\n\\", "broken")])
    quiet, shown = screen(progress, quiet=True)
    quiet.summary("")
    assert shown.getvalue() == "failed: a:car: [bold]\\x1b[2J\\u202e\\x0a\\: broken\n"


def test_a_message_of_several_lines_is_shown_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    message = "HTTP 400: no such task\r\n  at line 3\n\n\x1b[2J"
    several = "HTTP 400: no such task\n  at line 3\n    \\x1b[2J\n"
    quiet, shown = screen(Progress(files=1, failures=[("a\nb", message)]), quiet=True)
    quiet.summary("")
    assert shown.getvalue() == f"failed: a\\x0ab: {several}"
    note(message)
    assert capsys.readouterr().err == several


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_live_lines_are_never_cut_off(clock: Clock, columns: int) -> None:
    progress = Progress(files=1_000_000, done=999, files_in_flight=64, requests=1_234_567, requests_failed=1_000)
    progress.in_flight, progress.prices, progress.began = 256, (0.15, 0.6), clock.now - 100_000
    progress.prompt_tokens, progress.generated_tokens = 123_456_789, 12_345_678
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=columns, height=30, color_system=None, soft_wrap=True)
    with ProgressDisplay(progress, console=console):
        pass
    words = " ".join(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.getvalue()).split())
    for line in progress.lines():
        assert line in words


@pytest.mark.parametrize(("variable", "value"), [("TERM", "dumb"), ("NO_COLOR", "1"), ("TERM", "xterm")])
def test_a_terminal_gets_what_it_understands(tmp_path: Path, servers: FakeServers, variable: str, value: str) -> None:
    shown = run_on_a_terminal(servers, pictures(tmp_path / "ads", 2), cwd=tmp_path, **{variable: value})
    assert "2 of 2 files done" in shown
    assert ("\x1b[" in shown) == (value != "dumb")
    # 30 to 37 are the colours, 90 to 97 the bright ones: a run of one frame shows its bar in grey only
    assert bool(re.search(r"\x1b\[(\d+;)*[39][0-7][;m]", shown)) == (value == "xterm")


def test_a_log_of_ci_that_asks_for_colours_gets_plain_lines(tmp_path: Path, servers: FakeServers) -> None:
    line, environment = command(servers, pictures(tmp_path / "ads", 2), "--languages", "")
    environment |= {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "GITHUB_ACTIONS": "true"}
    done = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=100)
    assert "2 of 2 files done" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_run_does_not_end_with_the_pipe_that_it_writes_to(tmp_path: Path, servers: FakeServers) -> None:
    line, environment = command(servers, pictures(tmp_path / "ads", 3), "--languages", "")
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        process = subprocess.Popen(line, env=environment, cwd=tmp_path, stderr=theirs)
    finally:
        os.close(theirs)
    assert process.wait(100) == 0
    assert results(tmp_path)["stats"]["done"] == 3


def test_plain_lines_come_also_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.cli.screen.TICK_S", 0.01)
    monkeypatch.setattr("client.cli.screen.PLAIN_LINE_S", 0.0)
    shown_on, shown = screen(Progress(files=1, in_flight=1))

    async def wait() -> None:
        async with shown_on.ticking():
            await asyncio.sleep(1)

    asyncio.run(wait())
    assert shown.getvalue().count("1 in flight; ") > 1


def test_a_full_disk_ends_the_log_and_not_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    open_log(Path("/dev/full"))
    for _ in range(3):
        logging.getLogger("client.pipeline").error("no room")
    open_log(None)
    assert capsys.readouterr().err == "--log-file /dev/full: [Errno 28] No space left on device; the run goes on\n"


def test_the_log_file_bears_any_name(tmp_path: Path) -> None:
    open_log(tmp_path / "run.log")
    logging.getLogger("client.pipeline").error("\udcff \x1b[2J")
    open_log(None)
    assert (tmp_path / "run.log").read_text().endswith(" ERROR \\udcff \\x1b[2J\n")


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
