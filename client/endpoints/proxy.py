"""The proxy that the environment names for a URL: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY` as in curl.

`urllib.request` reads the variables and compares names and ports; `ipaddress` knows addresses and ranges.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    _Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PORTS = {"http": 80, "https": 443}
_ENTRY = re.compile(r"\[(?P<v6>[^\]]+)\](?::(?P<v6_port>\d+))?|(?P<v4>[\d.]+(?:/\d+)?)(?::(?P<v4_port>\d+))?")


def proxy_of(url: str) -> str | None:
    """The proxy that the environment names for `url`; None where there is none, or `NO_PROXY` excepts it.

    Raises:
        UsageError: it names one of a kind that cannot be used.
    """
    parts = urlsplit(url)
    return _proxy_of_host(parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0))


def shown(proxy: str) -> str:
    """A proxy's address as it may be shown: without user name and password."""
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@functools.lru_cache(maxsize=4096)
def _proxy_of_host(scheme: str, host: str, port: int) -> str | None:
    """Looked up once for each host: that takes as long as a request, and nothing else goes on meanwhile."""
    system_excepts: Callable[[str], Any] = urllib.request.proxy_bypass
    proxies = urllib.request.getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or host == "localhost" or _is_loopback(host):
        return None
    if excepts(proxies.get("no", ""), host, port) or system_excepts(host):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        _ = (parts := urlsplit(proxy)).port
    except ValueError as error:
        raise UsageError(f"the environment names a proxy for {host} that is no URL: {error}") from None
    if parts.scheme not in _PORTS:
        raise UsageError(
            f"the environment names the proxy {shown(proxy)} for {host}: only http:// and https:// proxies can be "
            "used; name another one in HTTPS_PROXY, or the host in NO_PROXY"
        )
    return proxy


def excepts(no_proxy: str, host: str, port: int) -> bool:
    """Whether a `NO_PROXY` excepts a host: by `*`, its name, a domain that it is in, its address or a range of them.

    `corp.local`, `.corp.local` and `*.corp.local` are the domain and all in it. Entries are separated by commas or
    spaces, and may name a port: `10.1.2.3:8000`.
    """
    entries = [entry for entry in re.split(r"[\s,]+", no_proxy.lower()) if entry]
    if "*" in entries:
        return True
    host = host.lower().rstrip(".")
    if address := _address(host):
        return any(_holds(entry, address, port) for entry in entries)
    names = ",".join(entry.removeprefix("*").rstrip(".") for entry in entries)
    return bool(urllib.request.proxy_bypass_environment(f"{host}:{port}", {"no": names}))  # type: ignore[attr-defined]


def _holds(entry: str, address: _Address, port: int) -> bool:
    """Whether an entry is this address, or a range that it is in."""
    found = _ENTRY.fullmatch(entry)
    network = (found["v6"] or found["v4"]) if found else entry
    only_port = (found["v6_port"] or found["v4_port"]) if found else None
    try:
        return address in ipaddress.ip_network(network, strict=False) and only_port in (None, str(port))
    except ValueError:
        return False


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return address is not None and address.is_loopback
