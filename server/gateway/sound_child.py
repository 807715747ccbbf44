"""The process that decodes sounds for the gateway: what a file of a stranger may do to FFmpeg, it does here.

On standard input come requests, each a line of JSON (`Task`) and the bytes that it tells of. To each there is one
answer on standard output: a line of JSON (`Decoded`) and, if it went well, a WAV file of float32, 16 kHz, one channel:
other numbers vLLM 0.32 reads wrongly, 16-bit ones at this rate into fluent, wrong text.
"""

from __future__ import annotations

import ctypes
import io
import resource
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

import av
import msgspec
import numpy as np

from server.errors import SoundError
from server.gateway.sound_messages import RATE, SAMPLE_BYTES, Decoded, Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.audio.frame import AudioFrame
    from numpy.typing import NDArray

LEAST_S = 0.1
"""A shorter sound is refused, as OpenAI does."""
MEMORY_BYTES = 512 << 20
"""Of address space, on top of what the file and its sound take: 200 MiB without any, and FFmpeg's tables, which a file
of one kilobyte can make as large as it likes."""
DEMUXERS = "wav,w64,mp3,mov,matroska,ogg,flac,aac,mpeg,mpegts,aiff,caf,asf,avi,amr,au,ac3"
"""What a file may be: FFmpeg's other formats read further files, addresses, or whatever a text says."""
MOST_BROKEN = 1000
"""Packets that cannot be decoded before a file is given up."""


def decode(data: bytes, most_s: float) -> NDArray[np.float32]:
    """The sound of a file, float32 [samples] at 16 kHz, its channels mixed into one.

    Packets that are damaged are passed over, as players do.

    Raises:
        SoundError: it is no file with sound, or broken, or lasts longer than `most_s` or less than `LEAST_S`.
    """
    parts: list[NDArray[np.float32]] = []
    samples = 0
    try:
        for frame in _frames(data):
            part = frame.to_ndarray()[0]
            parts.append(part)
            samples += len(part)
            if samples > most_s * RATE:
                raise SoundError(f"the sound lasts longer than {most_s:g} s: send it in parts", "sound_too_long")
    except av.FFmpegError as error:
        if not samples:
            raise SoundError("this is no sound file of a known format, or a broken one") from error
    if samples < LEAST_S * RATE:
        raise SoundError(
            f"the sound lasts {samples / RATE:.3f} s: {LEAST_S:g} s at least are needed", "sound_too_short"
        )
    sound = np.nan_to_num(np.concatenate(parts), copy=False, nan=0.0)
    return np.clip(sound, -1.0, 1.0, out=sound)  # numbers without end would become no numbers in a model


def _frames(data: bytes) -> Iterator[AudioFrame]:
    """The pieces of the sound at 16 kHz.

    Raises:
        SoundError: the file has none.
        av.FFmpegError: it cannot be read.
    """
    allowed = {"format_whitelist": DEMUXERS, "protocol_whitelist": "none"}
    with av.open(io.BytesIO(data), "r", options=allowed, metadata_errors="replace") as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, av.AudioStream) or stream.codec_context is None:
            raise SoundError("there is no sound in this file, or of a kind that is not known", "no_sound")
        stream.codec_context.thread_type = "NONE"
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        broken = 0
        for packet in container.demux(stream):
            try:
                for frame in stream.decode(packet):
                    yield from resampler.resample(frame)
            except (av.FFmpegError, ValueError):  # a frame may come in another form than the first
                broken += 1
                if broken > MOST_BROKEN:
                    raise
        with suppress(ValueError):  # nothing was decoded at all
            yield from resampler.resample(None)


def wav(sound: NDArray[np.float32]) -> list[bytes | memoryview]:
    """The parts of a WAV file of a sound."""
    size = sound.nbytes
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 3, 1, RATE, RATE * SAMPLE_BYTES, SAMPLE_BYTES, 32, b"data", size),
    )
    return [header, sound.data.cast("B")]


def serve(given: BinaryIO, taken: BinaryIO) -> None:
    """Decode what comes until nothing comes any more."""
    while line := given.readline():
        _serve_one(msgspec.json.decode(line, type=Task), given, taken)
        _give_back()


def _serve_one(task: Task, given: BinaryIO, taken: BinaryIO) -> None:
    _bound_memory(task)
    data = given.read(task.size)
    parts: list[bytes | memoryview] = []
    try:
        sound = decode(data, task.most_s)
        parts = wav(sound)
        answer = Decoded(sum(map(len, parts)), len(sound))
    except SoundError as error:
        answer = Decoded(problem=str(error), code=error.code)
    except MemoryError:
        answer = Decoded(problem="this file takes too much memory to be decoded", code="invalid_media")
    taken.write(msgspec.json.encode(answer) + b"\n")
    taken.writelines(parts)
    taken.flush()


def _bound_memory(task: Task) -> None:
    """What is asked for on top of this is not there."""
    most = MEMORY_BYTES + 2 * task.size + 3 * round(task.most_s * RATE) * SAMPLE_BYTES
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _give_back() -> None:
    """Give the system what is free: the C library keeps hundreds of megabytes of small pieces."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _contain() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    av.logging.set_level(av.logging.PANIC)


if __name__ == "__main__":
    _contain()
    serve(sys.stdin.buffer, sys.stdout.buffer)
