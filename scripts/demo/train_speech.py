"""Train the demo speech model: a tiny Whisper that knows the lines of the drawn world.

    python -m scripts.demo.train_speech
    python -m scripts.demo.train_speech --minutes 7 --state /tmp/speech.pt   # in pieces: goes on where it stopped

Short windows with one line first, whole ones with several at last; all in float32. What it is graded by are lines that
it has not been taught. The committed one was trained so on a busy machine, in some ten pieces.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from scripts.demo.models import speech
from scripts.demo.models.recordings import IGNORED, LETTERS, Studio
from scripts.demo.models.training import Piece, optimizers

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    from scripts.demo.models.recordings import Batch

OUT = Path(__file__).resolve().parents[2] / "server" / "demo" / "whisper-large-v3-turbo"
STEPS = 2900
LEARNING_RATE = 4e-3
WARMUP = 100
SPELLING = 0.3
"""Weight of what the encoder spells by itself (CTC): it learns to hear several times as fast."""
TAKES = 4000
REQUIRED = 0.95
"""Of windows with one new line, cut at silence: text and times right."""
CLOSE_S = 0.3
REPORT_EVERY = 50


@dataclass(frozen=True)
class Stage:
    """What is heard for a part of the training."""

    until: float
    """Share of the steps at which it ends."""
    length_s: float
    lines: int
    batch: int


STAGES = (Stage(0.52, 2.8, 1, 10), Stage(0.67, 6.4, 2, 8), Stage(1.0, speech.WINDOW_S, 3, 10))


class Lessons:
    """A model on its way, with all that is needed to go on later."""

    def __init__(self, processor: WhisperProcessor, seed: int, steps: int, piece: Piece | None = None) -> None:
        """`piece`: what it goes on from, and is kept in."""
        torch.manual_seed(seed)
        self.processor = processor
        self.model = speech.build_model(processor)
        self.speller = torch.nn.Linear(self.model.config.d_model, len(LETTERS) + 1)
        self.all = torch.nn.ModuleList((self.model, self.speller))
        self.optimizers = optimizers(self.all, LEARNING_RATE)
        self.steps = steps
        self._piece = piece
        self.step = piece.load(self.all, self.optimizers) if piece else 0
        self.seed = seed

    def rate(self) -> float:
        """The learning rate of this step: a warm-up, then flat, then down to nothing in the last quarter."""
        left = (self.steps - self.step) / (self.steps * 0.25)
        return LEARNING_RATE * min(1.0, (self.step + 1) / WARMUP, max(left, 0.01))

    def learn(self, say: Callable[[str], None]) -> None:
        """Take lessons until the end, or as long as the piece is."""
        studio = Studio(self.processor, self.seed * 1000 + self.step, takes=TAKES)
        self.model.train()
        began = time.monotonic()
        seen: list[tuple[float, float, float]] = []
        until = began + self._piece.length_s if self._piece else math.inf
        while self.step < self.steps and time.monotonic() < until:
            stage = next(stage for stage in STAGES if self.step < stage.until * self.steps)
            for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
                group["lr"] = self.rate()
            seen.append(self._learn_from(studio.batch(stage.batch, stage.length_s, stage.lines)))
            self.step += 1
            if self.step % REPORT_EVERY == 0:
                loss, spelling, exact = (sum(column) / len(seen) for column in zip(*seen, strict=True))
                spent = time.monotonic() - began
                say(
                    f"step {self.step}/{self.steps}  loss {loss:.3f}  spelling {spelling:.2f}  "
                    f"exact {exact:.1%}  {spent:.0f} s"
                )
                seen.clear()
        if self._piece:
            self._piece.save(self.all, self.optimizers, self.step)
        self.model.eval()

    def _learn_from(self, batch: Batch) -> tuple[float, float, float]:
        heard = speech.hear(self.model, batch.spectrogram, batch.begins)
        loss, exact = answers(self.model, heard, batch)
        spelling = self._spelling(heard, batch.letters)
        self.all.zero_grad()
        (loss + SPELLING * spelling).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.all.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        return loss.item(), spelling.item(), exact.float().mean().item()

    def _spelling(self, heard: torch.Tensor, letters: list[list[int]]) -> torch.Tensor:
        rows = [number for number, each in enumerate(letters) if each]
        if not rows:
            return torch.zeros(())
        likely = self.speller(heard[rows]).log_softmax(-1).transpose(0, 1)
        targets = torch.tensor([letter for row in rows for letter in letters[row]])
        lengths = torch.tensor([len(letters[row]) for row in rows])
        positions = torch.full_like(lengths, likely.shape[0])
        return torch.nn.functional.ctc_loss(likely, targets, positions, lengths, zero_infinity=True)


def answers(
    model: WhisperForConditionalGeneration, heard: torch.Tensor, batch: Batch
) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean loss, and for each row of tokens whether the likeliest ones are those of the labels, bool [rows].

    Times, the last tokens of all, are right within `CLOSE_S`.
    """
    states = model.model.decoder(
        input_ids=batch.tokens, encoder_hidden_states=torch.cat((heard, heard)), use_cache=False
    ).last_hidden_state
    labelled = batch.labels != IGNORED
    logits = model.proj_out(states[labelled])
    loss = torch.nn.functional.cross_entropy(logits, batch.labels[labelled])
    likeliest, wanted = logits.detach().argmax(-1), batch.labels[labelled]
    first_time = model.config.vocab_size - speech.WINDOW_S * speech.TIMES - 1
    both_times = (likeliest >= first_time) & (wanted >= first_time)
    close = (likeliest - wanted).abs() <= CLOSE_S * speech.TIMES
    right = ~labelled
    right[labelled] = (likeliest == wanted) | (both_times & close)
    return loss, right.all(-1)


@torch.inference_mode()
def grade(
    model: WhisperForConditionalGeneration, processor: WhisperProcessor, *, lines: int, count: int = 160
) -> tuple[float, float]:
    """Shares of whole windows with lines that were never taught in which all is right: with times, and the text."""
    studio = Studio(processor, 77, takes=240, held_out=True)
    right = []
    for _ in range(count // 16):
        batch = studio.batch(16, speech.WINDOW_S, lines)
        heard = speech.hear(model, batch.spectrogram, batch.begins)
        right.append(answers(model, heard, batch)[1].view(2, -1))
    with_times, text = torch.cat(right, 1).float().mean(1).tolist()
    return with_times, text


def say_now(text: str) -> None:
    """One line of progress, at once."""
    print(text, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the model (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=2, help="threads of PyTorch (default: %(default)s)")
    parser.add_argument("--state", type=Path, help="file to stop with, and to go on from")
    parser.add_argument("--minutes", type=float, default=8.0, help="stop after so many, if there is a --state")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    processor = speech.build_processor()
    piece = Piece(args.state, args.minutes * 60) if args.state else None
    lessons = Lessons(processor, args.seed, args.steps, piece)
    lessons.learn(say_now)
    shares = []
    for lines in (1, 4):
        with_times, text = grade(lessons.model, processor, lines=lines)
        say_now(f"new lines, up to {lines} a window: all right {text:.1%}, with times {with_times:.1%}")
        shares.append(min(text, with_times))
    if lessons.step < args.steps:
        return 0
    speech.save(lessons.model, processor, args.out)
    return 0 if shares[0] >= REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main())
