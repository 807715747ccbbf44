"""Logs of parts: whole lines, rotated, as text or JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from server.policy import Policy
from server.supervision.logs import LONGEST_LINE, PartLog
from server.supervision.process import Process

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "part.log"


def test_pieces_become_lines(path: Path) -> None:
    seen: list[str] = []
    log = PartLog(path, Policy(), seen.append)
    for piece in (b"on", b"e\ntw", b"o\r\n\xff", b" end"):
        log.feed(piece)
    log.close()
    assert path.read_text() == "one\ntwo\n\N{REPLACEMENT CHARACTER} end\n"
    assert seen == ["one", "two", "\N{REPLACEMENT CHARACTER} end"]


def test_json_lines_hold_part_level_and_message_or_what_the_part_wrote_as_json(path: Path) -> None:
    log = PartLog(path, Policy(log_json=True))
    log.feed(b'WARNING 11-21 [a.py:1] low "memory"\nplain\n{"level": "ERROR", "request": "r1"}\n{not json\n')
    log.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["part"] for line in lines} == {"part"}
    assert all("time" in line for line in lines)
    assert [line["level"] for line in lines] == ["WARNING", "INFO", "ERROR", "INFO"]
    assert lines[0]["message"].endswith('low "memory"')
    assert lines[2]["request"] == "r1"


def test_a_large_log_is_begun_anew_and_the_older_ones_are_kept_up_to_a_number(path: Path) -> None:
    log = PartLog(path, Policy(log_max_mib=1, log_keep=2))
    for index in range(50):
        log.feed(f"{index} {'x' * 100_000}\n".encode())
    log.close()
    kept = sorted(path.parent.iterdir())
    assert [file.name for file in kept] == ["part.log", "part.log.1", "part.log.2"]
    assert all(file.stat().st_size <= 1 << 20 for file in kept)
    assert path.read_text().splitlines()[-1].startswith("49 ")


def test_the_log_of_the_last_run_is_kept(path: Path) -> None:
    for run in ("first", "second"):
        log = PartLog(path, Policy())
        log.feed(f"{run}\n".encode())
        log.close()
    assert path.read_text() == "second\n"
    assert path.with_name("part.log.1").read_text() == "first\n"


def test_a_line_without_an_end_does_not_grow_without_bound(path: Path) -> None:
    log = PartLog(path, Policy())
    for _ in range(3):
        log.feed(b"x" * (LONGEST_LINE + 1))
    assert path.stat().st_size >= 3 * LONGEST_LINE
    log.close()


async def test_the_last_words_of_a_process_are_there_when_it_has_ended(path: Path) -> None:
    log = PartLog(path, Policy())
    script = "import os, sys; [print(i) for i in range(20000)]; sys.stdout.flush(); os.write(2, b'bye'); os._exit(3)"
    process = await Process.start([sys.executable, "-c", script], env={}, log=log)
    assert await process.wait() == 3
    await process.kill()
    assert log.tail().splitlines()[-2:] == ["19999", "bye"]
    assert len(log.tail().splitlines()) == 20
    log.close()
