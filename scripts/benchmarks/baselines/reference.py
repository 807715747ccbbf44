"""The published sequential way: one file after the other, with transformers.

    python -m scripts.benchmarks.baselines.reference                          # new drawn files, the mid-sized models
    python -m scripts.benchmarks.baselines.reference --models ./bench-models --json reference.json
    python -m scripts.benchmarks.baselines.reference --files ./ads --tokens 64 --languages fra_Latn

For each file, on all cores: decode the video, every frame up to the last, and take eight at full size as RGB arrays, as
LLaVA-NeXT-Video's model card does (or open the picture); `generate` an answer, greedily; translate it as a whole
into each language with NLLB-200's `generate`, greedily too; at the end, write all as JSON. Starting and loading models
do not count. Answers have a fixed number of tokens and translations as many as their source: random weights never end.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoProcessor,
    AutoTokenizer,
    LlavaNextVideoForConditionalGeneration,
    MllamaForConditionalGeneration,
)
from transformers.utils import logging as transformers_logging

from client.media.kinds import Kind, by_suffix
from client.media.sampling import FRAMES
from client.tasks.prompt import read_prompt
from client.tasks.tasks import BUILT_IN
from scripts.benchmarks.common.cli import new_file, positive, run
from scripts.benchmarks.common.files import draw_pictures, draw_videos
from scripts.benchmarks.common.report import Report
from scripts.benchmarks.models.mid_sized import PICTURE, TOKENS, TRANSLATION, VIDEO, ensure
from server.sizing.arithmetic import cpu_dtype

if TYPE_CHECKING:
    from collections.abc import Iterable

LANGUAGES = ("spa_Latn", "fra_Latn", "hin_Deva")
SOURCE = "eng_Latn"
# By name: where our vLLM plugin is registered, transformers' "auto" classes read its configuration, which is vLLM's.
_MODELS = {Kind.VIDEO: LlavaNextVideoForConditionalGeneration, Kind.IMAGE: MllamaForConditionalGeneration}


@dataclass(frozen=True)
class Timing:
    """Seconds that a file took, by step, and the tokens that were generated and translated."""

    decode: float
    generate: float
    translate: float
    generated_tokens: int
    translated_tokens: int

    @property
    def total_s(self) -> float:
        """Seconds for one file: loading, asking and translating."""
        return self.decode + self.generate + self.translate


class Reference:
    """The models of one kind of file, loaded."""

    def __init__(
        self, vision: Path, translation: Path, kind: Kind, *, tokens: int, languages: Iterable[str], beams: int = 1
    ) -> None:
        """Load.

        Args:
            vision: checkpoint of the model that looks at files of that kind, in bfloat16 (float32 where the CPU only
                emulates that, as the engines do there).
            translation: checkpoint of NLLB-200; it computes in float32, as it is published.
            kind: of the files.
            tokens: of every answer.
            languages: FLORES codes to translate into.
            beams: of the translations; 1 is greedy.

        Raises:
            ValueError: a language is unknown.
        """
        transformers_logging.disable_progress_bar()
        self._kind, self._tokens, self._languages, self._beams = kind, tokens, list(languages), beams
        self._prompt = read_prompt(BUILT_IN / "describe" / f"{kind}.md").text
        self._processor = AutoProcessor.from_pretrained(vision)
        self._model = _MODELS[kind].from_pretrained(vision, dtype=cpu_dtype("bfloat16")).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(translation, src_lang=SOURCE)
        if unknown := [code for code in self._languages if code not in self._tokenizer.get_vocab()]:
            raise ValueError(f"--languages {','.join(unknown)}: the translation model does not know them")
        self._translator = AutoModelForSeq2SeqLM.from_pretrained(translation, dtype=torch.float32).eval()
        self.records: list[dict[str, Any]] = []

    @torch.inference_mode()
    def describe(self, path: Path) -> Timing:
        """One file, from the disk to its translations."""
        began = time.perf_counter()
        media = read_video(path, FRAMES) if self._kind is Kind.VIDEO else _read_picture(path)
        decoded = time.perf_counter()
        text = self._generate(media)
        generated = time.perf_counter()
        translations, translated_tokens = {}, 0
        for language in self._languages:
            translations[language], tokens = self._translate(text, language)
            translated_tokens += tokens
        self.records.append({"file": path.name, "text": text, "translations": translations})
        done = time.perf_counter()
        steps = (decoded - began, generated - decoded, done - generated)
        return Timing(*steps, generated_tokens=self._tokens, translated_tokens=translated_tokens)

    def write(self, path: Path) -> None:
        """All records, at the end, as the published way does."""
        path.write_text(json.dumps(self.records, indent=2, ensure_ascii=False))

    def _generate(self, media: Any) -> str:
        content = [{"type": str(self._kind)}, {"type": "text", "text": self._prompt}]
        prompt = self._processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        given = {"videos": [list(media)]} if self._kind is Kind.VIDEO else {"images": media}
        inputs = self._processor(text=prompt, **given, add_special_tokens=False, return_tensors="pt")
        out = self._model.generate(
            **inputs.to(self._model.dtype),
            min_new_tokens=self._tokens,
            max_new_tokens=self._tokens,
            do_sample=False,
        )
        said = out[0, inputs["input_ids"].shape[1] :]
        assert len(said) == self._tokens
        text: str = self._processor.decode(said, skip_special_tokens=True)
        return text.strip()

    def _translate(self, text: str, language: str) -> tuple[str, int]:
        inputs = self._tokenizer(text, return_tensors="pt")
        tokens = inputs["input_ids"].shape[1] - 2  # without language and end
        out = self._translator.generate(
            **inputs,
            forced_bos_token_id=self._tokenizer.convert_tokens_to_ids(language),
            num_beams=self._beams,
            do_sample=False,
            min_new_tokens=tokens,
            max_new_tokens=tokens,
            max_length=None,
        )
        return self._tokenizer.decode(out[0], skip_special_tokens=True), tokens


def read_video(path: Path, wanted: int) -> np.ndarray:
    """RGB frames of full size, uint8 [frames, height, width, 3], as in LLaVA-NeXT-Video's model card."""
    with av.open(str(path)) as container:
        total = container.streams.video[0].frames
        indices = set(np.arange(0, total, total / wanted).astype(int).tolist())
        frames = []
        for number, frame in enumerate(container.decode(video=0)):
            if number > max(indices):
                break
            if number in indices:
                frames.append(frame)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in frames])


