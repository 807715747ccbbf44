"""What the benchmarks' command lines have in common."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from batch_runs import wait_until
from programs import exit_code

from scripts.benchmarks.common.cli import new_file, positive, seconds

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys, time
from pathlib import Path
from scripts.benchmarks.common.cli import run, start

def main():
    child = start([sys.executable, "-c", "import time; time.sleep(100)"])
    try:
        Path("pid").write_text(str(child.pid))
        time.sleep(100)
    finally:
        time.sleep(0.5)
        Path("heard").write_text(str(child.poll()))
        child.terminate()
        child.wait()

run(main)
"""
"""A benchmark that starts a server, measures, and takes a while to stop."""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_that_is_stopped_stops_what_it_started(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
        process.send_signal(number)  # as impatient supervisors do
    shown = process.communicate(timeout=60)[1]
    assert process.returncode == code, shown
    assert "Traceback" not in shown
    assert ("interrupted" in shown) == (number == signal.SIGINT)
    # The server was stopped by the program, not by the terminal.
    assert (tmp_path / "heard").read_text() == "None"
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_files_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    assert new_file(str(tmp_path / "new.json")) == tmp_path / "new.json"
    for path in (tmp_path, tmp_path / "nowhere" / "new.json", Path("/proc/nothing.json") / "x"):
        with pytest.raises(argparse.ArgumentTypeError, match=str(path)):
            new_file(str(path))


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "many"])
def test_numbers_are_whole_and_above_0(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="above 0"):
        positive(text)


@pytest.mark.parametrize("text", ["0", "-1", "", "nan", "inf"])
def test_times_are_above_0(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="above 0"):
        seconds(text)


@pytest.mark.parametrize(
    "script",
    [
        *("client", "gateway", "pipeline", "baselines.reference", "sampler", "scale"),
        *("server", "start", "translator", "translator.load"),
    ],
)
@pytest.mark.timeout(60)
def test_a_file_that_cannot_be_written_is_refused_before_hours_of_work(
    script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(f"scripts.benchmarks.{script}", "--json", str(tmp_path)) == 2
    assert f"{tmp_path}: is a folder" in capsys.readouterr().err
