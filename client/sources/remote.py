"""Fetching URLs: `http(s)` by httpx2, all others by fsspec. Blocking; meant for threads.

A content that the ledger knows is not fetched again while its fingerprint is the same: for `http(s)` the ETag, else
Last-Modified with the size, else the size alone; what a store says of the object. Where there is none of these it is
fetched again, and recognised by its hash.
"""

from __future__ import annotations

import itertools
import random
import threading
from typing import TYPE_CHECKING

import httpx2

from client.endpoints.retry import ATTEMPTS, FIRST_PAUSE_SEC, LONGEST_PAUSE_SEC, read_retry_after
from client.errors import BabelviewError, MediaError
from client.sources.source import Found
from client.sources.stores import open_store

if TYPE_CHECKING:
    from client.sources.download import Downloads
    from client.sources.source import KnownSource

MOST_REDIRECTS = 5
LONGEST_WISH_SEC = 60.0
"""A `Retry-After` beyond this is not waited for."""
_CONNECT_SEC, _READ_SEC = 15.0, 60.0
_SILENT_ATTEMPTS = 2
"""Where nothing comes for so long, that will hardly change."""
_BLOCK = 1 << 18
_STORE_BLOCK = 1 << 22
"""Drivers ask for so much at a time, and keep it in memory; their own choice may be 50 MB."""
_PASSING = (408, 425, 429, 500, 502, 503, 504)
# The bytes as they are: compressed, their size would not be that of the file.
_HEADERS = {"Accept": "image/*, video/*, */*;q=0.5", "Accept-Encoding": "identity", "User-Agent": "babelview"}


class _PassingError(Exception):
    """It may work next time; `retry_after` in seconds if the server said so."""

    def __init__(self, reason: str, retry_after: float | None = None, attempts: int = ATTEMPTS) -> None:
        super().__init__(reason)
        self.retry_after, self.attempts = retry_after, attempts


class Remote:
    """Fetches URLs, from several threads at once."""

    def __init__(self, downloads: Downloads) -> None:
        """Nothing is connected yet."""
        self._downloads = downloads
        self._closed = threading.Event()
        self._client = httpx2.Client(
            headers=_HEADERS,
            follow_redirects=True,
            max_redirects=MOST_REDIRECTS,
            timeout=httpx2.Timeout(_READ_SEC, connect=_CONNECT_SEC),
        )

    def close(self) -> None:
        """End all pauses and connections."""
        self._closed.set()
        self._client.close()

    def fetch(self, url: str, known: KnownSource | None) -> Found:
        """What is at a URL: as `known`, if it has not changed since, else with a file that holds it.

        Raises:
            MediaError: it cannot be had, after some attempts where that may help.
        """
        attempt = self._http if url.lower().startswith(("http://", "https://")) else self._store
        for failures in itertools.count(1):
            try:
                return attempt(url, known)
            except _PassingError as error:
                if failures >= error.attempts:
                    raise MediaError(f"cannot be fetched: {error} ({failures} attempts)") from error
                self._pause(failures, error)
        raise AssertionError("unreachable")

    def _pause(self, failures: int, error: _PassingError) -> None:
        if error.retry_after is None:
            longest = min(LONGEST_PAUSE_SEC, FIRST_PAUSE_SEC * 2**failures)
            seconds = longest * random.uniform(0.5, 1)
        elif error.retry_after > LONGEST_WISH_SEC:
            raise MediaError(f"cannot be fetched: {error}; the server asks to wait {error.retry_after:.0f} s")
        else:
            seconds = error.retry_after
        if self._closed.wait(seconds):
            raise MediaError("interrupted")

    def _http(self, url: str, known: KnownSource | None) -> Found:
        try:
            with self._client.stream("GET", url, headers=_condition(known)) as response:
                if known and response.status_code == httpx2.codes.NOT_MODIFIED:
                    return Found(known)
                if response.status_code != httpx2.codes.OK:
                    raise _refusal(response)
                fingerprint = _fingerprint(response.headers)
                if known and fingerprint and fingerprint == known.fingerprint:
                    return Found(known)
                size = response.headers.get("content-length", "")
                with self._downloads.begin(url, int(size) if size.isdecimal() else None) as download:
                    for block in response.iter_bytes(_BLOCK):
                        self._heed_end()
                        download.write(block)
                    return download.found(fingerprint)
        except httpx2.TooManyRedirects as error:
            raise MediaError(f"cannot be fetched: more than {MOST_REDIRECTS} redirects") from error
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise MediaError(f"cannot be fetched: {error}") from error
        except httpx2.ReadTimeout as error:
            raise _PassingError(f"nothing came for {_READ_SEC:g} s", attempts=_SILENT_ATTEMPTS) from error
        except httpx2.HTTPError as error:
            raise _PassingError(str(error) or type(error).__name__) from error

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
                    self._heed_end()
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

    def _heed_end(self) -> None:
        if self._closed.is_set():
            raise MediaError("interrupted")


def _condition(known: KnownSource | None) -> dict[str, str]:
    """Headers that spare us the body of what we know (RFC 9110, 13.1)."""
    kind, _, value = (known.fingerprint or "").partition(" ") if known else ("", "", "")
    if kind == "etag":
        return {"If-None-Match": value}
    return {"If-Modified-Since": value.partition("; ")[2]} if kind == "modified" else {}


def _fingerprint(headers: httpx2.Headers) -> str | None:
    size = headers.get("content-length", "")
    if tag := headers.get("etag"):
        return f"etag {tag}"
    if modified := headers.get("last-modified"):
        return f"modified {size}; {modified}"
    return f"size {size}" if size else None


def _refusal(response: httpx2.Response) -> Exception:
    reason = f"HTTP {response.status_code} {response.reason_phrase}".rstrip()
    if response.status_code in _PASSING:
        return _PassingError(reason, read_retry_after(response.headers.get("retry-after")))
    return MediaError(f"cannot be fetched: {reason}")
