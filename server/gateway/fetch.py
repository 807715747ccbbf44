"""Fetches pictures from the domains that a profile allows, and makes data URLs of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import aiohttp
import pybase64
from yarl import URL

from server.errors import RequestError
from server.gateway.addresses import PublicResolver, is_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp.abc import AbstractResolver

    from server.gateway.admission import Hold

TIMEOUT_S = 20.0
AT_ONCE = 16
MOST_REDIRECTS = 3
_REDIRECTS = {301, 302, 303, 307, 308}
PORTS = (80, 443)
"""Of a domain that is given without one: on others are services that are not meant for everybody."""
TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif")


class Fetcher:
    """Fetches pictures; without domains it fetches nothing."""

    def __init__(self, domains: Sequence[str], max_bytes: int, resolver: AbstractResolver | None = None) -> None:
        """`domains` may name a port, `example.org:8443`; `resolver` replaces DNS in tests."""
        self._domains = tuple(_domain_and_ports(domain) for domain in domains)
        self._max_bytes = max_bytes
        self._resolver = resolver
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            resolver=self._resolver or PublicResolver(), use_dns_cache=False, force_close=True, limit=AT_ONCE
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "Babelview", "Accept": ", ".join(TYPES), "Accept-Encoding": "identity"},
            auto_decompress=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def data_url(self, address: str, hold: Hold) -> str:
        """The picture at `address` as a data URL, whose memory is counted in `hold`.

        Raises:
            RequestError: 400, with what is wrong, but nothing of what an inner server said; 429, there is no room.
        """
        try:
            async with self._slots, asyncio.timeout(TIMEOUT_S):
                return await self._follow(self._checked(address), hold)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise _refusal(address, "it could not be fetched") from error

    async def _follow(self, url: URL, hold: Hold) -> str:
        assert self._session is not None
        for _ in range(MOST_REDIRECTS + 1):
            async with self._session.get(url, allow_redirects=False) as answer:
                if answer.status in _REDIRECTS:
                    url = self._checked(str(url.join(URL(answer.headers.get("Location", "")))))
                    continue
                if answer.status != 200:
                    raise _refusal(str(url), f"the server answered {answer.status}")
                if answer.content_type not in TYPES:
                    raise _refusal(str(url), f"it must be one of {', '.join(TYPES)}")
                return _data_url(answer.content_type, await self._read(answer, url, hold), hold)
        raise _refusal(str(url), f"more than {MOST_REDIRECTS} redirects")

    async def _read(self, answer: aiohttp.ClientResponse, url: URL, hold: Hold) -> bytearray:
        """The bytes of a picture."""
        data = bytearray()
        async for piece in answer.content.iter_any():
            data += piece
            if len(data) > self._max_bytes:
                raise _refusal(str(url), f"it is larger than {self._max_bytes >> 20} MiB", 413)
            hold.add(len(piece))
        return data

    def _checked(self, address: str) -> URL:
        """The URL, if it is of an allowed domain; it is parsed once, by what also connects."""
        try:
            url = URL(address)
        except ValueError:
            raise _refusal(address, "this is no URL") from None
        host = (url.host or "").rstrip(".").lower()
        if url.scheme not in {"http", "https"} or not host:
            raise _refusal(address, "only data:, http: and https: are taken")
        if url.user is not None or url.password is not None:
            raise _refusal(address, "names and passwords are not taken")
        ports = [ports for domain, ports in self._domains if host == domain or host.endswith(f".{domain}")]
        if is_address(host) or not ports:
            allowed = ", ".join(domain for domain, _ in self._domains)
            raise _refusal(address, f"only media of {allowed} are fetched" if allowed else "only data: URLs are taken")
        if not any(url.port in allowed for allowed in ports):
            raise _refusal(address, f"port {url.port} of {host} is not asked")
        return url


def _data_url(kind: str, data: bytearray, hold: Hold) -> str:
    """A picture as a data URL, which is counted in its place; while it is made there is another copy of it.

    Raises:
        RequestError: 429, there is no room for it.
    """
    hold.check(len(data) * 8 // 3)
    url = f"data:{kind};base64,{pybase64.b64encode_as_string(data)}"
    hold.count(len(url) - len(data))
    return url


def _domain_and_ports(given: str) -> tuple[str, tuple[int, ...]]:
    domain, colon, port = given.lower().strip(".").partition(":")
    return domain.strip("."), (int(port),) if colon else PORTS


def _refusal(address: str, why: str, status: int = 400) -> RequestError:
    return RequestError(status, f"{address[:80]!r}: {why}", param="messages", code="invalid_media_url")
