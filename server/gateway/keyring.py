"""API keys: who may ask the gateway.

Only their SHA-256 is kept: they are random, so nothing slower is needed.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from server.errors import PreflightError
from server.key_variables import GATEWAY_KEYS as VARIABLE

if TYPE_CHECKING:
    from server.gateway.config import GatewayConfig

SHORTEST = 16
"""Characters. Shorter keys could be guessed from their hashes."""
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
_WORD = re.compile(rf"[A-Za-z0-9._~+=-]{{{SHORTEST},}}")
"""What may be a key within a path or an id."""


class Keyring:
    """The API keys that are accepted, as hashes."""

    def __init__(self, hashes: dict[bytes, str]) -> None:
        """`hashes` maps SHA-256 to the name of a key."""
        self._hashes = list(hashes.items())

    def __bool__(self) -> bool:
        """Whether there is a key at all; if not, none is asked for."""
        return bool(self._hashes)

    def name_of(self, key: str) -> str | None:
        """Whose key it is. All are compared, each in constant time."""
        given = hashlib.sha256(key.encode(errors="surrogateescape")).digest()
        found = None
        for known, name in self._hashes:
            if hmac.compare_digest(known, given):
                found = name
        return found

    def hide(self, text: str) -> str:
        """A text that a client sent, as it may stand in a log: without keys that are known here."""
        if not self._hashes:
            return text
        return _WORD.sub(lambda word: "***" if self.name_of(word[0]) else word[0], text)

    @classmethod
    def load(cls, config: GatewayConfig) -> Keyring:
        """The keys of the file and of the environment.

        Raises:
            PreflightError: one is not right; names the place, never the key.
        """
        entries: list[tuple[str, bytes]] = []
        for number, given in enumerate(filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))), 1):
            entries.append(_from_environment(given, f"{VARIABLE}: key {number}"))
        if config.keys_file is not None:
            entries += _from_file(Path(config.keys_file))
        names = [name for name, _ in entries]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise PreflightError(f"API keys: there are two named {twice[0]}")
        known: dict[bytes, str] = {}
        for name, hashed in entries:
            if hashed in known:
                raise PreflightError(f"API keys: {known[hashed]} and {name} have the same key: each needs its own")
            known[hashed] = name
        return cls(known)


def check_exposure(host: str, config: GatewayConfig) -> None:
    """Refuse to listen beyond this machine without keys.

    Raises:
        PreflightError: says what to do.
    """
    if config.allow_anonymous or Keyring.load(config) or _is_loopback(host):
        return
    raise PreflightError(
        f"the gateway would listen on {host} without API keys, for everybody: put keys into {VARIABLE} "
        "(python -m server.gateway.keys new NAME makes one), or say allow_anonymous = true under [gateway]"
    )


def hash_line(name: str, key: str) -> str:
    """The line of a key in a file."""
    return f"{name} sha256:{_hashed(key, name).hex()}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _hashed(key: str, where: str) -> bytes:
    if len(key) < SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
        raise PreflightError(f"{where}: a key is at least {SHORTEST} printable ASCII characters, without spaces")
    return hashlib.sha256(key.encode()).digest()


def _from_environment(given: str, where: str) -> tuple[str, bytes]:
    name, equals, key = given.partition("=")
    if not equals or not NAME.fullmatch(name):
        name, key = "", given  # a key alone; it may hold a "="
    match = _HASH.fullmatch(key)
    hashed = bytes.fromhex(match[1]) if match else _hashed(key, where)
    return name or f"key-{hashed.hex()[:8]}", hashed


def _from_file(path: Path) -> list[tuple[str, bytes]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # editors of Windows begin with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise PreflightError(f"API keys: {path}: {error}") from error
    entries = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, hashed = line.strip().partition(" ")
        match = _HASH.fullmatch(hashed.strip())
        if not match or not NAME.fullmatch(name):
            raise PreflightError(f"API keys: {path}, line {number}: it must be `NAME sha256:HEX`")
        entries.append((name, bytes.fromhex(match[1])))
    return entries
