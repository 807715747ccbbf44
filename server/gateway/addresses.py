"""Which addresses the gateway may connect to when a request names a URL: those of the public Internet only."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

if TYPE_CHECKING:
    from collections.abc import Callable

_HOLDS_IPV4 = tuple(
    ipaddress.ip_network(network)
    for network in (
        "::/96",  # IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # SIIT
        "64:ff9b::/96",  # NAT64 (RFC 6052)
        "64:ff9b:1::/48",  # NAT64 (RFC 8215)
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
    )
)
"""IPv6 addresses that stand for an IPv4 one: a public resolver has no reason to give them."""


def is_public(address: str) -> bool:
    """Whether an address belongs to the public Internet, and to one host."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False  # with a zone, for one
    if ip.is_multicast or any(ip in network for network in _HOLDS_IPV4):
        return False
    return ip.is_global


def is_address(host: str) -> bool:
    """Whether a URL's host is an address, in any of the spellings that a C library takes (`0x7f.1`, `2130706433`)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        try:
            socket.inet_aton(host)
        except OSError:
            return False
    return True


class PublicResolver(AbstractResolver):
    """Resolves a name once; the connection goes to one of the very addresses that were checked."""

    def __init__(self, resolver: AbstractResolver | None = None, allows: Callable[[str], bool] = is_public) -> None:
        self._resolver = resolver or ThreadedResolver()
        self._allows = allows

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """All addresses of `host`.

        Raises:
            OSError: there are none, or one of them is not public: who answers so is not to be trusted at all.
        """
        found = await self._resolver.resolve(host, port, family)
        for result in found:
            if not self._allows(result["host"]):
                raise OSError(f"{host} has an address that is not public")
        return found

    async def close(self) -> None:
        """Close the resolver that is asked."""
        await self._resolver.close()
