"""The handler of `POST /v1/captions`: files in, records out, whole or as events while they are made."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from aiohttp import web

from client.captioner import sse
from client.captioner.callers import Caller
from client.captioner.feed import Feed
from client.captioner.refusals import check_any, error_of, rejected, unforeseen

if TYPE_CHECKING:
    from client.captioner.api_types import Item
    from client.captioner.config import Limits
    from client.captioner.incoming import Incoming
    from client.captioner.metrics import Metrics
    from client.captioner.slots import Slots
    from client.captioner.uploads import Upload
    from client.captioner.work import Work

logger = logging.getLogger(__name__)


class _Asked(NamedTuple):
    """A request that has been read."""

    caller: Caller
    items: list[Item]
    upload: Upload
    feed: Feed
    began: float
    """When it came (`time.monotonic`)."""
    read_at: float
    """When all of it was there."""


class Captions:
    """Describes what comes, at once."""

    def __init__(self, incoming: Incoming, slots: Slots, work: Work, metrics: Metrics, limits: Limits) -> None:
        """So many at a time as there are `slots`."""
        self._incoming, self._slots, self._work = incoming, slots, work
        self._metrics, self._limits = metrics, limits

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Describe the files of a request."""
        began = time.monotonic()
        with self._incoming.receive(request) as upload:
            body, items = await self._incoming.read(request, upload)
            feed = Feed([item.name for item in items])
            asked = _Asked(Caller(request), items, upload, feed, began, time.monotonic())
            if body.stream or (body.stream is None and sse.wants_events(request)):
                return await self._streamed(request, asked)
            answer = await self._described(asked)
        return web.Response(body=orjson.dumps(answer), content_type="application/json")

    async def _described(self, asked: _Asked) -> dict[str, Any]:
        """The answer.

        Raises:
            RejectedError: there is nothing to give.
            UsageError, ServiceLostError: as `Work.describe` does.
        """
        if self._slots.waiting:
            asked.feed.waits()
        async with self._slots.one(asked.caller.owner):
            started = time.monotonic()
            records = await self._work.describe(
                asked.items, asked.upload.folder, asked.caller.key, asked.feed, wait_s=self._limits.wait_s
            )
        self._metrics.count(records)
        check_any(records, asked.feed)
        return {
            "id": f"cap-{uuid.uuid4().hex}",
            "object": "captions",
            "created": int(time.time()),
            "records": records,
            "timings": {
                "upload_s": round(asked.read_at - asked.began, 3),
                "waiting_s": round(started - asked.read_at, 3),
                "captioning_s": round(time.monotonic() - started, 3),
            },
        }

    async def _streamed(self, request: web.Request, asked: _Asked) -> web.StreamResponse:
        with asked.feed.follow() as follower:
            describing = asyncio.create_task(self._to_the_end(asked))
            try:
                return await sse.send(request, follower, [asked.feed.progress_event("queued")])
            finally:
                describing.cancel()  # who is gone waits for nothing, and the files go only when nobody reads them
                with suppress(asyncio.CancelledError):
                    await describing

    async def _to_the_end(self, asked: _Asked) -> None:
        try:
            answer = await self._described(asked)
        except Exception as error:
            if (failure := rejected(error)) is None:
                logger.exception("captions failed")
                failure = unforeseen()
            asked.feed.end({"type": "error", **error_of(failure)})
        else:
            asked.feed.end({"type": "done", **answer})
