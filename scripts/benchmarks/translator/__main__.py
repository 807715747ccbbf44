"""What a translation costs, on the real shape of NLLB-200 600M with random weights and fixed output lengths.

    python -m scripts.benchmarks.translator --models ./bench-models           # 2.5 GB and 0.6 GB, made once
    python -m scripts.benchmarks.translator --models ./bench-models --quick   # one round of short sentences
    python -m scripts.benchmarks.translator --models ./bench-models --json bench.json

All systems take turns within one run; medians are reported, for greedy search (beam 1) and for the service's beam 4.
Figures are CPU-seconds of this process, which say the same on a busy machine. Random weights have no sentence end,
so every translation is as long as its source: that compares engines and batching, and says nothing of quality. The
target of each line is in its name. The service searches the tokens of its `--scripts` alone, here those of the five
languages; what share of the published vocabulary they are is an assumption (see random_nllb.py), so that the lines
with the whole vocabulary stand beside.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from scripts.benchmarks.common.cli import new_file, positive, run
from scripts.benchmarks.common.report import Report
from scripts.benchmarks.models.random_nllb import SHAPES, write
from scripts.benchmarks.translator.fixed_length import FixedLength
from scripts.demo.world.scenes import COLOURS
from scripts.demo.world.translations import LANGUAGES
from translator.batcher import Batcher
from translator.checks.checks import find_issues
from translator.languages import Languages
from translator.model.job import MAX_SOURCE_TOKENS, Job, Translation
from translator.text.scripts import script_of
from translator.text_translator import Answer, TextTranslator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BEAMS = (1, 4)
SOURCE, TARGET = "eng_Latn", "fra_Latn"
PADDING = 1


class AnyBeams(FixedLength):
    """The engine, with translations of fixed length, which nothing takes for cut."""

    def use_beams(self, beams: int) -> None:
        """Decode with so many beams from now on."""
        self._beam_size = beams

    def translate(self, jobs: Sequence[Job]) -> list[Translation]:
        """As the engine does, without the issue that there is no end."""
        return [replace(result, issues=()) for result in super().translate(jobs)]


class Reference:
    """transformers, float32, the same beam search."""

    def __init__(self, folder: Path, threads: int) -> None:
        import torch  # noqa: PLC0415 - here and below: seconds, which a wrong argument is told without
        from transformers import AutoModelForSeq2SeqLM  # noqa: PLC0415
        from transformers.utils import logging  # noqa: PLC0415

        torch.set_num_threads(threads)
        logging.disable_progress_bar()
        self._model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()

    def translate(self, lengths: Sequence[int], beams: int) -> None:
        """A batch of sentences of random tokens, padded as its tokenizer does."""
        import torch  # noqa: PLC0415

        tokens = max(lengths)
        mask = torch.tensor([[1] * (length + 2) + [0] * (tokens - length) for length in lengths])
        ids = torch.where(mask > 0, torch.randint(20, 600, mask.shape), PADDING)
        with torch.inference_mode():
            out = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                forced_bos_token_id=10,
                num_beams=beams,
                do_sample=False,
                min_new_tokens=tokens,
                max_new_tokens=tokens,
                max_length=None,
            )
        assert out.shape[1] >= tokens


class Bench:
    """All systems, on one loaded model."""

    def __init__(self, converted: Path, *, threads: int, tokens: int, seed: int) -> None:
        scripts = sorted({script_of(language) for language in LANGUAGES})
        self.engine = AnyBeams(converted, device="cpu", threads=threads, scripts=scripts)
        self.tokens = tokens
        self._rng = random.Random(seed)
        self._languages = Languages(self.engine.vocabulary)

    def sentence(self) -> str:
        """A new sentence of about `tokens` tokens."""
        words: list[str] = []
        while len(self.engine.tokenize(" ".join(words))) < self.tokens:
            words.append(self._rng.choice(list(COLOURS)))
        return " ".join(words) + "."

    def job(self, text: str, target: str = TARGET) -> Job:
        """A sentence for the engine itself."""
        return self.engine.job(text, SOURCE, target)

    def one_batch(self, rows: int) -> None:
        """One call of the engine, without queue or service."""
        self.engine.translate([self.job(self.sentence()) for _ in range(rows)])

    def lengths(self, rows: int) -> list[int]:
        """Tokens of sentences as unlike as those of a caption: 20 to 30 where `tokens` is 24."""
        longest = self.tokens + 6
        return [longest, *(self._rng.randint(self.tokens - 4, longest) for _ in range(rows - 1))]

    def mixed_batch(self, rows: int, *, whole: bool) -> None:
        """One call of the engine with sentences of `lengths`, searching the whole vocabulary or a part."""
        text = self.caption(2)
        tokens = self.engine.tokenize(text)
        jobs = [self.engine.job(text, SOURCE, TARGET, tokens[:length]) for length in self.lengths(rows)]
        self.engine.translate([replace(job, whole=whole) for job in jobs])

    def requests(self, texts: Sequence[Sequence[str]], targets: Sequence[str] = (TARGET,)) -> list[Answer]:
        """Requests through the service, all at once."""

        async def ask() -> list[Answer]:
            batcher = Batcher(self.engine.translate, batch_tokens=self.engine.batch_tokens)
            translator = TextTranslator(self.engine, batcher)
            batcher.start()
            source, wanted = self._languages.find(SOURCE), [self._languages.find(code) for code in targets]
            asked = [translator.translate(each, [source] * len(each), wanted) for each in texts]
            answers = await asyncio.gather(*asked)
            await batcher.close()
            return answers

        return asyncio.run(ask())

    def caption(self, sentences: int) -> str:
        """A text of so many new sentences."""
        return " ".join(self.sentence().capitalize() for _ in range(sentences))

    def checks(self, rows: int) -> None:
        """The quality checks alone, on so many sentences and texts as long as they are."""
        for _ in range(rows):
            find_issues(f"{self.sentence()} 12", f"{self.sentence()} 12", (SOURCE, TARGET))

    def unsplit(self, sentences: int) -> None:
        """A caption as one source, and the whole vocabulary, which no service should do."""
        caption = self.caption(sentences)
        tokens = self.engine.tokenize(caption)[: sentences * self.tokens]
        self.engine.translate([_Long(caption, SOURCE, TARGET, tokens)])


class _Long(Job):
    """A text longer than the service would give the model."""

    __slots__ = ()

    @property
    def length_class(self) -> int:
        return MAX_SOURCE_TOKENS


def cpu_s(call: Callable[[], object]) -> float:
    """CPU-seconds that a call costs this process."""
    before = os.times()
    call()
    after = os.times()
    return after.user - before.user + after.system - before.system


def models(folder: Path, shape: str, console: Console) -> tuple[Path, Path]:
    """The checkpoint and its conversion, made if they are not there."""
    checkpoint, converted = folder / f"random-{shape}", folder / f"random-{shape}-int8"
    if not (checkpoint / "config.json").exists():
        console.print(f"writing {checkpoint}", style="dim")
        write(checkpoint, SHAPES[shape])
    if not converted.exists():
        console.print(f"converting it to {converted}", style="dim")
        subprocess.run([sys.executable, "-m", "translator.model.convert", checkpoint, converted], check=True)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        console.print(f"the conversion's peak memory: {peak:.2f} GB", style="dim")
    return checkpoint, converted


def measure(bench: Bench, reference: Reference | None, runs: int, console: Console) -> dict[str, list[float]]:
    """CPU-seconds of every system, once each run."""
    systems: dict[str, Callable[[], object]] = {
        "batch": lambda: bench.one_batch(32),
        "mixed batch": lambda: bench.mixed_batch(32, whole=False),
        "mixed batch, whole": lambda: bench.mixed_batch(32, whole=True),
        "checks": lambda: bench.checks(32),
        "singles": lambda: bench.requests([[bench.sentence()] for _ in range(32)]),
        "one language": lambda: bench.requests([[bench.caption(12)]]),
        "five languages": lambda: bench.requests([[bench.caption(12)]], list(LANGUAGES)),
        "unsplit": lambda: bench.unsplit(12),
    }
    spent_s: dict[str, list[float]] = defaultdict(list)
    bench.one_batch(32)
    if reference:
        reference.translate(bench.lengths(2), 1)
    for number in range(1, runs + 1):
        for beams in BEAMS:
            bench.engine.use_beams(beams)
            if reference:
                systems["reference"] = partial(reference.translate, bench.lengths(32), beams)
            for name, call in systems.items():
                spent = cpu_s(call)
                spent_s[f"{name} {beams}"].append(spent)
                console.print(f"run {number} of {runs}, beam {beams}: {name} {spent:.2f} s", style="dim")
    return spent_s


def report_on(spent_s: dict[str, list[float]], tokens: int, title: str) -> Report:
    """Add the benchmark's figures to the report."""
    report = Report(title, "ctranslate2", "torch", "transformers")
    for n in BEAMS:
        theirs = [32 * (tokens + 6) / each for each in spent_s[f"reference {n}"]]
        for part, system in (("", "mixed batch"), (", whole vocabulary", "mixed batch, whole")):
            ours = [32 * (tokens + 6) / each for each in spent_s[f"{system} {n}"]]
            beside = "; transformers fp32 (>= 4x)" if theirs else ""
            name = f"beam {n}: int8, batch of 32{part}{beside}"
            report.add(name, "tokens/CPU-s", ours, theirs, more_is_better=True)
        for name, system, baseline in (
            ("32 requests at once; one batch of 32 (>= 0.71x)", "singles", "batch"),
            ("quality checks of 32 sentences; one batch of 32 (>= 33x)", "checks", "batch"),
            ("12 sentences in 5 languages; in one (>= 0.28x)", "five languages", "one language"),
            ("caption of 12 sentences; unsplit (>= 5x)", "one language", "unsplit"),
        ):
            report.add(f"beam {n}: {name}", "CPU-s", spent_s[f"{system} {n}"], spent_s[f"{baseline} {n}"])
    return report


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder to keep the models in (default: a temporary one)")
    parser.add_argument("--shape", choices=SHAPES, default="600M", help="(default: 600M)")
    parser.add_argument("--runs", type=positive, help="rounds to take medians of (default: 3, quick: 1)")
    parser.add_argument("--tokens", type=positive, help="of a sentence and its translation (default: 24, quick: 8)")
    parser.add_argument("--threads", type=positive, default=os.cpu_count(), help="(default: one a core)")
    parser.add_argument("--no-reference", action="store_true", help="without transformers, which takes longest")
    parser.add_argument("--quick", action="store_true", help="one round, sentences of 8 tokens")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures there")
    args = parser.parse_args()
    args.runs = args.runs or (1 if args.quick else 3)
    args.tokens = args.tokens or (8 if args.quick else 24)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        checkpoint, converted = models(args.models or Path(scratch), args.shape, console)
        bench = Bench(converted, threads=args.threads, tokens=args.tokens, seed=5)
        reference = None if args.no_reference else Reference(checkpoint, args.threads)
        spent_s = measure(bench, reference, args.runs, console)
    title = f"Translation, NLLB-200 {args.shape} shape, {args.tokens} tokens a sentence"
    report_on(spent_s, args.tokens, title).show(args.json, console)


if __name__ == "__main__":
    run(main)
