"""What is to run on the cluster, handed over as a JSON file: by the supervisor to an agent, by it to the actor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from server.profile import Profile, Reservation  # noqa: TC001  # read at run time, to decode it
from server.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


class Order(Settings, frozen=True, kw_only=True):
    """One engine, and what Ray keeps free for it."""

    name: str
    """Of the replica, as Ray's dashboard shows it."""
    cluster: str
    """`auto`, or HOST:PORT."""
    reservation: Reservation
    profile: Profile
    """Of this one engine, as if it ran where it is read."""
    key: str
    """Which the engine asks for: it listens where others may reach it."""

    def write(self, path: Path) -> None:
        """Write it for `read`; nobody else may read it."""
        path.touch(0o600)
        path.write_bytes(self.encode())

    def encode(self) -> bytes:
        """As `decode` reads it."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, content: bytes) -> Order:
        """The order that `encode` gave."""
        return msgspec.json.decode(content, type=cls)
