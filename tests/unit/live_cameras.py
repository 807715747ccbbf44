"""Live sessions with a camera that gives what a test says."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import simplejpeg
from media_files import numbered

from client import Babelview
from client.live.messages import Clip
from client.media.content import Facts, Frame

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    import pytest

    from client import LiveEvent
    from client.api.live import Live
    from client.live.watch import LiveStats

SECOND = 1_000_000


def clip(at_s: int = 1, *, age_s: float = 0.0, is_old: bool = False) -> Clip:
    """A frame that came `age_s` ago, at a second of the session."""
    frame = Frame(at_s * SECOND, simplejpeg.encode_jpeg(numbered(at_s)))
    return Clip([frame], (at_s - 1) * SECOND, at_s * SECOND, time.monotonic() - age_s, at_s, 0, is_old)


class ScriptedReader:
    """In the place of `Reader`: it gives these clips, each made when it is asked for."""

    def __init__(self, clips: tuple[Callable[[], Clip], ...]) -> None:
        self.began = SimpleNamespace(facts=Facts(160, 120), pts_s=None)
        self.received = self.dropped = self.reconnects = 0
        self._left = [*clips]
        self.wanted_s: list[float] = []
        """How old each was to be at most."""

    async def clip(self, oldest_s: float) -> Clip | None:
        """The next one."""
        self.wanted_s.append(oldest_s)
        return self._left.pop(0)() if self._left else None

    def close(self) -> None:
        """Nothing is open."""


class Watched:
    """Sessions with such a camera, one after the other; nothing is heard."""

    def __init__(self, url: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._url, self._file, self._patch = url, folder / "camera.mjpg", patch
        self._file.touch()
        self.live: Live
        self.wanted_s: list[float] = []
        self.told: list[str] = []
        """What the user was told."""

    async def __call__(self, *clips: Callable[[], Clip], **options: Any) -> AsyncIterator[LiveEvent]:
        """The events."""
        reader = ScriptedReader(clips)
        self._patch.setattr("client.api.live.Reader", lambda *_, **__: reader)
        async with Babelview(self._url, translator=self._url) as bv:
            bv.notify = self.told.append
            self.live = bv.live(self._file, **({"realtime": False, "hear": False, "every_s": 0.01} | options))
            self.wanted_s = reader.wanted_s
            async for event in self.live:
                yield event

    @property
    def stats(self) -> LiveStats:
        """What the last one counted."""
        return self.live.stats
