"""The records of an output, to be compared with those of another run."""

from __future__ import annotations

import json
from typing import Any

from client.cluster.local_copy import local_folder
from client.export.formats import export

TIMES = {
    *("total_processing_time_sec", "generation_time_sec", "request_time_sec", "answered_at", "tokens_per_sec", "file"),
}
"""What differs from run to run in a record: times, and how a file is named."""


def without_times(record: Any) -> Any:
    """A record without what differs from run to run."""
    if isinstance(record, dict):
        return {name: without_times(value) for name, value in record.items() if name not in TIMES}
    return [without_times(each) for each in record] if isinstance(record, list) else record


def records(output: str, *, write: bool = False) -> list[dict[str, Any]]:
    """The records of a cluster's output, or of a folder of one machine, by their files' names, without times.

    Unless `write` nothing is left there.
    """
    with local_folder(output, write=write) as folder:
        export(folder, ["json"])
        return comparable(json.loads((folder / "results.json").read_bytes())["files"])


def comparable(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records as `results.json` has them, by their files' names, without times."""
    named = ({"name": it["file"].rpartition("/")[2], **without_times(it)} for it in found)
    return sorted(named, key=lambda it: str(it["name"]))
