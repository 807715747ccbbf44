"""What is kept of a live session: also of one that is over while something of it still comes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from live_events import BEGAN, PLAN, SECOND, caption

from client.ledger.results import Results
from client.live.events import LiveSession
from client.live.files import JsonLines
from client.live.live_ledger import LiveLedger
from client.record import records

if TYPE_CHECKING:
    from pathlib import Path

    from client.live.events import LiveCaption


def two_sessions() -> list[LiveCaption]:
    """Of which the first one's last caption comes after the second one's first."""
    first, second = LiveSession("20261130-a", BEGAN), LiveSession("20261130-b", BEGAN, 6 * SECOND)
    return [
        caption(0, 2, "one", first),
        caption(2, 4, "two", first),
        caption(6, 8, "four", second),
        caption(4, 6, "three, late", first),
        caption(8, 10, "five", second),
    ]


def test_lines_of_a_session_that_is_over_stand_in_the_newest_file(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path, 1)
    for event in two_sessions():
        lines.write(event)
    lines.close()
    (file,) = tmp_path.iterdir()
    assert file.name == "live-20261130-b-0001.jsonl"
    assert [json.loads(line)["end"] for line in file.read_text().splitlines()] == [8, 6, 10]


async def test_a_session_that_is_over_gets_its_late_answers_and_is_not_ended_again(tmp_path: Path) -> None:
    ledger = LiveLedger(tmp_path, PLAN, "camera")
    for event in two_sessions():
        ledger.received += 20
        await ledger.add(event)
    ledger.close({})
    with Results(tmp_path) as results:
        found = list(records(results))
    assert [record["file"] for record in found] == ["camera#20261130-a", "camera#20261130-b"]
    assert [record["frames"] for record in found] == [60, 40]
    texts = [[it["text"] for it in record["tasks"]["captions"]["segments"]] for record in found]
    assert texts == [["one", "two", "three, late"], ["four", "five"]]
