"""Fetching URLs: `http(s)` by aiohttp, all others by fsspec, in threads.

A content that the ledger knows is not fetched again while its fingerprint is the same: for `http(s)` the ETag, else
Last-Modified with the size, else the size alone; what a store says of the object. Where there is none of these it is
fetched again, and recognised by its hash.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import aiohttp
from yarl import URL

from client.endpoints.retry import ATTEMPTS, FIRST_PAUSE_S, LONGEST_PAUSE_S, read_retry_after
from client.errors import BabelviewError, MediaError, UsageError
from client.sources.source import Found
from client.sources.stores import open_store
from client.sources.web import Web

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from client.sources.download import Downloads
    from client.sources.source import KnownSource

T = TypeVar("T")

LONGEST_RETRY_AFTER_S = 60.0
"""A `Retry-After` beyond this is not waited for."""
_CONNECT_S, _READ_S = 15.0, 60.0
_SILENT_ATTEMPTS = 2
"""Of a server that sends nothing within `_READ_S`: that will hardly change."""
_BLOCK = 1 << 18
_STORE_BLOCK = 1 << 22
"""Bytes that drivers ask for at a time and keep in memory; their own choice may be 50 MB."""
_OK, _NOT_MODIFIED = 200, 304
_PASSING = (408, 425, 429, 500, 502, 503, 504)
# The bytes as they are: compressed, their size would not be that of the file.
_HEADERS = {"Accept": "image/*, video/*, */*;q=0.5", "Accept-Encoding": "identity", "User-Agent": "babelview"}
_IN_URLS = "!#$%&'()*+,/:;=?@[]~"


class _PassingError(Exception):
    """A failure that may pass; `retry_after` in seconds if the server said so, `attempts` are made in all."""

    def __init__(self, reason: str, retry_after: float | None = None, attempts: int = ATTEMPTS) -> None:
        super().__init__(reason)
        self.retry_after, self.attempts = retry_after, attempts


class Remote:
    """Fetches URLs, several at once."""

    def __init__(self, downloads: Downloads, threads: Executor) -> None:
        """Fetch into `downloads`; `threads` write the files and talk to stores."""
        self._downloads, self._threads = downloads, threads
        self._closed = threading.Event()
        self._web: Web | None = None

    async def close(self) -> None:
        """End all connections, and what threads are at."""
        self._closed.set()
        if self._web:
            await self._web.close()

    async def fetch(self, url: str, known: KnownSource | None) -> Found:
        """What is at a URL: as `known`, if it has not changed since, else with a file that holds it.

        Raises:
            MediaError: it cannot be had, after some attempts where that may help.
        """
        for failures in itertools.count(1):
            try:
                if url.lower().startswith(("http://", "https://")):
                    return await self._http(url, known)
                return await self._in_thread(self._store, url, known)
            except _PassingError as error:
                if failures >= error.attempts:
                    raise MediaError(f"cannot be fetched: {error} ({failures} attempts)") from error
                await asyncio.sleep(_pause_s(failures, error))
        raise AssertionError("unreachable")

    async def _http(self, url: str, known: KnownSource | None) -> Found:
        if self._web is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_READ_S)
            self._web = Web(_HEADERS, timeout)
        try:
            async with self._web.get(_sent(url), _condition(known)) as response:
                if known and response.status == _NOT_MODIFIED:
                    return Found(known)
                if response.status != _OK:
                    raise _refusal(response)
                fingerprint = _fingerprint(response.headers)
                if known and fingerprint and fingerprint == known.fingerprint:
                    return Found(known)
                return await self._download(url, response, fingerprint)
        except UsageError as error:  # of the proxy
            raise MediaError(f"cannot be fetched: {error}") from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise MediaError(f"cannot be fetched: no http URL: {error}") from error
        except aiohttp.SocketTimeoutError as error:
            raise _PassingError(f"nothing came for {_READ_S:g} s", attempts=_SILENT_ATTEMPTS) from error
        except (aiohttp.ClientError, OSError) as error:
            raise _PassingError(str(error) or type(error).__name__) from error

    async def _download(self, url: str, response: aiohttp.ClientResponse, fingerprint: str | None) -> Found:
        size = response.headers.get("Content-Length", "")
        begun = await self._in_thread(self._downloads.begin, url, int(size) if size.isdecimal() else None)
        with begun as download:
            async for block in response.content.iter_chunked(_BLOCK):
                await self._in_thread(download.write, block)
            return await self._in_thread(download.found, fingerprint)

    def _store(self, url: str, known: KnownSource | None) -> Found:
        try:
            store, path = open_store(url)
            size, fingerprint = store.info(path).get("size"), store.ukey(path)
            if known and fingerprint == known.fingerprint:
                return Found(known)
            with (
                self._downloads.begin(url, size) as download,
                store.open(path, "rb", block_size=_STORE_BLOCK, cache_type="readahead") as file,
            ):
                while block := file.read(_BLOCK):
                    self._check_open()
                    download.write(block)
                return download.found(fingerprint)
        except BabelviewError as error:
            raise MediaError(str(error)) from error
        except FileNotFoundError as error:
            raise MediaError("cannot be fetched: no such file") from error
        except PermissionError as error:
            raise MediaError(f"cannot be fetched: permission denied ({error})") from error
        except Exception as error:  # drivers raise what they like
            raise _PassingError(str(error) or type(error).__name__) from error

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise MediaError("interrupted")

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


def _pause_s(failures: int, error: _PassingError) -> float:
    if error.retry_after is None:
        return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**failures) * random.uniform(0.5, 1)
    if error.retry_after > LONGEST_RETRY_AFTER_S:
        raise MediaError(f"cannot be fetched: {error}; the server asks to wait {error.retry_after:.0f} s")
    return error.retry_after


def _sent(url: str) -> URL:
    """A URL as it goes over the wire: what is quoted stays so, for signed ones must not change.

    Raises:
        MediaError: it is none.
    """
    try:
        made = URL(quote(url, safe=_IN_URLS), encoded=True) if url.isascii() else URL(url)
        _ = made.port  # which is read no earlier
    except ValueError as error:  # of an IPv6 address, or a port
        raise MediaError(f"cannot be fetched: no http URL: {error}") from error
    return made


def _condition(known: KnownSource | None) -> dict[str, str]:
    """Headers that spare us the body of what we know (RFC 9110, 13.1)."""
    kind, _, value = (known.fingerprint or "").partition(" ") if known else ("", "", "")
    if kind == "etag":
        return {"If-None-Match": value}
    return {"If-Modified-Since": value.partition("; ")[2]} if kind == "modified" else {}


def _fingerprint(headers: Mapping[str, str]) -> str | None:
    size = headers.get("Content-Length", "")
    if tag := headers.get("ETag"):
        return f"etag {tag}"
    if modified := headers.get("Last-Modified"):
        return f"modified {size}; {modified}"
    return f"size {size}" if size else None


def _refusal(response: aiohttp.ClientResponse) -> Exception:
    reason = f"HTTP {response.status} {response.reason}".rstrip()
    if response.status in _PASSING:
        return _PassingError(reason, read_retry_after(response.headers.get("Retry-After")))
    return MediaError(f"cannot be fetched: {reason}")
