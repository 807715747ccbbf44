"""JSON over HTTP to one server: what can go wrong, sorted into what may be tried again and what may not."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from client.endpoints.retry import failure, read_retry_after
from client.errors import AuthError, FailedError, NoAnswerError, NotJsonError, RequestError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT_S = 10.0
IDLE_S = 4.0
"""Connections are kept this long: less than the 5 s after which vLLM closes them, maybe under a new request."""
MOST_BYTES = 16 << 20
"""A longer answer is none that we asked for."""
_SHOWN_CHARACTERS, _KEY_CHARACTERS = 500, 8
_BASE64 = re.compile(r"base64,[A-Za-z0-9+/=,]{16,}")


class JsonServer:
    """A server that takes and gives JSON."""

    def __init__(self, url: str, *, deadline_s: float, api_key: str | None, key_variable: str) -> None:
        """`deadline_s` of one request in seconds, from connecting to the last byte.

        `key_variable` is where the key comes from, for messages.
        """
        self._url, self._deadline_s = url, deadline_s
        self._api_key, self._key_variable = api_key, key_variable
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
            headers=headers,
            proxy=proxy_of(url),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def get(self, path: str, *, deadline_s: float | None = None) -> Any:
        """What is at `path`; errors as for `post`."""
        return await self._request("GET", path, None, deadline_s or self._deadline_s)

    async def post(self, path: str, body: bytes) -> Any:
        """The answer to a JSON document.

        Raises:
            UnavailableError: the server did not take the request.
            FailedError: it did, and gave no proper answer.
            AuthError, RequestError: trying again would not help.
        """
        return await self._request("POST", path, body, self._deadline_s)

    async def probe(self, path: str, body: bytes, *, deadline_s: float) -> tuple[int, Any]:
        """Status and JSON of the answer to a JSON document, whatever it is; None for what is not JSON.

        Raises:
            UnavailableError, FailedError, AuthError: there is no answer.
            RequestError: it is a redirection.
        """
        response, content = await self._exchange("POST", path, body, deadline_s)
        try:
            return response.status, orjson.loads(content)
        except orjson.JSONDecodeError:
            return response.status, None

    async def _request(self, method: str, path: str, body: bytes | None, deadline_s: float) -> Any:
        response, content = await self._exchange(method, path, body, deadline_s)
        if response.status >= 400:
            retry_after = read_retry_after(response.headers.get("Retry-After"))
            reason = self._shown(_message(content) or response.reason or "")
            refusal = failure(response.status, reason, retry_after, _code(content))
            if isinstance(refusal, AuthError):
                raise AuthError(f"{refusal}; is {self._key_variable} set and right?", certain=refusal.certain)
            raise refusal
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise NotJsonError(f"the answer is not JSON but {self._shown(response.content_type)}") from error

    async def _exchange(
        self, method: str, path: str, body: bytes | None, deadline_s: float
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        """An answer, also one that is an error, and its content without our key; errors as for `probe`."""
        headers = {"Content-Type": "application/json"} if body else {}
        url = self._url + path
        begun = False
        try:
            async with (
                asyncio.timeout(deadline_s),
                self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                begun = True
                content = self._without_key(await _read(response))
        except aiohttp.ClientSSLError as error:
            raise AuthError(f"no secure connection to {self._url} ({error})") from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise UnavailableError(f"cannot be reached ({_why(error)})") from error
        except TimeoutError as error:
            raise FailedError(f"no answer within {deadline_s:g} s") from error
        except aiohttp.ClientResponseError as error:
            raise FailedError("what comes back is not HTTP; is it an address for https?") from error
        except (aiohttp.ClientError, OSError) as error:
            raise (FailedError if begun else NoAnswerError)("the connection broke") from error
        if 300 <= response.status < 400:
            target = response.headers.get("Location", "nowhere")
            raise RequestError(
                f"HTTP {response.status}: {self._url} redirects to {self._shown(target)}: give that address instead"
            )
        return response, content

    def error_of(self, body: dict[str, Any]) -> str:
        """The words of an error answer in the shape of OpenAI, vLLM, FastAPI or LibreTranslate."""
        return self._shown(_words(body))

    def _without_key(self, content: bytes) -> bytes:
        """An answer that quotes the key would take it into the ledger; a short one ("none") may be a common word."""
        if self._api_key and len(self._api_key) >= _KEY_CHARACTERS:
            return content.replace(self._api_key.encode(), b"***")
        return content

    def _shown(self, text: str) -> str:
        """Fit for screen and ledger: servers quote what they were sent."""
        if self._api_key:
            text = text.replace(self._api_key, "***")
        return _BASE64.sub("base64,...", text)[:_SHOWN_CHARACTERS]


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    while max(len(content), response.content_length or 0) <= MOST_BYTES:
        piece = await response.content.readany()
        if not piece:
            return bytes(content)
        content += piece
    raise FailedError(f"the answer is longer than {MOST_BYTES >> 20} MiB")


def _why(error: aiohttp.ClientError) -> str:
    if not isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection within {CONNECT_S:g} s"
    number = error.os_error.errno
    return os.strerror(number) if number and number > 0 else str(error.os_error.strerror or error)


def _message(content: bytes) -> str:
    """The words of an error answer, or the answer as it is."""
    try:
        return _words(orjson.loads(content))
    except (orjson.JSONDecodeError, AttributeError):
        return " ".join(content[: 4 * _SHOWN_CHARACTERS].decode(errors="replace").split())


def _code(content: bytes) -> str | None:
    """The code of an error answer in OpenAI's shape."""
    try:
        code = orjson.loads(content)["error"]["code"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return code if isinstance(code, str) else None


def _words(body: dict[str, Any]) -> str:
    error = body.get("error") or body.get("detail") or body.get("message")
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)


def proxy_of(url: str) -> str | None:
    """The proxy that the environment names for `url`."""
    parts = urlsplit(url)
    return _proxy_of_host(parts.scheme, parts.hostname or "")


@functools.lru_cache(maxsize=4096)
def _proxy_of_host(scheme: str, host: str) -> str | None:
    """Looked up once for each host: that takes as long as a request, and nothing else goes on meanwhile."""
    bypassed: Callable[[str], Any] = urllib.request.proxy_bypass
    if host in ("localhost", "::1") or host.startswith("127.") or bypassed(host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(scheme) or proxies.get("all")
