"""A web server of files, in the tests' own process."""

from __future__ import annotations

import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from media_files import numbered
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

Reply = tuple[int, dict[str, str], bytes]


def png(number: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(numbered(number)).save(stream, "PNG")
    return stream.getvalue()


class Site:
    """A web server; `pages` says what it replies, by path and how often that was asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, Callable[[int, Any], Reply]] = {}
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.asked.append(self.path)
                page = site.pages.get(self.path.partition("?")[0])
                status, headers, body = (
                    page(site.asked.count(self.path), self.headers) if page else (404, {}, b"nothing here")
                )
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    if value:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = "Content-Length" in headers

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def put(self, path: str, body: bytes, headers: dict[str, str] | None = None, status: int = 200) -> str:
        self.pages[path] = lambda *_: (status, headers or {}, body)
        return self.url + path

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
