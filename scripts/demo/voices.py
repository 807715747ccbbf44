"""Speech for the demo: eSpeak NG, which the wheel `espeakng-loader` brings, says a line as samples of 16 kHz.

Its own licence is GPL 3: it is a tool of training and tests, nothing of it is shipped.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import av
import espeakng_loader
import numpy as np

if TYPE_CHECKING:
    import random

    from numpy.typing import NDArray

RATE = 16_000
"""Samples a second, as Whisper hears them."""
VOICES = ("en-us", "en-us+f3")
"""Whom the demo's speech model knows: a man and a woman."""
SLOWEST, FASTEST = 140, 200
"""Words a minute."""
_SYNCHRONOUS, _UTF8, _WORDS_A_MINUTE, _PITCH = 2, 1, 1, 3
_QUIET = 0.01
"""Share of the peak: what is below it at both ends is no speech."""
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Voice:
    """Who speaks, and how."""

    name: str = VOICES[0]
    """As eSpeak NG names it: a language, and a variant after `+`."""
    words_a_minute: int = 170
    pitch: int = 50
    """0 to 99."""


def random_voice(rng: random.Random) -> Voice:
    """One of the voices, at some speed and pitch."""
    return Voice(rng.choice(VOICES), rng.randint(SLOWEST, FASTEST), rng.randint(42, 58))


class _Espeak:
    """The library, once a process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._heard = bytearray()
        self._callback = _Callback(self._hear)
        data = espeakng_loader.get_data_path().encode()
        self.rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data, 0)
        if self.rate <= 0:
            raise OSError(f"eSpeak NG does not start with the data in {data.decode()}")
        self._library.espeak_SetSynthCallback(self._callback)

    def _hear(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _: int | None) -> int:
        if samples and count > 0:
            self._heard += ctypes.string_at(samples, count * 2)
        return 0

    def say(self, text: str, voice: Voice) -> NDArray[np.int16]:
        """Samples at `rate`.

        Raises:
            ValueError: there is no such voice.
        """
        if self._library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise ValueError(f"eSpeak NG has no voice {voice.name!r}")
        self._library.espeak_SetParameter(_WORDS_A_MINUTE, voice.words_a_minute, 0)
        self._library.espeak_SetParameter(_PITCH, voice.pitch, 0)
        self._heard.clear()
        encoded = text.encode() + b"\0"
        self._library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded)), 0, 0, 0, _UTF8, None, None)
        return np.frombuffer(bytes(self._heard), np.int16)


_espeak = cache(_Espeak)


def say(text: str, voice: Voice = Voice(), rate: int = RATE) -> NDArray[np.float32]:  # it is frozen
    """A text as speech: float32 [samples] between -1 and 1, `rate` of them a second, with no silence at its ends.

    Raises:
        OSError: eSpeak NG does not start.
        ValueError: there is no such voice.
    """
    espeak = _espeak()
    frame = av.AudioFrame.from_ndarray(espeak.say(text, voice)[None], format="s16", layout="mono")
    frame.sample_rate = espeak.rate
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    parts = [part.to_ndarray()[0] for piece in (frame, None) for part in resampler.resample(piece)]
    samples: NDArray[np.float32] = np.concatenate(parts)
    loud = np.flatnonzero(np.abs(samples) > _QUIET * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1]
