"""Rebuild the demo models from nothing but their seeds, on a CPU.

    python -m scripts.demo.train                 # all of them
    python -m scripts.demo.train --only video --threads 2

They are tiny (a few MB) but of the real architectures, and know only the drawn world of `scripts/demo/world/`:

- `server/demo/llava-next-video-7b`: LLaVA-NeXT-Video, compressed-tensors FP8-dynamic, with the published weight names;
  beside it, in `llava-next-video-7b-bf16`, the bfloat16 weights that it was quantised from.
- `server/demo/llama-3.2-11b-vision`: Llama 3.2 Vision, likewise; the committed one went on after that, with
  `--only picture --resume --seed 2 --steps 300`.
- `server/demo/whisper-large-v3-turbo`: Whisper, in bfloat16; eSpeak NG says what it learns from.
- `translator/demo/nllb-drawn-world`: NLLB-200's architecture and tokenizer, five languages.

`--resume` goes on from the vision models that are there; what their tokenizers do not know is learned anew. `--films`
teaches what is asked about films (windows of time, merges of notes on them) and about what somebody says in a clip as
well. Captions of windows are right after about 750 steps (video), and a merge of two or three scenes after about 2,000
(picture); conversations of ten turns took 300 steps (picture) and 900 (video) more. To quote what is said is not
learned from those lessons alone; `--only video --resume --films --quotes` teaches it first, from text and with hints
(`scripts/demo/models/quoting.py`), within 500 steps, and 800 of the usual ones after that bring it to videos.

A training can be done in pieces: with `--state FILE --minutes 8` the same command goes on from where it stopped.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import scripts.demo.train_translator as make_demo_translator
from scripts.demo import train_speech
from scripts.demo.models import picture, video
from scripts.demo.models.checkpoint import inherit
from scripts.demo.models.quoting import Quotes
from scripts.demo.models.training import Piece, Plan, train
from server.quantized_checkpoint import quantize

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "server" / "demo"
VISION = {"video": (video, "llava-next-video-7b", 1800), "picture": (picture, "llama-3.2-11b-vision", 2400)}
"""What to train, the name of its folder, and for how many steps."""
LARGEST_MB = 4.0


def say(text: str) -> None:
    """One line of progress, at once."""
    print(text, flush=True)


def make_vision_model(
    kind: ModuleType,
    name: str,
    seed: int,
    plan: Plan,
    *,
    resume: bool,
    films: bool,
    quotes: bool,
    piece: Piece | None,
) -> None:
    """Train a model of `demo_models.video` or `.picture`, write the bfloat16 weights, quantise them to FP8-dynamic."""
    torch.manual_seed(seed)
    source = DEMO / f"{name}-bf16"
    processor = kind.build_processor(films=films)
    model = kind.build_model(processor)
    if resume:
        inherit(model, processor.tokenizer, source)
    say(f"{name}: {sum(p.numel() for p in model.parameters()):,} weights, {plan.steps} steps")
    drawn = seed + (piece.step if piece else 0)
    if quotes:
        model.set_attn_implementation("eager")  # which alone tells what is looked at
        examples = Quotes(processor, drawn, model.config.text_config.hidden_size)
    else:
        examples = kind.Examples(processor, drawn, films=films)
    if not train(model, examples, plan, say, piece):
        say(f"to be continued from {piece.path if piece else None}")
        return
    for folder in (source, DEMO / name):
        shutil.rmtree(folder, ignore_errors=True)
    kind.save(model, processor, source)
    quantize(source, DEMO / name, say)
    check_sizes(DEMO / name, source)


def check_sizes(*folders: Path) -> None:
    """The weights are committed, so they must stay small.

    Raises:
        SystemExit: a model is larger than it may be.
    """
    for folder in folders:
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6
        say(f"{folder.relative_to(ROOT)}: {size:.1f} MB")
        if size > LARGEST_MB:
            raise SystemExit(f"{folder} is larger than {LARGEST_MB} MB")


def plan_of(args: argparse.Namespace, steps: int) -> Plan:
    """How to train, as the command line says."""
    if args.resume:
        return Plan(args.steps or steps, learning_rate=args.rate or 1.5e-3, warmup=30, lessons_done=True)
    return Plan(args.steps or steps, learning_rate=args.rate or 4e-3)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=(*VISION, "speech", "translation"), help="rebuild one of them (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="seed of weights and examples (default: 1)")
    parser.add_argument("--steps", type=int, help="steps of each vision model (default: enough)")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the vision models that are there; another --seed is wise"
    )
    parser.add_argument("--films", action="store_true", help="teach them what is asked about films as well")
    parser.add_argument(
        "--quotes",
        action="store_true",
        help="with --only video --resume --films: lessons in quoting what is said alone",
    )
    parser.add_argument("--rate", type=float, help="learning rate of the vision models (default: fit for the start)")
    parser.add_argument("--state", type=Path, help="with --only and --minutes: where to keep what is half done")
    parser.add_argument("--minutes", type=float, default=8.0, help="length of a piece (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads of PyTorch (default: %(default)s)")
    args = parser.parse_args()
    if args.quotes and not (args.only == "video" and args.resume and args.films):
        parser.error("--quotes needs --only video --resume --films")
    torch.set_num_threads(args.threads)
    started = time.monotonic()
    for only, (kind, name, steps) in VISION.items():
        if args.only in (None, only):
            piece = Piece(args.state, args.minutes * 60) if args.state else None
            make_vision_model(
                kind,
                name,
                args.seed,
                plan_of(args, steps),
                resume=args.resume,
                films=args.films,
                quotes=args.quotes,
                piece=piece,
            )
    if args.only in (None, "speech"):
        train_speech.main(["--threads", str(args.threads), "--seed", str(args.seed)])
        check_sizes(train_speech.OUT)
    if args.only in (None, "translation"):
        with tempfile.TemporaryDirectory() as scratch:
            trained = Path(scratch) / "model"
            make_demo_translator.build(trained, films=args.films)
            shutil.rmtree(make_demo_translator.OUT, ignore_errors=True)
            shutil.copytree(trained, make_demo_translator.OUT)
        make_demo_translator.check(make_demo_translator.OUT, films=args.films)
        check_sizes(make_demo_translator.OUT)
    say(f"done in {(time.monotonic() - started) / 60:.1f} minutes; python -m scripts.demo.evaluate scores them")


if __name__ == "__main__":
    main()
