"""GET over HTTP. Redirections are followed, but not into a private network: a list of URLs may come from anybody.

A URL that the user gives may lead anywhere. What a server redirects to must be public, or the very address and port
that was asked: who answers for one URL does not choose what else in this network is asked. A proxy finds the addresses
of names itself: behind one, names of private networks are not followed, nor those that have a private address here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver
from yarl import URL

from client.endpoints.proxy import proxy_of
from client.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

MOST_REDIRECTS = 5
_RESOLVED_S = 5.0
_PRIVATE_NAMES = tuple(
    f".{name}"
    for name in (
        "local",
        "localhost",
        "localdomain",
        "internal",
        "intranet",
        "private",
        "corp",
        "home",
        "lan",
        "home.arpa",
    )
)
"""Ends of names that no host of the public Internet has."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""The part of IPv6 that IANA has given out to networks of the public Internet."""
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.175.48.0/24"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"),
    )
)
"""Protocol assignments, addresses that stand for others, and documentation, which not every Python counts out."""


def is_public(address: str) -> bool:
    """Whether an address belongs to the public Internet, and to one host."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip.version == 6 and (ip not in _GLOBAL_UNICAST or getattr(ip, "scope_id", None)):
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_PUBLIC)


class _PrivateAddressError(OSError):
    """A redirection leads to an address that is not public."""


class _Resolver(AbstractResolver):
    """Resolves names, and remembers their addresses; the connection goes to one of those that were checked."""

    def __init__(self, seen: dict[str, frozenset[str]], known: frozenset[str] | None) -> None:
        """Addresses go to `seen`, by host; all must be public, or `known`; None: any will do."""
        self._seen, self._known = seen, known
        self._resolver = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        addresses = frozenset(result["host"] for result in found)
        if self._known is not None and (private := [a for a in addresses - self._known if not is_public(a)]):
            raise _PrivateAddressError(f"{host} is {private[0]}")
        self._seen[host] = addresses
        return found

    async def close(self) -> None:
        await self._resolver.close()


class Web:
    """Sessions for URLs as they are given, and for what they redirect to."""

    def __init__(self, headers: Mapping[str, str], timeout: aiohttp.ClientTimeout) -> None:
        """`headers` go with each request; must be made while an event loop runs."""
        self._headers, self._timeout = headers, timeout
        self._seen: dict[str, frozenset[str]] = {}
        self._given = self._session(None)
        self._redirected = self._session(frozenset())

    async def close(self) -> None:
        """Close the connections."""
        await self._given.close()
        await self._redirected.close()

    @asynccontextmanager
    async def get(self, url: URL, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a GET of `url`, or of what it redirects to; its body is still to be read.

        Raises:
            MediaError: a redirection leads to where none is followed, or there are too many.
            aiohttp.ClientError, OSError: there is no answer.
        """
        async with AsyncExitStack() as opened:
            session = self._given
            for _ in range(MOST_REDIRECTS + 1):
                response = await opened.enter_async_context(self._ask(session, url, headers))
                location = response.headers.get("Location")
                if response.status not in _REDIRECTS or location is None:
                    yield response
                    return
                await opened.aclose()
                asked, url = url, _target(url, location)
                # Back to the very server that has answered is no way into a network.
                known = self._addresses(asked) if url.port in {asked.port, 443} else frozenset[str]()
                if _is_literal(host := url.host or ""):
                    refused = not is_public(host) and host not in known
                else:  # whose address a proxy finds
                    refused = bool(proxy_of(str(url))) and not _is_same(asked, url) and await self._is_private(host)
                if refused:
                    raise _refusal(url)
                session = self._redirected
                if not all(map(is_public, known)):  # connections of its own: nobody else may come this way
                    session = await opened.enter_async_context(self._session(known))
        raise MediaError(f"cannot be fetched: more than {MOST_REDIRECTS} redirects")

    @asynccontextmanager
    async def _ask(
        self, session: aiohttp.ClientSession, url: URL, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with session.get(url, headers=headers, proxy=proxy_of(str(url)), allow_redirects=False) as response:
                yield response
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, _PrivateAddressError):
                raise _refusal(url) from error
            raise

    def _session(self, known: frozenset[str] | None) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=0, resolver=_Resolver(self._seen, known), use_dns_cache=known is None, force_close=bool(known)
        )
        return aiohttp.ClientSession(connector=connector, headers=self._headers, timeout=self._timeout)

    async def _is_private(self, host: str) -> bool:
        """Whether a name is one of a private network: by itself, or by its address where that can be found here."""
        host = host.lower().rstrip(".")
        if "." not in host or host.endswith(_PRIVATE_NAMES):
            return True
        resolver = DefaultResolver()
        try:
            found = await asyncio.wait_for(resolver.resolve(host, family=socket.AF_UNSPEC), _RESOLVED_S)
        except (OSError, TimeoutError):
            return False  # behind a proxy there may be no names but its own
        finally:
            await resolver.close()
        return not all(is_public(result["host"]) for result in found)

    def _addresses(self, url: URL) -> frozenset[str]:
        """Those that the host of a URL that was asked has, unless a proxy asked it."""
        if proxy_of(str(url)):
            return frozenset()
        host = url.host or ""
        return frozenset({host}) if _is_literal(host) else self._seen.get(host, frozenset())


def _is_same(asked: URL, url: URL) -> bool:
    """Whether a URL leads to the very server that was asked, or to its port for https."""
    return asked.host == url.host and url.port in {asked.port, 443}


def _target(url: URL, location: str) -> URL:
    try:
        target = url.join(URL(location))
    except ValueError as error:
        raise MediaError(f"cannot be fetched: it redirects to what is no URL: {location[:80]!r}") from error
    if target.scheme not in {"http", "https"} or not target.host:
        raise MediaError(f"cannot be fetched: it redirects to what is no http URL: {str(target)[:80]}")
    return target


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _refusal(url: URL) -> MediaError:
    return MediaError(
        f"cannot be fetched: it redirects to a private address, {url.host}: give that URL itself if you trust it"
    )
