"""Slow or hung: what a silent process is doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from server.supervision.heartbeat import forget_beats, read_beats
from server.supervision.progress import STALE_S, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

BEATS = """
import sys, time
from server.supervision.heartbeat import Heartbeat
heart = Heartbeat(sys.argv[1])
heart.step_begins(); heart.step_ends(); heart.step_begins()
print(flush=True)
time.sleep(3600)
"""
SPINS = "print(flush=True)\nwhile True: pass"
SLEEPS = "import time; print(flush=True); time.sleep(3600)"


@contextmanager
def program(text: str, *arguments: str) -> Iterator[int]:
    """The process id of a program that has printed a line."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", text, *arguments], stdout=subprocess.PIPE, env=env) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


class Clock:
    """Goes on by itself not at all."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def looks(progress: Progress, clock: Clock, spins: int | None) -> list[bool]:
    """What two looks say, 0.2 s apart by the clock; meanwhile a process that spins has its share of a CPU."""
    first = progress.works()
    if spins is None:
        time.sleep(0.2)
    else:
        spin(spins)
    clock.now += 0.2
    return [first, progress.works()]


def spin(pid: int) -> None:
    """Wait until a process has used a CPU for a while, however many others want it."""
    process = psutil.Process(pid)
    until_s = process.cpu_times().user + 0.1
    while process.cpu_times().user < until_s:
        time.sleep(0.01)


@pytest.mark.parametrize(("text", "works"), [(SPINS, True), (SLEEPS, False)])
def test_what_uses_a_cpu_works(text: str, works: bool) -> None:
    with program(text) as pid:
        progress = Progress(pid, None, 600.0, clock := Clock())
        assert looks(progress, clock, pid if works else None) == [False, works]  # at first there is nothing to compare
        progress.answered()
        assert not progress.works()


def test_what_is_below_a_process_counts() -> None:
    parent = "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'while True: pass']); "
    with program(parent + "time.sleep(0.3); print(flush=True); child.wait()") as pid:
        children = psutil.Process(pid).children()
        try:
            assert looks(Progress(pid, None, 600.0, clock := Clock()), clock, children[0].pid) == [False, True]
            children[0].suspend()
            assert looks(Progress(pid, None, 600.0, clock), clock, None) == [False, False]
        finally:
            children[0].kill()


def test_a_step_that_waits_works_for_as_long_as_a_step_may_take(tmp_path: Path) -> None:
    later = 0.0
    with program(BEATS, str(tmp_path / "beats")) as pid:
        (beat,) = read_beats(tmp_path / "beats")
        assert (beat.pid, beat.steps) == (pid, 1)
        assert 0 < beat.step_began <= time.monotonic()
        progress = Progress(pid, tmp_path / "beats", 600.0, clock=lambda: time.monotonic() + later)
        assert [progress.works(), progress.works()] == [True, True]
        os.kill(pid, signal.SIGSTOP)
        while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)
        assert not progress.works()
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.7)  # a beat
        assert progress.works()
        later = STALE_S + 1
        assert not progress.works(), "it has not beaten for long"
        assert not Progress(pid, tmp_path / "beats", 0.1).works(), "the step takes too long"
    forget_beats(tmp_path / "beats")
    assert not list(tmp_path.iterdir())


def test_what_spins_for_too_long_hangs() -> None:
    with program(SPINS) as pid:
        progress = Progress(pid, None, 0.5, clock := Clock())
        assert looks(progress, clock, pid) == [False, True]
        spin(pid)
        clock.now += 0.4
        assert not progress.works()
