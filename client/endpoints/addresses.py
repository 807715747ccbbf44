"""The addresses of servers, as the user gives them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from client.errors import UsageError

BASE_URL, TRANSLATOR = "http://127.0.0.1:8000/v1", "http://127.0.0.1:8003"
"""Those of a stack of this machine."""
_BETWEEN = re.compile(r",\s*(?=https?://)", re.IGNORECASE)
_CHAT = "/chat/completions"


def server_address(text: str) -> str:
    """The address of a server, without a slash at its end.

    Raises:
        UsageError: it is no URL of HTTP, or holds what belongs elsewhere.
    """
    return _address(text, query=False)


def endpoint_addresses(text: str) -> list[str]:
    """The addresses of OpenAI endpoints that serve the same, with commas between, each once.

    Raises:
        UsageError: see `endpoint_address`; or what follows a comma is none.
    """
    addresses = [endpoint_address(part) for part in _BETWEEN.split(text)]
    for address in addresses:
        if "," in (path := urlsplit(address).path):
            last = path.rpartition(",")[2]
            raise UsageError(f"must be URLs such as http://127.0.0.1:8000, also behind a comma, not {last!r}")
    return list(dict.fromkeys(addresses))


def endpoint_address(text: str) -> str:
    """The address of an OpenAI endpoint; `/v1` where only a host is given. A query, as Azure wants one, is kept.

    Raises:
        UsageError: it is no URL of HTTP, or holds what belongs elsewhere.
    """
    address, _, query = _address(text, query=True).partition("?")
    address = address.rstrip("/")
    if address.endswith(_CHAT):
        raise UsageError(f"must be the URL to which {_CHAT} is added: {address.removesuffix(_CHAT)}")
    address = address if urlsplit(address).path else f"{address}/v1"
    return f"{address}?{query}" if query else address


def same_server(one: str, other: str) -> bool:
    """Whether two addresses are of one server: scheme, host and port."""
    return urlsplit(one)[:2] == urlsplit(other)[:2]


def _address(text: str, *, query: bool) -> str:
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of the port, or of an IPv6 address
        right = False
    if not right:
        raise UsageError(f"must be a URL such as http://127.0.0.1:8000, not {text!r}")
    # Which may be secrets: they are not quoted.
    if parts.username is not None or parts.fragment or (parts.query and not query):
        forbidden = "user name and #" if query else "user name, ? and #"
        raise UsageError(f"must be a URL without {forbidden}; keys come from the environment")
    return text.rstrip("/?#")
