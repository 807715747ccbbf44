"""An actor of Ray Data: takes blocks of sources through the stages, with connections and loaders of its own."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from client.api.session import Session
from client.cluster.folders import OwnFolder
from client.cluster.journal import JournaledLedger
from client.cluster.limits import keep_leases
from client.cluster.listing import read_block
from client.cluster.objects import Objects
from client.cluster.records import block_name, digest_of
from client.cluster.rows import SOURCE, URI, rows_of, select
from client.cluster.tables import Tables
from client.counters import Counters
from client.endpoints.spread import SpreadModel
from client.errors import BabelviewError, MediaError, ServiceLostError, UsageError
from client.ledger.ledger import LEDGER, Ledger
from client.ledger.rows import open_to_read
from client.sources.gather import needs_driver
from client.sources.source import fingerprint_of
from client.sources.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from client.api.options import Asked
    from client.cluster.records import Done
    from client.cluster.rows import Row
    from client.endpoints.places import Counts
    from client.sources.source import Source

BLOCKS_AT_ONCE = 2
"""That an actor works on: while the last requests of one are answered, the next one is under way."""
_LOOKED_AT_ONCE = 16
_CLOSING_S = 5.0
_FOLDER = "babelview-actor-"
_OF_SOURCES = f"""
    SELECT {", ".join(SOURCE[:-1])}, fingerprint FROM sources LEFT JOIN uris USING (uri)
    WHERE finished ORDER BY position""".replace("sha256", "sources.sha256").replace("problem", "sources.problem")  # noqa: S608


@dataclass(frozen=True, slots=True)
class Work:
    """What an actor is to do with sources, and how. It is pickled."""

    asked: Asked
    session: dict[str, Any]
    """Arguments of `Session`, for each actor."""
    glossary: tuple[str, bytes] | None
    """The name of a file, and what is in it."""
    output: str
    run: int
    redo: str | None
    redo_run: int | None
    """The run that began to do it again, if that was interrupted."""
    tables: list[str]
    """The files of tables that there were when the run began."""
    done: Callable[[], Done]
    """Gives what `client.cluster.records.done_by` found."""
    limits: Callable[[str, list[Counts]], list[int]] | None
    """`client.cluster.limits.Limits.exchange`; None where there is a single actor."""
    say: Callable[[str, str], None]
    """`client.cluster.notes.Notes.say`: tells the user. What is logged is in the logs that Ray keeps."""


class Worker:
    """See the module. Ray Data makes one for each actor, and calls it in `BLOCKS_AT_ONCE` threads."""

    def __init__(self, work: Work) -> None:
        """Start what the blocks have in common: an event loop, in which a session is opened."""
        self._work = work
        self._objects = Objects(work.output)
        self._tables = Tables(self._objects, work.tables)
        self._done = work.done()
        self._own_folder = OwnFolder(_FOLDER)
        self._folder = self._own_folder.path
        with closing(Ledger(self._folder)):  # which makes the tables: of each block it is copied
            pass
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="pipelines", daemon=True).start()
        self._session = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()

    async def _open(self) -> Session:
        settings = dict(self._work.session)
        if self._work.glossary:
            name, content = self._work.glossary
            settings["glossary"] = self._folder / name
            settings["glossary"].write_bytes(content)
        name = uuid.uuid4().hex
        session = Session(**settings, shared=True, notify=partial(self._work.say, name))
        await session.open()
        model, limits = session.opened.model, self._work.limits
        if limits and isinstance(model, SpreadModel):
            self._leases = asyncio.create_task(keep_leases(model.places, partial(limits, name)))
        return session

    def __del__(self) -> None:
        """Ray Data lets an actor go when nothing is left to do: connections are closed, files removed."""
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._session.close(), self._loop).result(_CLOSING_S)
        with suppress(AttributeError):  # it did not get so far
            self._own_folder.remove()

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Do blocks; gives for each what became of it, as JSON (see `_do`)."""
        for position, block, error in zip(batch["position"], batch["sources"], batch["error"], strict=True):
            outcome: dict[str, Any]
            try:
                if error:
                    raise UsageError(error)
                outcome = asyncio.run_coroutine_threadsafe(
                    self._do(int(position), read_block(block)), self._loop
                ).result()
            except BabelviewError as ended:
                lost = isinstance(ended, ServiceLostError) and ended.may_come_back
                outcome = {"fatal": str(ended), "usage": isinstance(ended, UsageError), "lost": lost}
            yield {"outcome": [orjson.dumps(outcome)]}

    async def _do(self, position: int, sources: list[Source]) -> dict[str, Any]:
        """Take sources through the stages, but for those that the run has done; returns counts."""
        work, progress = self._work, Counters()
        earlier = await asyncio.to_thread(self._done_earlier, sources) if len(self._done) else {}
        missing = [source for source in sources if source.position not in earlier]
        fatal: BabelviewError | None = None
        rows, uris = list(earlier.values()), []
        if missing:
            async with AsyncExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=self._folder)))
                shutil.copyfile(self._folder / LEDGER, folder / LEDGER)
                ledger = stack.enter_context(
                    closing(JournaledLedger(folder, self._objects, self._tables, work.run, work.redo_run))
                )
                ledger.begin_run(work.asked.plan, missing, work.redo)
                pipeline = await stack.enter_async_context(
                    self._session.pipeline(
                        work.asked, ledger, folder, progress=progress, refresh=lambda: None, redo=work.redo
                    )
                )
                try:
                    await pipeline.run(missing)
                except BabelviewError as error:
                    fatal = error
                rows += _rows(folder, _OF_SOURCES, SOURCE)
                uris = _rows(folder, select("uris", URI, "1"), URI)
        if rows:
            block = orjson.dumps({"sources": rows, "uris": uris})
            await asyncio.to_thread(self._objects.put, {block_name(work.run, position): block})
        if fatal:
            raise fatal
        reused = len(sources) - len(missing)
        return {
            "done": progress.done + reused,
            "reused": progress.reused + reused,
            "failures": progress.failures,
            "unasked": {kind.value: count for kind, count in progress.unasked.items()},
            "requests": progress.requests,
            "requests_failed": progress.requests_failed,
            "verdicts": dict(progress.verdicts),
            "prompt_tokens": progress.prompt_tokens,
            "generated_tokens": progress.generated_tokens,
        }

    def _done_earlier(self, sources: list[Source]) -> dict[int, Row]:
        """The rows of those that an earlier run has done, and that have not changed since, by their positions."""
        with ThreadPoolExecutor(_LOOKED_AT_ONCE, "look") as threads:
            found = threads.map(self._row_if_done, sources)
            return {source.position: row for source, row in zip(sources, found, strict=True) if row}

    def _row_if_done(self, source: Source) -> Row | None:
        """None also where it cannot be told: then it is fetched, and its answers are found."""
        fingerprint = None
        if not source.remote:
            with suppress(MediaError):
                fingerprint = fingerprint_of(source.look())
        elif needs_driver(source):
            with suppress(Exception):  # drivers raise what they like
                store, path = open_store(source.where)
                fingerprint = store.ukey(path)
        if fingerprint is None:
            return None
        digest = np.uint64(digest_of(source.uri, fingerprint))
        at = int(np.searchsorted(self._done, digest))
        if at == len(self._done) or self._done[at] != digest:
            return None
        return {
            "uri": source.uri,
            "name": source.name,
            "columns": orjson.dumps(source.columns).decode() if source.columns else None,
            "position": source.position,
            "sha256": None,  # `uris` has it
            "problem": None,
            "live_photo_of": source.live_photo_of,
            "fingerprint": fingerprint,
        }


def _rows(folder: Path, query: str, columns: Sequence[str]) -> list[Row]:
    with closing(open_to_read(folder / LEDGER)) as connection:
        return rows_of(connection, query, columns, ())
