"""Who asks: a key, which the models are asked with."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from aiohttp import hdrs

if TYPE_CHECKING:
    from aiohttp import web


class Caller:
    """The one who sent a request."""

    def __init__(self, request: web.Request) -> None:
        """By the headers of a request."""
        scheme, _, key = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        self.key = key.strip() if scheme.lower() == "bearer" and key.strip() else None
        self.owner = hashlib.sha256(self.key.encode(errors="surrogateescape")).hexdigest() if self.key else ""
        """What is kept of the key, to know it again."""
