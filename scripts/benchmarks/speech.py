"""What is heard right of long recordings: the client, which cuts at pauses, beside vLLM, which cuts whole files itself.

    python -m scripts.benchmarks.speech                                 12 recordings, at a demo stack of its own
    python -m scripts.benchmarks.speech --recordings 40 --seconds 60 --seed 3
    python -m scripts.benchmarks.speech --base-url http://127.0.0.1:8000/v1

Recordings are of the demo's voices: lines that its speech model was not taught, pauses of 0.3 to 1.2 s, soft noise.
Both ask the same model through the same gateway: the client in its pieces, and one request with each whole file.
Word error rates are jiwer's, without case and punctuation. The exit code is 1 if the client's is the worse one.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import jiwer
import numpy as np
from rich.console import Console
from rich.table import Table

from client.media.sound import wav
from scripts.benchmarks.common.cli import positive, run
from scripts.demo.stack import Stack, StackError, read_results, run_batch, running_stack
from scripts.demo.voices import RATE, random_voice, say
from scripts.demo.world.lines import random_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MODEL = "whisper-large-v3-turbo"
NOBODY = "http://127.0.0.1:9"
"""In the place of a translator, which is not asked."""
PORTS = ("--port", "0", "--translator-port", "0")
DEADLINE_S = 600
NOISE = 0.002
AS_WORDS = jiwer.Compose(
    [
        jiwer.ToLowerCase(),
        jiwer.RemovePunctuation(),  # type: ignore[no-untyped-call]  # jiwer leaves it without types
        jiwer.RemoveMultipleSpaces(),
        jiwer.Strip(),
        jiwer.ReduceToListOfListOfWords(),
    ]
)


@dataclass(frozen=True)
class Heard:
    """What one way heard: file name -> text, and the wall time of all."""

    texts: Mapping[str, str]
    took_s: float


def record(folder: Path, seed: int, count: int, length_s: float) -> dict[str, str]:
    """Write recordings of at least `length_s` seconds each; gives what is said in each."""
    rng, noise = random.Random(f"recordings {seed}"), np.random.default_rng(seed)
    said: dict[str, str] = {}
    for number in range(count):
        parts, lines, length = [np.zeros(RATE // 2, np.float32)], [], 0
        while length < length_s * RATE:
            lines.append(random_line(rng, held_out=True))
            speech = say(lines[-1], random_voice(rng))
            pause = np.zeros(int(rng.uniform(0.3, 1.2) * RATE), np.float32)
            parts += [speech / np.abs(speech).max() * np.float32(0.6), pause]
            length += len(speech) + len(pause)
        samples = np.concatenate(parts)
        samples += noise.normal(0, NOISE, len(samples)).astype(np.float32)
        name = f"{number + 1:03d}.wav"
        (folder / name).write_bytes(wav(samples))
        said[name] = " ".join(lines)
    return said


def in_pieces(stack: Stack, folder: Path, output: Path) -> Heard:
    """As the client does it: decoded, cut at pauses, asked about piece by piece."""
    began = time.monotonic()
    options = ["--tasks", "transcript", "--languages", "", "--ask-once", "--quiet"]
    if run_batch(stack, folder, "--output", output, *options):
        raise SystemExit("the client failed")
    took_s = time.monotonic() - began
    texts = {
        Path(record["file"]).name: " ".join(part["text"] for part in record["tasks"]["transcript"]["segments"])
        for record in read_results(output)
    }
    return Heard(texts, took_s)


async def as_wholes(stack: Stack, folder: Path, names: Sequence[str]) -> Heard:
    """A request with each file: vLLM cuts it where the end of a window is quietest."""
    began = time.monotonic()
    texts: dict[str, str] = {}

    async def ask(http: aiohttp.ClientSession, name: str) -> None:
        form = aiohttp.FormData({"model": MODEL, "response_format": "json", "temperature": "0"})
        form.add_field("file", (folder / name).read_bytes(), filename=name)
        async with http.post(f"{stack.endpoint}/audio/transcriptions", data=form) as answer:
            answer.raise_for_status()
            texts[name] = (await answer.json())["text"]

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(DEADLINE_S)) as http:
        await asyncio.gather(*(ask(http, name) for name in names))
    return Heard(texts, time.monotonic() - began)


def errors(said: Mapping[str, str], heard: Heard) -> jiwer.WordOutput:
    """Word errors over all recordings."""
    return jiwer.process_words(
        list(said.values()),
        [heard.texts.get(name, "") for name in said],
        reference_transform=AS_WORDS,
        hypothesis_transform=AS_WORDS,
    )


def show(said: Mapping[str, str], ways: Mapping[str, Heard]) -> dict[str, float]:
    """Print a line for each way; gives their word error rates."""
    words = sum(len(text.split()) for text in said.values())
    table = Table(
        "", "word error rate", "wrong", "left out", "added", "wall s", title=f"{len(said)} recordings, {words} words"
    )
    rates = {}
    for name, heard in ways.items():
        found = errors(said, heard)
        rates[name] = found.wer
        counts = (found.substitutions, found.deletions, found.insertions)
        table.add_row(name, f"{found.wer:.2%}", *map(str, counts), f"{heard.took_s:.1f}")
    Console().print(table)
    return rates


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--recordings", type=positive, default=12, metavar="N")
    parser.add_argument("--seconds", type=positive, default=40, metavar="S", help="length of each, at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--base-url", metavar="URL", help="a demo stack that runs; without it one is started")
    args = parser.parse_args()
    given = Stack(args.base_url.rstrip("/"), NOBODY, 0) if args.base_url else None
    try:
        with (
            tempfile.TemporaryDirectory(prefix="babelview-speech-") as scratch,
            nullcontext(given) if given else running_stack(*PORTS) as stack,
        ):
            folder = Path(scratch) / "recordings"
            folder.mkdir()
            said = record(folder, args.seed, args.recordings, args.seconds)
            wholes = asyncio.run(as_wholes(stack, folder, list(said)))
            pieces = in_pieces(stack, folder, Path(scratch) / "captions")
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    rates = show(said, {"the client's pieces": pieces, "vLLM's windows": wholes})
    ours, beside = rates.values()
    return int(ours > beside)


if __name__ == "__main__":
    run(main)
