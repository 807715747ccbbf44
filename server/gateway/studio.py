"""The studio: a page at `/` that asks `/v1/captions`, and the files that it loads.

It is built by `scripts.build_report`. The page itself is no secret, and is given without a key; what it asks needs one.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TYPE_CHECKING

from aiohttp import ETag, hdrs, web

from server.errors import RequestError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

PAGE = "/"
FOLDER = "/studio/"
"""Where the files are that the page loads."""
_TYPES = {"js": "text/javascript", "css": "text/css", "html": "text/html", "svg": "image/svg+xml"}
_INDEX = "index.html"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    hdrs.CACHE_CONTROL: "no-cache",  # kept, and asked for with its ETag: a new version is there at once
}


class Studio:
    """The files of the page, in memory."""

    def __init__(self, folder: Traversable | None = None) -> None:
        """Those of a folder; None: where they were built. There may be none."""
        folder = folder or resources.files("server.gateway") / "static"
        found = list(folder.iterdir()) if folder.is_dir() else []
        self._files = {path.name: path.read_bytes() for path in found}
        self._tags = {name: ETag(hashlib.sha256(data).hexdigest()[:32]) for name, data in self._files.items()}

    def serves(self, request: web.Request) -> bool:
        """Whether a request is one of a browser for the page, or for one of its files."""
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            return False
        if request.path == PAGE:
            return "text/html" in request.headers.get(hdrs.ACCEPT, "").lower()
        folder, _, name = request.path.rpartition("/")
        return f"{folder}/" == FOLDER and name in self._files and name != _INDEX

    async def page(self, request: web.Request) -> web.Response:
        """Give the page to a browser; to others there is nothing here."""
        if not self.serves(request):
            raise RequestError(
                404,
                "here is the studio, a page for browsers (Accept: text/html); programs find the API under /v1, and "
                "what it takes at /openapi.json",
                code="not_found",
            )
        if _INDEX not in self._files:
            raise RequestError(
                404,
                "the studio's page is not built: run python -m scripts.build_report in Babelview's own folder, as "
                "make setup does",
                code="not_found",
            )
        return self._give(request, _INDEX)

    async def file(self, request: web.Request) -> web.Response:
        """Give a file that the page loads."""
        if not self.serves(request):
            raise web.HTTPNotFound
        return self._give(request, request.match_info["name"])

    def _give(self, request: web.Request, name: str) -> web.Response:
        kind = _TYPES.get(name.rpartition(".")[2], "application/octet-stream")
        tag = self._tags[name]
        known = request.if_none_match or ()
        if any(each.value in (tag.value, "*") for each in known):
            response = web.Response(status=304, headers=_HEADERS)
        else:
            response = web.Response(body=self._files[name], content_type=kind, charset="utf-8", headers=_HEADERS)
        response.etag = tag
        return response
