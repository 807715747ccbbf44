"""What an output knows of its runs: each a small object, `runs/000001.json`; and which sources a run has done."""

from __future__ import annotations

import hashlib
import itertools
import time
from array import array
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

import numpy as np
import orjson

from client.cluster.ownership import RUNS
from client.errors import LedgerError
from client.tasks.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from client.cluster.objects import Objects
    from client.cluster.rows import Row
    from client.cluster.tables import Tables

Done: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]
"""Numbers of sources that are done, sorted."""
SOURCES = "sources"
_TOGETHER = 256


class Run(TypedDict):
    """A run over an output."""

    id: int
    started: float
    finished: float | None
    plan: str
    """`Plan.to_json`."""
    stats: dict[str, Any]
    redo: str | None
    """What it does again."""


def runs_of(objects: Objects) -> list[Run]:
    """All runs, the oldest first.

    Raises:
        LedgerError: they cannot be read.
    """
    found = objects.get(objects.names(RUNS))
    try:
        return [orjson.loads(found[name]) for name in sorted(found)]
    except ValueError as error:
        raise LedgerError(f"{objects.shown}/{RUNS}: an object is damaged: {error}") from error


def begin(objects: Objects, runs: list[Run], plan: Plan, redo: str | None) -> Run:
    """A new run.

    Raises:
        LedgerError: it cannot be written.
    """
    number = runs[-1]["id"] + 1 if runs else 1
    run = Run(id=number, started=time.time(), finished=None, plan=plan.to_json(), stats={}, redo=redo)
    write(objects, run)
    return run


def gone_on_with(runs: list[Run], run: Run) -> list[Run]:
    """The last of the earlier runs, as far as they did the same and so need not be done again.

    What is done again goes on only where it was interrupted.
    """
    found: list[Run] = []
    for earlier in reversed([it for it in runs if it["id"] < run["id"]]):
        if (earlier["plan"], earlier["redo"]) != (run["plan"], run["redo"]):
            break
        if run["redo"] is not None and earlier["finished"] is not None:
            break
        found.append(earlier)
    return found


def write(objects: Objects, run: Run) -> None:
    """Keep what is known of a run.

    Raises:
        LedgerError: it cannot be written.
    """
    objects.put({f"{RUNS}/{run['id']:06}.json": orjson.dumps(run)})


def plan_of(run: Run | None) -> Plan | None:
    """What a run asked; None where there was none, or another version made it."""
    try:
        return Plan.from_json(run["plan"]) if run else None
    except (ValueError, TypeError, KeyError):
        return None


def block_name(run: int, position: int) -> str:
    """The object that holds what became of the sources of a block."""
    return f"{SOURCES}/{run:06}/{position:012}.json"


def source_rows(objects: Objects, names: list[str]) -> Iterator[tuple[list[Row], list[Row]]]:
    """The rows of `sources` and `uris` that blocks have written, block by block.

    Raises:
        LedgerError: they cannot be read.
    """
    for at in range(0, len(names), _TOGETHER):
        found = objects.get(names[at : at + _TOGETHER])
        for name in sorted(found):
            try:
                block = orjson.loads(found[name])
            except ValueError:
                continue
            run = int(name.split("/")[1])
            yield [{"run": run, **row} for row in block["sources"]], block["uris"]


def done_by(objects: Objects, tables: Tables, runs: list[Run]) -> Done:
    """The `digest_of` of all sources that one of these runs has done, sorted: 8 bytes each.

    Raises:
        LedgerError: they cannot be read.
    """
    numbers = {run["id"] for run in runs}
    done = array("Q")
    if numbers:
        waiting = (row for rows, _ in source_rows(objects, objects.names(SOURCES)) for row in rows)
        for row in itertools.chain(waiting, tables.rows("sources")):
            if row["run"] in numbers and _is_done(row):
                done.append(digest_of(row["uri"], row["fingerprint"]))
    return np.unique(np.array(done, np.uint64))


def _is_done(row: Row) -> bool:
    return row["problem"] is None and row["fingerprint"] is not None


def digest_of(uri: str, fingerprint: str) -> int:
    """A number that stands for a source in one state."""
    return int.from_bytes(hashlib.blake2b(f"{uri}\0{fingerprint}".encode(), digest_size=8).digest(), "big")
