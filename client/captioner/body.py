"""The body of a request, on its way to the disk: bounded in bytes and in time, then taken apart."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from client.captioner import form, json_body
from client.captioner.threads import in_thread
from client.captioner.uploads import too_large
from client.errors import RejectedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from client.captioner.api_types import CaptionRequest, Item
    from client.captioner.config import Limits
    from client.captioner.uploads import Upload

_BLOCK = 1 << 20
_FORM = "multipart/form-data"
_JSON_AT_ONCE = 2
"""Bodies that are read whole at the same time: each takes up to four times its bytes meanwhile."""


class BodyReader:
    """Reads the bodies of requests."""

    def __init__(self, limits: Limits) -> None:
        """Within these limits."""
        self._limits = limits
        self._json = asyncio.Semaphore(_JSON_AT_ONCE)

    async def read(self, request: web.Request, upload: Upload) -> tuple[CaptionRequest, list[Item]]:
        """What is asked, and the files, which are in the folder of `upload` now.

        Raises:
            RejectedError: 400, 408, 413, 415 or 429.
        """
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
            raise RejectedError(415, "compressed bodies are not taken", code="unsupported_encoding")
        if request.content_type == _FORM:
            return await self._read_form(request, upload)
        if (request.content_length or 0) > self._limits.json_bytes:
            raise self._json_too_large()
        return await self._read_json(request, upload)

    async def _read_form(self, request: web.Request, upload: Upload) -> tuple[CaptionRequest, list[Item]]:
        reader = form.FormReader(request.headers.get(hdrs.CONTENT_TYPE, ""), upload.folder, self._limits)
        try:
            async with aclosing(self._blocks(request, upload)) as blocks:
                async for block in blocks:
                    await in_thread(reader.write, block)
            return reader.end()
        finally:
            reader.close()

    async def _read_json(self, request: web.Request, upload: Upload) -> tuple[CaptionRequest, list[Item]]:
        path = upload.folder / "body"
        with path.open("wb") as file:
            async with aclosing(self._blocks(request, upload)) as blocks:
                async for block in blocks:
                    if upload.size > self._limits.json_bytes:
                        raise self._json_too_large()
                    await in_thread(file.write, block)
        async with self._json:
            asked, items, size = await in_thread(json_body.take_apart, path, self._limits)
        upload.give_back(upload.size - size)
        return asked, items

    def _json_too_large(self) -> RejectedError:
        error = too_large(self._limits.json_bytes)
        more = "send larger files as multipart/form-data"
        return RejectedError(413, f"{error} as JSON: {more}", code=error.code)

    async def _blocks(self, request: web.Request, upload: Upload) -> AsyncGenerator[bytes, None]:
        """The body, in blocks of a size that is worth a call to a thread; all are counted before they are given."""
        limits, loop = self._limits, asyncio.get_running_loop()
        began, size, waiting = loop.time(), 0, list[bytes]()
        try:
            while True:
                enough_until = began + limits.body_idle_s + size / limits.body_bytes_per_s
                until = min(loop.time() + limits.body_idle_s, enough_until, began + limits.body_s)
                async with asyncio.timeout_at(until):  # for the sender alone, not for who takes the blocks
                    piece = await request.content.readany()
                if not piece:
                    break
                upload.take(len(piece))
                size += len(piece)
                waiting.append(piece)
                if sum(map(len, waiting)) >= _BLOCK:
                    given_at = loop.time()
                    yield b"".join(waiting)
                    waiting.clear()
                    began += loop.time() - given_at  # which a slow disk took
        except TimeoutError:
            raise RejectedError(408, "the body took too long to come", code="request_timeout") from None
        except (HttpProcessingError, web.RequestPayloadError):  # their text has the raw line
            raise RejectedError(400, "the body is cut into chunks in a wrong way", code="bad_request") from None
        yield b"".join(waiting)
