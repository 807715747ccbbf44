"""JSON over HTTP to one server: what can go wrong, sorted into what may be tried again and what may not."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import aiohttp

from client.endpoints.lenient_json import read_json
from client.endpoints.proxy import proxy_of, shown
from client.endpoints.retry import failure, read_retry_after
from client.errors import (
    AuthError,
    FailedError,
    NoAnswerError,
    NotJsonError,
    QuotaError,
    RequestError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator
    from contextlib import AbstractAsyncContextManager

CONNECT_S = 10.0
IDLE_S = 4.0
"""Connections are kept this long: less than the 5 s after which vLLM closes them, maybe under a new request."""
MOST_BYTES = 16 << 20
"""A longer answer is none that we asked for."""
_SHOWN_CHARACTERS, _KEY_CHARACTERS = 500, 8
_PAYMENT_REQUIRED = 402
_EVENTS = "text/event-stream"
_API_VERSION = "api-version"
"""Of Azure's queries."""
_QUOTAS = frozenset(
    {
        *("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance"),
        *("insufficient_credits", "credits_exhausted", "access_terminated", "budget_exceeded"),
    }
)
"""Codes and types of errors that say that a quota is used up, not that requests come too fast."""
_QUERY = re.compile(r"\?.*", re.DOTALL)
_BASE64 = re.compile(r"base64,[A-Za-z0-9+/=,]{16,}")


class JsonServer:
    """A server that takes and gives JSON."""

    def __init__(self, url: str, *, deadline_s: float, api_key: str | None, key_variable: str) -> None:
        """`deadline_s` of one request in seconds, from connecting to the last byte.

        `url` may carry a query, which goes along with each request and is never shown. `key_variable` is where the
        key comes from, for messages.

        Raises:
            UsageError: the environment names a proxy that cannot be used.
        """
        self.url, _, self._query = url.partition("?")
        self._deadline_s = deadline_s
        self._api_key, self._key_variable = api_key, key_variable
        query = dict(parse_qsl(self._query))
        # A short one ("none") may be a common word, and a version is a date, which a picture may show.
        values = (value for name, value in query.items() if name != _API_VERSION)
        secrets = (secret for secret in (api_key, *values) if secret and len(secret) >= _KEY_CHARACTERS)
        self._secrets = sorted(secrets, key=len, reverse=True)
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
            if _API_VERSION in query:  # Azure's own header
                headers["api-key"] = api_key
        proxy = proxy_of(url)
        self._proxy = f"the proxy {shown(proxy)}" if proxy else ""
        self._via = f" (through {self._proxy})" if proxy else ""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
            headers=headers,
            proxy=proxy,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def get(self, path: str, *, deadline_s: float | None = None) -> Any:
        """What is at `path`; errors as for `post`."""
        return await self._request("GET", path, None, deadline_s or self._deadline_s)

    async def post(self, path: str, body: bytes | aiohttp.FormData) -> Any:
        """The answer to a JSON document, or to a form.

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
            return response.status, read_json(content)
        except ValueError:
            return response.status, None

    async def _request(self, method: str, path: str, body: bytes | aiohttp.FormData | None, deadline_s: float) -> Any:
        response, content = await self._exchange(method, path, body, deadline_s)
        return self._accepted(response, content)

    def _accepted(self, response: aiohttp.ClientResponse, content: bytes) -> Any:
        """The JSON of an answer; errors as for `post`."""
        if response.status >= 400:
            reason = self._shown(_message(content) or response.reason or "") + self._via
            code, kind = _code_and_type(content)
            if response.status == _PAYMENT_REQUIRED or code in _QUOTAS or kind in _QUOTAS:
                raise QuotaError(f"the quota is used up (HTTP {response.status}: {reason})")
            refusal = failure(response.status, reason, read_retry_after(response.headers.get("Retry-After")), code)
            if isinstance(refusal, AuthError):
                raise AuthError(f"{refusal}; is {self._key_variable} set and right?", certain=refusal.certain)
            raise refusal
        try:
            return read_json(content)
        except ValueError as error:
            raise NotJsonError(f"the answer is not JSON but {self._shown(_kind(response))}") from error

    async def stream(self, path: str, body: bytes) -> AsyncGenerator[Any, None]:
        """The events of an answer to a JSON document (server-sent events), JSON each; errors as for `post`.

        The deadline is that of each event. Who does not know of streams answers with a single document.
        """
        with self._explained(self._deadline_s) as begun:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self._deadline_s):
                    response = await stack.enter_async_context(self._request_of("POST", path, body))
                    begun.set()
                    whole = response.status >= 300 or _kind(response) != _EVENTS
                    content = await _read(response) if whole else b""
                if whole:
                    self._check_no_redirection(response)
                    yield self._accepted(response, self._without_secrets(content))
                    return
                async for data in _events(response, self._deadline_s):
                    try:
                        event = read_json(self._without_secrets(data))
                    except ValueError as error:
                        raise NotJsonError("an event of the answer is not JSON") from error
                    yield event

    async def _exchange(
        self, method: str, path: str, body: bytes | aiohttp.FormData | None, deadline_s: float
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        """An answer, also one that is an error, and its content without our key; errors as for `probe`."""
        with self._explained(deadline_s) as begun:
            async with asyncio.timeout(deadline_s), self._request_of(method, path, body) as response:
                begun.set()
                content = self._without_secrets(await _read(response))
        self._check_no_redirection(response)
        return response, content

    def _request_of(
        self, method: str, path: str, body: bytes | aiohttp.FormData | None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = {"Content-Type": "application/json"} if isinstance(body, bytes) else {}
        url = f"{self.url}{path}?{self._query}" if self._query else self.url + path
        return self._session.request(method, url, data=body, headers=headers, allow_redirects=False)

    @contextmanager
    def _explained(self, deadline_s: float) -> Iterator[asyncio.Event]:
        """Turn what goes wrong into errors of ours; the event is set once an answer has begun to come."""
        begun = asyncio.Event()
        try:
            yield begun
        except aiohttp.ClientSSLError as error:
            raise AuthError(f"no secure connection to {self.url}{self._via} ({error})") from error
        except aiohttp.ClientProxyConnectionError as error:
            raise UnavailableError(f"{self._proxy} cannot be reached ({_why(error)})") from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise UnavailableError(f"cannot be reached{self._via} ({_why(error)})") from error
        except TimeoutError as error:
            raise FailedError(f"no answer within {deadline_s:g} s{self._via}") from error
        except aiohttp.ClientHttpProxyError as error:
            raise failure(error.status, f"{self._proxy} says {self._shown(error.message)}", None) from error
        except aiohttp.ClientResponseError as error:
            raise FailedError("what comes back is not HTTP; is it an address for https?") from error
        except (aiohttp.ClientError, OSError) as error:
            raise (FailedError if begun.is_set() else NoAnswerError)(f"the connection broke{self._via}") from error

    def _check_no_redirection(self, response: aiohttp.ClientResponse) -> None:
        if 300 <= response.status < 400:
            target = self._shown(_QUERY.sub("?...", response.headers.get("Location", "nowhere")))
            raise RequestError(f"HTTP {response.status}: {self.url} redirects to {target}: give that address instead")

    def error_of(self, body: dict[str, Any]) -> str:
        """The words of an error answer in the shape of OpenAI, vLLM, FastAPI or LibreTranslate."""
        return self._shown(_words(body))

    def _without_secrets(self, content: bytes) -> bytes:
        """An answer that quotes the key, or our query, would take it into the ledger."""
        for secret in self._secrets:
            content = content.replace(secret.encode(), b"***")
        return content

    def _shown(self, text: str) -> str:
        """Fit for screen and ledger: servers quote what they were sent."""
        for secret in (*self._secrets, *([self._api_key] if self._api_key else [])):
            text = text.replace(secret, "***")
        return _BASE64.sub("base64,...", text)[:_SHOWN_CHARACTERS]


def _kind(response: aiohttp.ClientResponse) -> str:
    """The type of the content; aiohttp would also read its parameters, and fail at some."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    while max(len(content), response.content_length or 0) <= MOST_BYTES:
        piece = await response.content.readany()
        if not piece:
            return bytes(content)
        content += piece
    raise FailedError(f"the answer is longer than {MOST_BYTES >> 20} MiB")


