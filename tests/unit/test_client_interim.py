"""Results of runs that are killed."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from batch_runs import pictures, results, start, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from fake_servers import FakeServers


def test_a_run_that_is_killed_early_leaves_results(servers: FakeServers, tmp_path: Path) -> None:
    """Not only the ledger, of which they can be made."""
    pictures(tmp_path / "ads", 10)
    released = threading.Event()

    async def answer_five(*_: Any) -> None:
        if len(servers.asked) > 5:
            await asyncio.to_thread(released.wait)

    servers.on_ask = answer_five
    process = start(servers, "ads", "--concurrency", "2", "--languages", "", cwd=tmp_path)

    def written() -> bool:
        there = (tmp_path / "captions" / "results.json").exists()
        return there and sum(bool(record["tasks"]) for record in results(tmp_path)["files"]) == 5

    wait_until(written, 20.0)  # less than the usual time between two
    process.kill()
    process.communicate()
    released.set()
    stats = results(tmp_path)["stats"]
    assert (stats["files"], stats["done"], stats["unfinished"]) == (10, 5, 5)
