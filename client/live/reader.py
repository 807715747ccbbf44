"""The newest frames of a source, which a process of its own reads; it is started again when the source is lost."""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.errors import MediaError
from client.live.messages import Began, Busy, Clip, Ended, Reading, Wanted
from client.media.content import SoundPiece

if TYPE_CHECKING:
    from collections.abc import Callable

    from client.endpoints.retry import Notify
    from client.live.source import LiveSource
    from client.media.sampling import Sampling

OPEN_S, READ_S = 15.0, 10.0
"""How long a source may take to be opened, and give nothing."""
_GRACE_S = 5.0
"""A process that does not keep to these by itself hangs."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
"""Between tries to connect; twice as long each time."""
_REMIND_S = 60.0


class Reader:
    """Gives clips one after the other, each with the newest frames there are."""

    def __init__(
        self,
        source: LiveSource,
        sampling: Sampling,
        span_s: float,
        *,
        hears: bool,
        began_s: float,
        wait_s: float,
        notify: Notify,
        on_sound: Callable[[SoundPiece], None],
        open_s: float = OPEN_S,
        read_s: float = READ_S,
    ) -> None:
        """Nothing is opened yet; `wait_s`: for a source that was there and is away.

        `began_s` is when the clock of the session begins; pieces of sound come to `on_sound` as they end.
        """
        self._reading = Reading(source, sampling, round(span_s * 1e6), hears, began_s, open_s, read_s)
        self._wait_s, self._notify, self._on_sound = wait_s, notify, on_sound
        self._process: _Process | None = None
        self._reply: asyncio.Future[Clip | Ended] | None = None
        self._away_since_s: float | None = None
        self._told_s: float | None = None
        self._tries = 0
        self._heard_s = 0.0
        """When its process last said anything."""
        self._first = True
        """Whether this connection gave no clip yet."""
        self._counts = (0, 0)
        """Frames received and dropped, of this connection."""
        self._before = (0, 0)
        """The same of those before it."""
        self.began: Began | None = None
        """What the newest connection began with; None before there was one."""
        self.reconnects = 0

    @property
    def received(self) -> int:
        """How many frames came."""
        return self._before[0] + self._counts[0]

    @property
    def dropped(self) -> int:
        """Frames of times that no caption is about."""
        return self._before[1] + self._counts[1]

    async def clip(self, oldest_s: float = math.inf) -> Clip | None:
        """The newest frames, of which at least one was in no clip before; waits for it. None: the source has ended.

        Where the newest is older than `oldest_s`, and no newer one comes within a moment, the clip is marked as old.

        Raises:
            MediaError: it cannot be opened, or stays away for too long.
        """
        while True:
            found = await self._ask(oldest_s)
            if isinstance(found, Clip):
                self._back()
                self._counts = (found.received, found.dropped)
                self._first = False
                return found
            self.close()
            source = self._reading.source
            if not found.reason:
                if self.began is None:
                    raise MediaError(f"{source.name}: it ended before there was a frame in it")
                return None
            if found.final and self.began is None:
                raise MediaError(f"{source.name}: {found.reason}")
            if found.final and source.is_file:
                self._notify(f"{source.name}: {found.reason}")
                return None
            await self._pause(found.reason)

    def close(self) -> None:
        """End the process."""
        if self._process:
            process, self._process = self._process, None
            process.kill()
        self._reply = None
        self._before = (self.received, self.dropped)
        self._counts = (0, 0)

    async def _ask(self, oldest_s: float) -> Clip | Ended:
        reading = self._reading
        limit_s = reading.read_s + _GRACE_S
        if self._process is None:
            self._process = _Process(reading, self._take)
            self._first = True
        if self._first:
            limit_s += reading.open_s + reading.span_us / 1e6
        if self._reply is None:  # else the last one was given up while it was waited for
            self._reply = asyncio.get_running_loop().create_future()
            self._process.ask(Wanted(oldest_s))
        reply = self._reply
        self._heard_s = time.monotonic()
        while (left_s := self._heard_s + limit_s - time.monotonic()) > 0 and not reply.done():
            await asyncio.wait([reply], timeout=left_s)
        if not reply.done():
            return Ended(f"nothing came for {limit_s:g} s, and its process hangs")
        self._reply = None
        return reply.result()

    def _take(self, process: _Process, message: Any) -> None:
        """A message of a process; of one that was given up, nothing counts any more."""
        if process is not self._process:
            return
        if isinstance(message, SoundPiece):  # which says nothing of frames
            self._on_sound(message)
            return
        self._heard_s = time.monotonic()
        if isinstance(message, Busy):
            return
        if isinstance(message, Began):
            self.began = message
            return
        if self._reply is None:
            self._reply = asyncio.get_running_loop().create_future()
        if not self._reply.done():
            self._reply.set_result(message)

    def _back(self) -> None:
        if self._away_since_s is not None:
            away_s = time.monotonic() - self._away_since_s
            self.reconnects += 1
            self._notify(f"{self._reading.source.name}: back after {away_s:.0f} s")
        self._away_since_s, self._told_s, self._tries = None, None, 0

    async def _pause(self, reason: str) -> None:
        """Wait before the next try; the user hears of it at once, and again every minute.

        Raises:
            MediaError: it was away for too long.
        """
        now_s, name = time.monotonic(), self._reading.source.name
        self._away_since_s = self._away_since_s or now_s
        away_s = now_s - self._away_since_s
        if away_s > self._wait_s:
            raise MediaError(f"{name}: {reason}; away for {away_s:.0f} s, gave up (--wait)")
        if self._told_s is None or now_s - self._told_s > _REMIND_S:
            self._told_s = now_s
            self._notify(f"{name}: {reason}; looking for it again for up to {self._wait_s - away_s:.0f} s")
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._tries, 10)) * random.uniform(0.5, 1)
        self._tries += 1
        await asyncio.sleep(pause_s)


class _Process:
    """A process that reads the source, over one connection."""

    def __init__(self, reading: Reading, take: Callable[[_Process, Any], None]) -> None:
        """Start it; `take` is called in the event loop with each message, at last with an `Ended`."""
        ours, theirs = socket.socketpair()
        with theirs:
            # -P: the working folder may hold a client.py of the user's, which is not ours.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "client.live.reader_process", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C is for the parent to heed
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
            )
        self._pipe = Connection(ours.detach())
        self._loop = asyncio.get_running_loop()
        self._take = take
        with suppress(ConnectionError):  # which the thread will meet too
            self._pipe.send(reading)
        threading.Thread(target=self._receive, daemon=True, name="live").start()

    def ask(self, wanted: Wanted) -> None:
        """Have it send a clip, or how it ended."""
        with suppress(OSError):
            self._pipe.send(wanted)

    def kill(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()

    def _receive(self) -> None:
        """In a thread: hand over all messages, and reap the process at its end."""
        with suppress(EOFError, OSError):
            while True:
                self._hand_over(self._pipe.recv())
        code = self._process.wait()
        self._hand_over(Ended(f"the process that decodes it ended ({_words(code)})"))
        self._pipe.close()

    def _hand_over(self, message: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._take, self, message)


def _words(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
