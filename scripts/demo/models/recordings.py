"""What the demo speech model learns from: windows of sound with lines in them, and what is to be said of each."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from scripts.demo.models.speech import (
    ENGLISH,
    NO_TIMES,
    POSITIONS,
    PREVIOUS,
    START,
    TRANSCRIBE,
    TRANSLATE,
    WINDOW_S,
    time_token,
)
from scripts.demo.sample_ads import tune
from scripts.demo.voices import RATE, random_voice, say
from scripts.demo.world.lines import Line, random_line

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import WhisperProcessor

NOTHING = 0.06
"""Share of windows in which nobody speaks."""
PROMPTED = 0.1
"""Share of answers before which two other lines stand, as the prompt of a request does."""
LETTERS = "abcdefghijklmnopqrstuvwxyz "
"""What the encoder spells beside; 0 is the blank between two of them."""
LATE_S = 0.1
"""A line that begins so late or later has its beginning told."""
IGNORED = -100


@dataclass(frozen=True)
class Recording:
    """A window of sound and all that is said in it."""

    samples: NDArray[np.float32]
    """[RATE x seconds]"""
    lines: tuple[Line, ...]
    begin: int = 0
    """The position in a whole window at which it begins."""

    @property
    def begin_s(self) -> float:
        """The same in seconds."""
        return self.begin / POSITIONS


@dataclass(frozen=True)
class Batch:
    """Recordings of one length as the model takes them; two rows of tokens a recording, with times and without."""

    spectrogram: torch.Tensor
    """float32 [recordings, 80, steps]"""
    begins: torch.Tensor
    """int64 [recordings]: `Recording.begin`"""
    tokens: torch.Tensor
    """int64 [2 x recordings, longest], the rows with times first"""
    labels: torch.Tensor
    """int64, of the same shape: the token after each, -100 where none is to be learned"""
    letters: list[list[int]]
    """What the encoder is to spell."""


class Studio:
    """Draws recordings: said once, then mixed anew each time."""

    def __init__(self, processor: WhisperProcessor, seed: int, *, takes: int, held_out: bool = False) -> None:
        """`takes` lines are said in advance, of those that training leaves out if `held_out`."""
        self.rng = random.Random(f"studio {seed}")
        self.noise = np.random.default_rng(self.rng.getrandbits(32))
        self.tokenizer = processor.tokenizer
        self.features = processor.feature_extractor
        lines = [random_line(self.rng, held_out=held_out) for _ in range(takes)]
        self.takes = [(say(line, random_voice(self.rng)), line) for line in lines]

    def recording(self, length_s: float, most: int) -> Recording:
        """A window with up to `most` lines, noise and a tune behind them now and then."""
        rng = self.rng
        length = int(length_s * RATE)
        samples = np.zeros(length, np.float32)
        begin = rng.randrange(int((WINDOW_S - length_s) * POSITIONS) + 1) if rng.random() < 0.7 else 0
        begin_s = begin / POSITIONS
        lines: list[Line] = []
        at = 0 if rng.random() < 0.15 else int(rng.uniform(0, 0.9) * RATE)
        for _ in range(0 if rng.random() < NOTHING else rng.randint(1, most)):
            said, text = rng.choice(self.takes)
            if at + len(said) > length:
                break
            samples[at : at + len(said)] += said / np.abs(said).max() * rng.uniform(0.6, 1)
            lines.append(Line(text, begin_s + at / RATE, begin_s + (at + len(said)) / RATE))
            at += len(said) + int(rng.uniform(0.25, 1.2) * RATE)
        heard = min(length, at + int(rng.uniform(0, 0.5) * RATE)) if rng.random() < 0.5 else length
        samples[:heard] += self._behind(heard)
        samples *= rng.choice((0.1, 0.3, 0.5, 0.9))
        return Recording(samples, tuple(lines), begin)

    def _behind(self, length: int) -> NDArray[np.float32]:
        """What is heard behind the lines, whose peak is about 1."""
        behind = np.zeros(length, np.float32)
        if self.rng.random() < 0.6:
            behind += self.noise.normal(0, 10 ** self.rng.uniform(-3.5, -1.6), length).astype(np.float32)
        if self.rng.random() < 0.3:
            notes = tune(length / RATE + 0.1, self.rng, RATE)[0, :length]
            behind += notes * np.float32(10 ** self.rng.uniform(-1.5, -0.3))
        return behind

    def batch(self, size: int, length_s: float, most: int) -> Batch:
        """New recordings of one length."""
        return self.batch_of([self.recording(length_s, most) for _ in range(size)])

    def batch_of(self, recordings: list[Recording]) -> Batch:
        """Recordings of one length as the model takes them."""
        spectrogram = self.features._torch_extract_fbank_features(np.stack([each.samples for each in recordings]))  # noqa: SLF001  # of windows of any length
        rows = [self.row(each, times=times) for times in (True, False) for each in recordings]
        longest = max(len(tokens) for tokens, _ in rows)
        pad = self.tokenizer.pad_token_id
        return Batch(
            spectrogram=torch.from_numpy(spectrogram),
            begins=torch.tensor([each.begin for each in recordings]),
            tokens=torch.tensor([tokens + [pad] * (longest - len(tokens)) for tokens, _ in rows]),
            labels=torch.tensor([labels + [IGNORED] * (longest - len(labels)) for _, labels in rows]),
            letters=[spelled(" ".join(line.text for line in each.lines)) for each in recordings],
        )

    def row(self, recording: Recording, *, times: bool) -> tuple[list[int], list[int]]:
        """Tokens that the decoder is given, and what it is to answer to each.

        The language is asked for; the rest of the prompt is given, with times the moment 0.00 too, as vLLM gives it.
        """
        task = self.rng.choice((TRANSCRIBE, TRANSLATE))  # all is English
        prompt = [START, ENGLISH, task, "<|0.00|>" if times else NO_TIMES]
        given: list[int] = self.tokenizer.convert_tokens_to_ids(prompt)
        if self.rng.random() < PROMPTED:
            before = [self.tokenizer.encode(f" {random_line(self.rng)}", add_special_tokens=False) for _ in range(2)]
            given = [self.tokenizer.convert_tokens_to_ids(PREVIOUS), *before[0], *before[1], *given]
        said: list[int] = []
        for number, line in enumerate(recording.lines):
            words = self.tokenizer.encode(f" {line.text}", add_special_tokens=False)
            if times and (number or line.start >= LATE_S):
                said.append(time_token(self.tokenizer, line.start))
            said += words
            if times:
                said.append(time_token(self.tokenizer, line.end))
        said.append(self.tokenizer.eos_token_id)
        tokens = given + said[:-1]
        labels = [*[IGNORED] * (len(given) - 4), given[-3], IGNORED, IGNORED, *said]
        return tokens, labels


def spelled(text: str) -> list[int]:
    """The letters of a text as numbers from 1."""
    return [LETTERS.index(letter) + 1 for letter in text.lower() if letter in LETTERS]