def _read_picture(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def load(folder: Path, kind: Kind, *, tokens: int, languages: Iterable[str], beams: int) -> Reference:
    """The reference on the mid-sized models, which are written to `folder` if they are not there."""
    vision = ensure(folder, VIDEO if kind is Kind.VIDEO else PICTURE)
    return Reference(vision, ensure(folder, TRANSLATION), kind, tokens=tokens, languages=languages, beams=beams)


def report_on(report: Report, kind: Kind, timings: list[Timing]) -> None:
    """Seconds a file, in all and by step."""
    for step in ("total_s", "decode", "generate", "translate"):
        name = "in all" if step == "total_s" else step
        report.add(f"a {_WORD[kind]}: {name}", "s", [getattr(timing, step) for timing in timings])


_WORD = {Kind.VIDEO: "video", Kind.IMAGE: "picture"}
_DRAW = {Kind.VIDEO: draw_videos, Kind.IMAGE: draw_pictures}


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder to keep the models in (default: temporary)")
    parser.add_argument("--files", type=Path, metavar="DIR", help="pictures and videos (default: new drawn ones)")
    parser.add_argument("--count", type=positive, help="files of each kind to draw (default: 4, quick: 1)")
    parser.add_argument("--tokens", type=positive, help=f"of an answer (default: {TOKENS}, quick: 24)")
    parser.add_argument("--languages", default=",".join(LANGUAGES), help="FLORES codes (default: three)")
    parser.add_argument("--beams", type=positive, default=1, help="of the translations (default: 1, greedy)")
    parser.add_argument("--threads", type=positive, default=os.cpu_count(), help="of PyTorch (default: one a core)")
    parser.add_argument("--quick", action="store_true", help="one file of each kind, 24 tokens")
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures there")
    args = parser.parse_args()
    if args.files and not args.files.is_dir():
        parser.error(f"--files: no such folder: {args.files}")
    args.count = args.count or (1 if args.quick else 4)
    args.tokens = args.tokens or (24 if args.quick else TOKENS)
    torch.set_num_threads(args.threads)
    languages = [code for code in args.languages.split(",") if code]
    report = Report("The published sequential way", "torch", "transformers", "av")
    report.notes.append(f"{args.tokens} tokens an answer, translated into {len(languages)} languages, a file at a time")
    with tempfile.TemporaryDirectory(prefix="bench-reference-") as scratch:
        for kind, draw in _DRAW.items():
            folder = args.files or Path(scratch) / str(kind)
            if not args.files:
                folder.mkdir()
                draw(folder, args.count, seed=1)
            paths = [path for path in sorted(folder.iterdir()) if by_suffix(path.suffix) is kind]
            if not paths:
                continue
            models = args.models or Path(scratch)
            try:
                reference = load(models, kind, tokens=args.tokens, languages=languages, beams=args.beams)
            except ValueError as error:
                print(error, file=sys.stderr)
                return 1
            reference.describe(paths[0])  # the first is slow: libraries make their plans
            reference.records.clear()
            timings = [reference.describe(path) for path in paths]
            reference.write(Path(scratch) / f"{kind}.json")
            report_on(report, kind, timings)
            Console(stderr=True).print([asdict(timing) for timing in timings], style="dim")
    if not report.figures:
        print(f"--files {args.files}: no pictures or videos", file=sys.stderr)
        return 1
    report.show(args.json)
    return 0


if __name__ == "__main__":
    run(main)
