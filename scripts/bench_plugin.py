"""What Llama 3.2 Vision costs through our plugin, beside a text-only Llama in the same vLLM.

    python scripts/bench_plugin.py --models ./bench-models      mid-sized random models, written on first use
    python scripts/bench_plugin.py --quick --json plugin.json
    python scripts/bench_plugin.py --only cache --vision ./Llama-3.2-11B-Vision-Instruct --picture ad.jpg --tasks 8

Two things are measured, engines taking turns:

decode  Tokens per second once all requests (16) write, each with a picture of four tiles. Baselines: a Llama of the
        same text stack without the layers that look at pictures (what is lost beside it is the price of the model's
        architecture, plugin or not); and one that does the same work: as many layers in all, and prompts so long that
        it reads as many keys (what is lost beside it, the plugin costs). The same without pictures.
cache   Several tasks on one picture with the encoder cache and without: until each has its first token, one after
        the other, and until all have their answers, asked at once.

vLLM compiles its models, as it does when it serves; --eager leaves that out.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_plugin_engine import Engine, EngineError, Settings
from bench_report import Report
from safetensors import safe_open

if TYPE_CHECKING:
    from collections.abc import Sequence

PICTURE = (1120, 630)
"""Pixels of a file of 1920x1080 as the client sends it: four tiles."""
TILES = 4
PROMPT_TOKENS = 64


@dataclass(frozen=True)
class Work:
    """What a model is and does when it writes a token.

    Attributes:
        layers: Those that look at the text.
        picture_layers: Those that look at the picture.
        keys: Of a picture.
        weights: That a token is multiplied with: layers and head. Keys and values of a picture are made once, so their
            projections are left out.
    """

    layers: int
    picture_layers: int
    keys: int
    weights: int

    @classmethod
    def of(cls, checkpoint: Path) -> Work:
        """Read it off a checkpoint of Llama or Llama 3.2 Vision."""
        config = json.loads((checkpoint / "config.json").read_text())
        text, vision = config.get("text_config", config), config.get("vision_config")
        cross = len(text.get("cross_attention_layers", ()))
        keys = TILES * ((vision["image_size"] // vision["patch_size"]) ** 2 + 1) if vision else 0
        return cls(text["num_hidden_layers"] - cross, cross, keys, weights_of_a_token(checkpoint))

    def same_work(self, prompt_tokens: int) -> tuple[int, int]:
        """Layers and prompt of a Llama that reads as many keys as this model does with a picture and that prompt."""
        layers = self.layers + self.picture_layers
        return layers, round((self.layers * prompt_tokens + self.picture_layers * self.keys) / layers)


def weights_of_a_token(checkpoint: Path) -> int:
    """See `Work.weights`."""
    count = 0
    for path in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(path, "np") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                used = ".layers." in name or "lm_head" in name
                if used and "vision" not in name and "cross_attn.k_" not in name and "cross_attn.v_" not in name:
                    count += math.prod(file.get_slice(name).get_shape())
    return count


def compare_decoding(report: Report, args: argparse.Namespace, common: dict[str, Any]) -> None:
    """Decode with the three models in turn."""
    threads = args.threads
    vision, text = checkpoints(args)
    ours, theirs = Work.of(vision), Work.of(text)
    layers, long_prompt = ours.same_work(PROMPT_TOKENS)
    # Weights of no use, of the right shapes: there is no checkpoint of this one.
    deep = {"hf_overrides": {"num_hidden_layers": layers}, "load_format": "dummy"}
    engines = {
        "plugin": Settings(str(vision), common, threads),
        "stack": Settings(str(text), common, threads),
        "deep": Settings(str(text), common | deep, threads),
    }
    ways = {
        "picture": ("plugin", PROMPT_TOKENS, PICTURE),
        "no picture": ("plugin", PROMPT_TOKENS, None),
        "stack": ("stack", PROMPT_TOKENS, None),
        "deep": ("deep", PROMPT_TOKENS, None),
        "same work": ("deep", long_prompt, None),
    }
    speed: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as opened:
        running = {name: opened.enter_context(Engine(settings)) for name, settings in engines.items()}
        for number in range(args.runs + 1):
            for way, (name, prompt, picture) in ways.items():
                done = running[name].decode(args.concurrency, prompt, args.tokens, picture)
                if number:  # the first round warms up
                    speed[way].append(done.tokens_per_s)
    for way, other, what in (
        ("picture", "stack", f"a picture each; beside {theirs.layers} layers of text alone"),
        ("picture", "same work", f"a picture each; beside {layers} layers of text and as many keys"),
        ("no picture", "stack", f"no pictures; beside {theirs.layers} layers of text alone"),
        ("no picture", "deep", f"no pictures; beside {layers} layers of text"),
    ):
        report.add(f"decoding, {what}", "tokens/s", speed[way], speed[other], more_is_better=True)
    met = [[value * work.weights / 1e9 for value in speed[way]] for way, work in (("picture", ours), ("stack", theirs))]
    report.add("weights met by tokens, a picture each; beside text alone", "billions/s", *met, more_is_better=True)
    report.notes.append(
        f"{args.concurrency} requests at a time, {PROMPT_TOKENS} tokens of prompt, {args.tokens} of answer. A token "
        f"meets {ours.weights / 1e6:.1f} million weights with the {ours.picture_layers} layers that look at pictures, "
        f"{theirs.weights / 1e6:.1f} without: by these alone decoding would be {theirs.weights / ours.weights:.2f}x as "
        f"fast. A picture has {ours.keys} keys; {layers} layers of text read as many after {long_prompt} tokens."
    )


def compare_caching(report: Report, args: argparse.Namespace, common: dict[str, Any]) -> None:
    """Ask about pictures with the encoder cache and without, in turn."""
    vision = args.vision or str(checkpoints(args)[0])
    ways = {"cached": Settings(vision, common, args.threads), "not": Settings(vision, common, args.threads, 0)}
    seconds: dict[tuple[str, bool], list[float]] = defaultdict(list)
    runs: dict[tuple[str, bool], list[int]] = defaultdict(list)
    picture = args.picture or PICTURE
    with ExitStack() as opened:
        engines = {name: opened.enter_context(Engine(each)) for name, each in ways.items()}
        for number in range(args.runs + 1):
            for name, engine in engines.items():
                for together in (False, True):
                    asked = engine.ask(args.tasks, args.tokens if together else 1, picture, together=together)
                    if number:
                        seconds[name, together].append(asked.seconds)
                        runs[name, together].append(asked.tower_runs)
    for together in (False, True):
        what = f"at once, {args.tokens} tokens each" if together else "one after the other, first tokens"
        sides = (seconds["cached", together], seconds["not", together])
        report.add(f"{args.tasks} tasks on a picture, {what}; baseline: no encoder cache", "s", *sides)
        sides = (runs["cached", together], runs["not", together])
        report.add(f"runs of the vision tower, {what}; baseline: no encoder cache", "runs", *sides)


def checkpoints(args: argparse.Namespace) -> tuple[Path, Path]:
    """The vision model and the text model: those given, or the mid-sized ones."""
    if args.vision and args.text:
        return Path(args.vision), Path(args.text)
    from bench_models import PICTURE as VISION_NAME  # noqa: PLC0415 - loads torch
    from bench_models import TEXT, ensure  # noqa: PLC0415

    return ensure(args.models, VISION_NAME), ensure(args.models, TEXT)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return int(text)


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"{text}: there is no such file")
    return Path(text)


def _new_file(text: str) -> Path:
    if not Path(text).absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: there is no such folder")
    return Path(text)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; ends the program on a wrong flag."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(PARTS), help="one of the two (default: both)")
    parser.add_argument(
        "--models", type=Path, metavar="DIR", help="folder to keep mid-sized models in (default: a temporary one)"
    )
    parser.add_argument("--vision", metavar="CHECKPOINT", help="another Llama 3.2 Vision")
    parser.add_argument("--text", metavar="CHECKPOINT", help="for decode: a Llama of the same text stack")
    parser.add_argument("--picture", type=_file, metavar="FILE", help="for cache: a file instead of a random picture")
    parser.add_argument("--tasks", type=_positive, default=5, metavar="N", help="on a picture (default: %(default)s)")
    parser.add_argument("--concurrency", type=_positive, default=16, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--tokens", type=_positive, metavar="N", help="of an answer (default: 128, quick: 48)")
    parser.add_argument("--runs", type=_positive, metavar="N", help="rounds (default: 5, quick: 2)")
    parser.add_argument("--quick", action="store_true", help="shorter answers, fewer rounds, not compiled")
    parser.add_argument("--eager", action="store_true", help="do not compile")
    parser.add_argument(
        "--threads",
        type=_positive,
        default=1,
        metavar="N",
        help="of an engine on a CPU; CPU-seconds are measured with one",
    )
    parser.add_argument("--dtype", default="auto", help="as vLLM's (default: %(default)s)")
    parser.add_argument(
        "--gpu-memory-utilization", type=float, default=0.1, help="of an engine; up to three run (default: %(default)s)"
    )
    parser.add_argument("--json", type=_new_file, metavar="FILE", help="write the figures there too")
    args = parser.parse_args(arguments)
    if args.only != "cache" and (args.vision is None) != (args.text is None):
        parser.error("decode needs both --vision and --text, or neither")
    args.eager = args.eager or args.quick
    args.tokens = args.tokens or (48 if args.quick else 128)
    args.runs = args.runs or (2 if args.quick else 5)
    return args


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    args = parse(arguments)
    common = {
        "dtype": args.dtype,
        "enforce_eager": args.eager,
        "gpu_memory_utilization": args.gpu_memory_utilization,
        "max_model_len": 1024,
        "max_num_batched_tokens": 8192,
        "max_num_seqs": max(args.concurrency, args.tasks),
        "use_tqdm_on_load": False,
    }
    report = Report("Llama 3.2 Vision through the plugin", "vllm", "torch")
    with tempfile.TemporaryDirectory(prefix="bench-plugin-") as scratch:
        args.models = args.models or Path(scratch)
        try:
            for name, compare in PARTS.items():
                if args.only in (None, name):
                    compare(report, args, common)
        except EngineError as error:
            print(error, file=sys.stderr)
            return 1
    report.show(args.json)
    return 0


PARTS = {"decode": compare_decoding, "cache": compare_caching}


if __name__ == "__main__":
    sys.exit(main())
