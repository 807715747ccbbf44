"""The processes that decode sounds: what a file may make of them, and who waits for whom."""

from __future__ import annotations

import asyncio
import re
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
from sounds import RATE, encoded, tone

from server.errors import RequestError
from server.gateway.admission import Admission
from server.gateway.config import Limits, Timeouts
from server.gateway.keyring import Keyring
from server.gateway.sound_child import MEMORY_BYTES, decode, wav
from server.gateway.sounds import SoundDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.gateway.admission import Hold

LIMITS = Limits(sound_processes=1)
SOUND = encoded(tone(0.5, RATE))


@pytest.fixture
async def decoder() -> AsyncIterator[SoundDecoder]:
    decoder = SoundDecoder(LIMITS, Timeouts())
    yield decoder
    await decoder.close()


def hold(key: str = "") -> Hold:
    with Admission(LIMITS, Keyring({})).enter(key) as held:
        return held


def box(kind: bytes, *content: bytes) -> bytes:
    inside = b"".join(content)
    return struct.pack(">I4s", 8 + len(inside), kind) + inside


def full(kind: bytes, *numbers: int) -> bytes:
    return box(kind, struct.pack(f">{1 + len(numbers)}I", 0, *numbers))


def of_many_samples(samples: int) -> bytes:
    """An MP4 of a kilobyte whose tables say that it has so many; FFmpeg writes 24 bytes for each."""
    sound = box(b"mp4a", struct.pack(">6xH8xHHI", 1, 1, 16, 0), struct.pack(">I", RATE << 16))
    table = box(
        b"stbl",
        box(b"stsd", struct.pack(">II", 0, 1), sound),
        full(b"stts", 1, samples, 1024),
        full(b"stsc", 1, 1, samples, 1),
        full(b"stsz", 1, samples),
        full(b"stco", 1, 40),
    )
    data = box(b"minf", full(b"smhd", 0), box(b"dinf", box(b"dref", struct.pack(">II", 0, 1), full(b"url "))), table)
    kind = box(b"hdlr", struct.pack(">8x4s13x", b"soun"))
    track = box(b"trak", full(b"tkhd", *[1] * 20), box(b"mdia", full(b"mdhd", 0, 0, RATE, RATE, 0), kind, data))
    movie = box(b"moov", full(b"mvhd", 0, 0, RATE, RATE, *[0] * 20), track)
    return box(b"ftyp", b"isom\0\0\0\0isom") + movie + box(b"mdat", bytes(1000))


def memory_of_children(field: str) -> int:
    """Bytes of resident memory of the process that decodes: VmRSS now, VmHWM at most."""
    (child,) = (one for one in psutil.Process().children() if "server.gateway.sound_child" in one.cmdline())
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{child.pid}/status").read_text())
    assert found
    return int(found[1]) << 10


async def test_tables_of_a_file_take_no_more_memory_than_there_is(decoder: SoundDecoder) -> None:
    for samples in (1000, 50_000_000, 100_000_000):
        with pytest.raises(RequestError) as refused:
            await decoder.decode(of_many_samples(samples), hold())
        assert refused.value.status == 400
    assert memory_of_children("VmHWM") < MEMORY_BYTES
    assert (await decoder.decode(SOUND, hold())).duration_s == 0.5


async def test_what_a_file_has_taken_is_given_back(decoder: SoundDecoder) -> None:
    """Of many packets the C library would keep 40 MB, and 300 of a larger file."""
    await decoder.decode(SOUND, hold())
    before = memory_of_children("VmRSS")
    with suppress(RequestError):
        await decoder.decode(b"\xff\xf1\x50\x80\x01\x1f\xfc\0" * 120_000, hold())
    assert memory_of_children("VmHWM") > before + (30 << 20)
    await decoder.decode(SOUND, hold())
    assert memory_of_children("VmRSS") < before + (15 << 20)


@pytest.mark.parametrize("loud", [np.nan, np.inf, -np.inf, 3e38, -2.0])
def test_a_sound_is_made_of_numbers_that_models_take(loud: float) -> None:
    sound = tone(0.5, RATE)
    sound[100:200] = loud
    decoded = decode(b"".join(map(bytes, wav(sound.astype(np.float32)))), 600)
    assert np.isfinite(decoded).all()
    assert np.abs(decoded).max() <= 1


async def test_keys_have_their_sounds_decoded_in_turn(decoder: SoundDecoder) -> None:
    ended = []

    async def ask(key: str) -> None:
        await decoder.decode(SOUND, hold(key))
        ended.append(key)

    await asyncio.gather(*map(ask, ["many", "many", "many", "many", "one"]))
    assert ended.index("one") < 3