async def _events(response: aiohttp.ClientResponse, deadline_s: float) -> AsyncIterator[bytes]:
    """The data of server-sent events, up to OpenAI's `[DONE]` or the end; each has to come within `deadline_s`."""
    waiting = b""
    while True:
        async with asyncio.timeout(deadline_s):
            piece = await response.content.readany()
        *lines, rest = (waiting + piece).split(b"\n")
        waiting = rest
        for line in lines if piece else [rest]:
            data = line.removeprefix(b"data:").strip()
            if data == b"[DONE]":
                return
            if line.startswith(b"data:") and data:  # others are comments, that keep the connection alive, and names
                yield data
        if not piece:
            return
        if len(waiting) > MOST_BYTES:
            raise FailedError(f"an event of the answer is longer than {MOST_BYTES >> 20} MiB")


def _why(error: aiohttp.ClientError) -> str:
    if not isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection within {CONNECT_S:g} s"
    number = error.os_error.errno
    return os.strerror(number) if number and number > 0 else str(error.os_error.strerror or error)


def _message(content: bytes) -> str:
    """The words of an error answer, or the answer as it is."""
    try:
        return _words(read_json(content))
    except (ValueError, AttributeError):
        return " ".join(content[: 4 * _SHOWN_CHARACTERS].decode(errors="replace").split())


def _words(body: dict[str, Any]) -> str:
    error = body.get("error") or body.get("detail") or body.get("message")
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)


def _code_and_type(content: bytes) -> tuple[str | None, str | None]:
    """The code and the type of an error answer in OpenAI's shape."""
    try:
        error = read_json(content)["error"]
        code, kind = error.get("code"), error.get("type")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, None
    return code if isinstance(code, str) else None, kind if isinstance(kind, str) else None
