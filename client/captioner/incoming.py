"""What comes in: how many requests there may be, and their bodies, which go to the disk and are checked."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from client.captioner.body import BodyReader
from client.captioner.callers import Caller
from client.captioner.uploads import RETRY_AFTER_S
from client.errors import RejectedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

    from client.captioner.api_types import CaptionRequest, Item
    from client.captioner.config import Limits
    from client.captioner.uploads import Upload, Uploads
    from client.captioner.work import Work


KEY_SHARE = 0.75
"""Of the requests that may be inside: one key has no more, be they as slow as they may, so others still come in."""


class Incoming:
    """Takes requests in."""

    def __init__(self, uploads: Uploads, work: Work, limits: Limits) -> None:
        """Files go to `uploads`; `work` says whether what is asked can be done."""
        self._uploads, self._work = uploads, work
        self._most = limits.at_once + limits.waiting
        self._key_most = math.ceil(self._most * KEY_SHARE)
        self._of_owner = Counter[str]()
        self._bodies = BodyReader(limits)
        self.inside = 0
        """Requests that are not answered yet."""

    @contextmanager
    def receive(self, request: web.Request) -> Iterator[Upload]:
        """A folder for the files of a request, for as long as the block lasts, if it may come in.

        Raises:
            RejectedError: 413 or 429, it may not.
        """
        owner = Caller(request).owner
        full = self.inside >= self._most
        if full or self._of_owner[owner] >= self._key_most:
            whose = "the captioner is full" if full else "this key has as many requests here as it may"
            message = f"{whose}: try again in {RETRY_AFTER_S} s"
            raise RejectedError(429, message, code="rate_limit_exceeded", retry_after_s=RETRY_AFTER_S)
        self._uploads.check(request.content_length or 0)  # nothing is taken for it yet: it may never come
        self.inside += 1
        self._of_owner[owner] += 1
        try:
            with self._uploads.request() as upload:
                yield upload
        finally:
            self.inside -= 1
            self._of_owner[owner] -= 1
            self._of_owner += Counter()  # forgets who has none

    async def read(self, request: web.Request, upload: Upload) -> tuple[CaptionRequest, list[Item]]:
        """What is asked, checked, and the files, on the disk.

        Raises:
            RejectedError, UsageError: it cannot be.
        """
        asked, items = await self._bodies.read(request, upload)
        await self._work.check(items, Caller(request).key)
        return asked, items

    async def empty(self) -> None:
        """Wait until all are answered."""
        while self.inside:  # noqa: ASYNC110  # once in a service's life
            await asyncio.sleep(0.05)
