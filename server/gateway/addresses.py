"""Which addresses the gateway may connect to when a request names a URL: those of the public Internet only."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

if TYPE_CHECKING:
    from collections.abc import Callable

_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""All that IANA gives to networks of the public Internet today; outside lie NAT64, site-local, SRv6 and the like."""
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        # Python's `is_global` is that of its version; these were added late, or count as global by IANA's table.
        "192.0.0.0/24",  # IETF protocol assignments
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays, deprecated
        "192.175.48.0/24",  # AS112
        "2001::/23",  # IETF protocol assignments; Teredo, ORCHID and benchmarking among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: stands for an IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)


def is_public(address: str) -> bool:
    """Whether an address belongs to the public Internet, and to one host."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip.version == 6 and (ip not in _GLOBAL_UNICAST or getattr(ip, "scope_id", None)):
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_PUBLIC)


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
