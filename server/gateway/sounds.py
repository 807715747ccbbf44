"""Sounds as engines read them: decoded in processes of their own, which a file may crash, fill or hold up."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from server.errors import RequestError
from server.gateway.decoding import Decoding
from server.gateway.sound_messages import RATE, SAMPLE_BYTES, Decoded, Task

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.gateway.admission import Hold
    from server.gateway.config import Limits, Timeouts

COMMAND = (sys.executable, "-P", "-m", "server.gateway.sound_child")
_KEPT = ("PATH", "PYTHONPATH", "PYTHONSAFEPATH", "LD_LIBRARY_PATH")
_PIECE_BYTES = 1 << 20
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound as a WAV file of float32, 16 kHz, one channel."""

    wav: bytes
    samples: int

    @property
    def duration_s(self) -> float:
        """How long it lasts."""
        return self.samples / RATE


class SoundDecoder:
    """Decodes the sounds of requests, a few at a time. Its processes start when the first sounds come."""

    def __init__(self, limits: Limits, timeouts: Timeouts) -> None:
        self._limits = limits
        self._timeouts = timeouts
        self._free = Decoding(limits.sound_processes)  # so many at a time, the keys in turn
        self._idle: list[asyncio.subprocess.Process] = []

    async def decode(self, data: bytes, hold: Hold) -> Sound:
        """Decode a file; what it becomes is counted in `hold`.

        Raises:
            RequestError: 400, it has no sound, is broken or lasts too long; 429, there is no room for it.
        """
        with (await self._free.take(1, hold.key)).held():
            try:
                async with asyncio.timeout(self._timeouts.sound_s), self._process() as process:
                    answer, wav = await self._ask(process, data, hold)
            except TimeoutError:
                raise _refusal(f"decoding it takes longer than {self._timeouts.sound_s:g} s") from None
            except (asyncio.IncompleteReadError, ConnectionError, msgspec.DecodeError):
                logger.warning("a sound has ended the process that decoded it")
                raise _refusal("this file cannot be decoded: it is broken") from None
        if answer.problem is not None:
            raise _refusal(answer.problem, answer.code)
        return Sound(wav, answer.samples)

    async def _ask(self, process: asyncio.subprocess.Process, data: bytes, hold: Hold) -> tuple[Decoded, bytes]:
        given, taken = process.stdin, process.stdout
        assert given is not None
        assert taken is not None
        given.write(msgspec.json.encode(Task(len(data), self._limits.max_sound_s)) + b"\n")
        given.write(data)
        await given.drain()
        answer = msgspec.json.decode(await taken.readuntil(b"\n"), type=Decoded)
        if answer.size > (self._limits.max_sound_s + 1) * RATE * SAMPLE_BYTES:
            raise ConnectionError("it sends more than it may")
        hold.add(answer.size)
        return answer, await taken.readexactly(answer.size)

    @asynccontextmanager
    async def _process(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """A process that waits for a sound; it is kept if all went well in the block, else ended."""
        process = self._idle.pop() if self._idle else await self._start()
        try:
            yield process
        except BaseException:
            await _end(process)
            raise
        self._idle.append(process)

    async def _start(self) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *COMMAND, stdin=pipe, stdout=pipe, env=_environment(), limit=_PIECE_BYTES
        )

    async def close(self) -> None:
        """End the processes."""
        while self._idle:
            await _end(self._idle.pop())


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _environment() -> dict[str, str]:
    """No key of anybody's, and one thread: several sounds are decoded side by side."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


def _refusal(message: str, code: str | None = "invalid_media") -> RequestError:
    return RequestError(400, f"file: {message}", param="file", code=code)
