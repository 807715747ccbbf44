"""`--redo`, also when it is interrupted: each answer is asked for again once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from batch_runs import pictures, results, run, seen_in, start, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web
    from fake_servers import FakeServers

FILES, CONCURRENCY = 40, 3
OPTIONS = ("ads", "--tasks", "describe,tags", "--languages", "", "--concurrency", str(CONCURRENCY))


def asked_for(body: dict[str, Any]) -> str:
    """What tells a request from all others."""
    return hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()


async def slowly(_: web.Request, __: dict[str, Any], number: int) -> web.StreamResponse | None:
    """Slower than any test process once half is done: then it is stopped, and not at its end."""
    await asyncio.sleep(0.05 if number < FILES else 0.5)
    return None


def first_run(servers: FakeServers, tmp_path: Path) -> None:
    """A finished run over FILES pictures; from here on, answers take a while."""
    pictures(tmp_path / "ads", FILES)
    assert run(servers, *OPTIONS, cwd=tmp_path).returncode == 0
    servers.asked.clear()
    servers.on_ask = slowly


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_one_that_is_interrupted_goes_on(servers: FakeServers, tmp_path: Path, how: signal.Signals) -> None:
    first_run(servers, tmp_path)
    redo = (*OPTIONS, "--redo", "all")
    process = start(servers, *redo, cwd=tmp_path)
    wait_until(lambda: len(servers.asked) > FILES)
    os.killpg(process.pid, how)
    shown = process.communicate()[1]
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert ("--redo all again goes on" in shown) == (how == signal.SIGINT)
    wait_until(lambda: servers.connections == 0)
    servers.on_ask = None
    # Every answer is there, so that a run without the flag has nothing to ask.
    before = len(servers.asked)
    assert run(servers, *OPTIONS, cwd=tmp_path).returncode == 0
    assert len(servers.asked) == before
    assert all(set(record["tasks"]) == {"describe", "tags"} for record in results(tmp_path)["files"])
    # What has come since then is asked about too, and only once.
    pictures(tmp_path / "ads", 1, first=FILES)
    planned = run(servers, *redo, "--dry-run", cwd=tmp_path).stdout
    assert f"in all: {2 * FILES + 2 - before} requests" in planned or how == signal.SIGKILL
    done = run(servers, *redo, cwd=tmp_path)
    assert done.returncode == 0
    assert "--redo all goes on where it was interrupted" in done.stderr
    times = Counter(map(asked_for, servers.asked))
    assert len(times) == 2 * FILES + 2
    twice = sum(times.values()) - len(times)
    assert twice <= (CONCURRENCY if how == signal.SIGKILL else 0)
    # It has ended: the next one begins anew.
    servers.asked.clear()
    again = run(servers, *redo, cwd=tmp_path)
    assert "goes on" not in again.stderr
    assert len(servers.asked) == 2 * FILES + 2


def test_one_that_is_interrupted_says_nothing_of_other_files_and_tasks(servers: FakeServers, tmp_path: Path) -> None:
    first_run(servers, tmp_path)
    pictures(tmp_path / "more", 2, first=100)
    assert run(servers, "more", *OPTIONS[1:], cwd=tmp_path).returncode == 0
    servers.asked.clear()
    process = start(servers, *OPTIONS, "--redo", "all", cwd=tmp_path)
    wait_until(lambda: len(servers.asked) > FILES)
    process.kill()
    process.communicate()
    wait_until(lambda: servers.connections == 0)
    servers.on_ask = None
    servers.asked.clear()
    # Others, with the same flag: all of them, and nothing of the first.
    assert run(servers, "more", *OPTIONS[1:], "--redo", "all", cwd=tmp_path).returncode == 0
    assert Counter(seen_in(servers.asked)) == {"100": 2, "101": 2}
    # The same files, another flag: all of that task; what it has answered then is not asked again by the first.
    servers.asked.clear()
    assert run(servers, *OPTIONS, "--redo", "tags", cwd=tmp_path).returncode == 0
    assert len(servers.asked) == FILES
    servers.asked.clear()
    assert run(servers, *OPTIONS, "--redo", "all", cwd=tmp_path).returncode == 0
    assert 0 < len(servers.asked) < FILES
    assert not any("JSON array" in body["messages"][0]["content"][1]["text"] for body in servers.asked)
