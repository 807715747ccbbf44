"""The frames that were encoded last, as pixels: what people look at is made of these, and no JPEG is decoded again."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from client.media.sampling import MAX_FRAMES

if TYPE_CHECKING:
    from client.media.jpeg import Planes


class RecentFrames:
    """Of the last `MAX_FRAMES` frames the planes that were encoded: some 5 MB, at 300 kB each."""

    def __init__(self) -> None:
        """Begin with none."""
        self._kept: deque[tuple[bytes, Planes]] = deque(maxlen=MAX_FRAMES)

    def add(self, jpeg: bytes, planes: Planes) -> None:
        """A frame was encoded."""
        self._kept.append((jpeg, planes))

    def planes(self, jpeg: bytes) -> Planes | None:
        """Those that became this very JPEG; None if they were let go."""
        return next((planes for kept, planes in self._kept if kept is jpeg), None)
