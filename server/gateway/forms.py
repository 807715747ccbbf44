"""Forms with a sound file: taken apart and put together anew, so that the engine reads what was checked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import hdrs
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError

from server.errors import RequestError
from server.gateway.api_types import SoundForm

if TYPE_CHECKING:
    from aiohttp import web

    from server.gateway.config import Limits

FIELDS = frozenset(SoundForm.__struct_encode_fields__)
LONGEST_TEXT = 16 << 10
MOST_FIELDS = 32


class Form:
    """The fields of a request for a transcription."""

    def __init__(self) -> None:
        self.model: str | None = None
        self._data = aiohttp.FormData(quote_fields=True)

    @classmethod
    async def parse(cls, request: web.Request, body: bytes, limits: Limits) -> Form:
        """Take a body apart.

        Raises:
            RequestError: 400 or 413, naming the field.
        """
        form = cls()
        # Its limit is where a connection would be told to wait; there is none.
        content = aiohttp.StreamReader(BaseProtocol(asyncio.get_running_loop()), len(body) + 1)
        content.feed_data(body)
        content.feed_eof()
        count = 0
        try:
            reader = aiohttp.MultipartReader(request.headers, content)
            async for part in reader:
                if not isinstance(part, aiohttp.BodyPartReader) or part.name not in FIELDS:
                    name = getattr(part, "name", None)
                    raise RequestError(400, f"there is no form field {name!r:.60}", code="unknown_parameter")
                count += 1
                if count > MOST_FIELDS:
                    raise RequestError(400, f"more than {MOST_FIELDS} form fields", code="invalid_form")
                await form._add(part, limits)
        except (ValueError, LookupError, AssertionError, HttpProcessingError, aiohttp.ClientError) as error:
            raise RequestError(400, f"the body is no multipart form: {error}", code="invalid_form") from error
        if form.model is None:
            raise RequestError(400, "the form has no model", param="model", code="invalid_form")
        return form

    async def _add(self, part: aiohttp.BodyPartReader, limits: Limits) -> None:
        assert part.name is not None
        data = bytes(await part.read())
        if part.name == "file":
            if len(data) > limits.max_media_bytes:
                limit = limits.max_media_bytes >> 20
                raise RequestError(413, f"file: larger than {limit} MiB", param="file", code="request_too_large")
            kind = part.headers.get(hdrs.CONTENT_TYPE, "application/octet-stream")
            self._data.add_field("file", data, filename="sound", content_type=kind)
            return
        if len(data) > LONGEST_TEXT:
            raise RequestError(413, f"{part.name}: too long", param=part.name, code="request_too_large")
        text = data.decode()
        if part.name == "model":
            self.model = text
        self._data.add_field(part.name, text)

    async def encode(self) -> tuple[bytes, str]:
        """Body and content type of a form with the same fields."""
        payload = self._data()
        return await payload.as_bytes(), payload.headers[hdrs.CONTENT_TYPE]
