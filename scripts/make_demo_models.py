"""Rebuild the demo models from nothing but their seeds, on a CPU.

    python scripts/make_demo_models.py                 # all of them
    python scripts/make_demo_models.py --only video --threads 2

They are tiny (a few MB) but of the real architectures, and know only the drawn world of `scripts/demo_world/`:

- `server/demo/llava-next-video-7b`: LLaVA-NeXT-Video, compressed-tensors FP8-dynamic, with the published weight names;
  beside it, in `llava-next-video-7b-bf16`, the bfloat16 weights that it was quantised from.
- `translator/demo/nllb-drawn-world`: NLLB-200's architecture and tokenizer, five languages.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import make_demo_translator
import torch
from demo_models import video
from demo_models.training import Plan, train
from quantize_fp8 import quantize

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "server" / "demo"
VIDEO = "llava-next-video-7b"
LARGEST_MB = 4.0


def say(text: str) -> None:
    """One line of progress, at once."""
    print(text, flush=True)


def make_video_model(demo: Path, seed: int, steps: int) -> None:
    """Train, write the bfloat16 weights, quantise them to FP8-dynamic."""
    torch.manual_seed(seed)
    processor = video.build_processor()
    model = video.build_model(processor)
    say(f"video model: {sum(p.numel() for p in model.parameters()):,} weights, {steps} steps")
    train(model, video.Examples(processor, seed), Plan(steps), say)
    source = demo / f"{VIDEO}-bf16"
    for folder in (source, demo / VIDEO):
        shutil.rmtree(folder, ignore_errors=True)
    video.save(model, processor, source)
    quantize(source, demo / VIDEO, say)


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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("video", "translation"), help="rebuild one of them (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="seed of weights and examples (default: 1)")
    parser.add_argument("--steps", type=int, default=2000, help="steps of the video model (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads of PyTorch (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    started = time.monotonic()
    if args.only != "translation":
        make_video_model(DEMO, args.seed, args.steps)
        check_sizes(DEMO / VIDEO, DEMO / f"{VIDEO}-bf16")
    if args.only != "video":
        with tempfile.TemporaryDirectory() as scratch:
            trained = Path(scratch) / "model"
            make_demo_translator.build(trained)
            shutil.rmtree(make_demo_translator.OUT, ignore_errors=True)
            shutil.copytree(trained, make_demo_translator.OUT)
        make_demo_translator.check(make_demo_translator.OUT)
        check_sizes(make_demo_translator.OUT)
    say(f"done in {(time.monotonic() - started) / 60:.1f} minutes; python scripts/eval_demo.py scores them")


if __name__ == "__main__":
    main()
