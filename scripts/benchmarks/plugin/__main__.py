"""What Llama 3.2 Vision costs through our plugin, beside a text-only Llama in the same vLLM.

    python -m scripts.benchmarks.plugin --models ./bench-models      mid-sized random models, written on first use
    python -m scripts.benchmarks.plugin --quick --json plugin.json
    python -m scripts.benchmarks.plugin --only cache --vision ./Llama-3.2-11B-Vision-Instruct --picture ad.jpg --tasks 8
    python -m scripts.benchmarks.plugin --dummy-weights   the real shapes, FP8, for a GPU of 80 GB; not yet run on a GPU

Two things are measured, engines taking turns:

decode  Tokens per second once all requests (16) write, each with a picture of four tiles. Baselines: a Llama of the
        same text stack without the layers that look at pictures (what is lost beside it is the price of the model's
        architecture, plugin or not); and one that does the same work: as many layers in all, and prompts so long that
        it reads as many keys (what is lost beside it, the plugin costs). The same without pictures.
cache   Several tasks on one picture with the encoder cache and without: until each has its first token, one after
        the other, and until all have their answers, asked at once.

vLLM compiles its models, as it does when it serves; --eager leaves that out.

--dummy-weights takes shapes instead of checkpoints and fills them with random numbers: --vision's (by default those
of the published Llama 3.2 11B Vision), and for the text-only Llama the same without the layers that look at pictures.
Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.benchmarks.common.cli import new_file, positive, run
from scripts.benchmarks.common.report import Report
from scripts.benchmarks.models.dummy import shape
from scripts.benchmarks.plugin.engine import QUESTION_TOKENS, Engine, EngineError, Settings
from server.engines.dummy import folder_files, write_folder
from server.sizing.arithmetic import cpu_dtype
from server.sizing.gpus import list_gpus
from server.sizing.memory import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

PICTURE = (1120, 630)
"""Pixels of a file of 1920x1080 as the client sends it: four tiles."""
TILES = 4
PROMPT_TOKENS = 64
CONTEXT = 1024
"""The engines' `max_model_len`, or more where prompt and answer need it. Keys of pictures do not count."""
LEAST_TOKENS = 4
"""Of an answer, for decoding to have steps in which all requests write."""
SHAPE = "llama-3.2-11b-vision"
SAME = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_parameters",
    "tie_word_embeddings",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)
"""What a text-only Llama has of the text stack's configuration."""


@dataclass(frozen=True)
class Work:
    """What a model is and does when it writes a token.

    Attributes:
        layers: Those that look at the text.
        picture_layers: Those that look at the picture.
        keys: Of a picture.
        weights: That a token meets: layers and head, without the scales of FP8. Keys and values of a picture are made
            once, so their projections are left out.
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
        sizes = Text.of(text)
        keys = TILES * ((vision["image_size"] // vision["patch_size"]) ** 2 + 1) if vision else 0
        return cls(sizes.layers - sizes.cross_layers, sizes.cross_layers, keys, weights_of_a_token(sizes))

    def same_work(self, prompt_tokens: int) -> tuple[int, int]:
        """Layers and prompt of a Llama that reads as many keys as this model does with a picture and that prompt."""
        layers = self.layers + self.picture_layers
        return layers, round((self.layers * prompt_tokens + self.picture_layers * self.keys) / layers)


def weights_of_a_token(text: Text) -> int:
    """Weights that are read for each decoded token, as in `Work.weights`."""
    norms = 2 * text.hidden * text.layers + text.cross_layers * (text.head_dim + 2)  # with the gates
    made_once = text.cross_layers * 2 * text.hidden * text.head_dim * text.kv_heads
    return text.linear - made_once + norms + text.hidden * text.vocabulary


def compare_decoding(report: Report, args: argparse.Namespace, common: dict[str, Any]) -> None:
    """Decode with the three models in turn."""
    threads = args.threads
    vision, text = Path(args.vision), Path(args.text or text_model(args))
    ours, theirs = Work.of(vision), Work.of(text)
    layers, long_prompt = ours.same_work(PROMPT_TOKENS)
    common = common | context(max(PROMPT_TOKENS + 1, long_prompt) + args.tokens)
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
    second = "s"
    with ExitStack() as opened:
        running = {name: opened.enter_context(Engine(settings)) for name, settings in engines.items()}
        for number in range(args.runs + 1):
            for way, (name, prompt, picture) in ways.items():
                done = running[name].decode(args.concurrency, prompt, args.tokens, picture)
                second = done.unit
                if number:  # the first round warms up
                    speed[way].append(done.tokens_per_s)
    for way, other, what in (
        ("picture", "stack", f"a picture each; beside {theirs.layers} layers of text alone"),
        ("picture", "same work", f"a picture each; beside {layers} layers of text and as many keys"),
        ("no picture", "stack", f"no pictures; beside {theirs.layers} layers of text alone"),
        ("no picture", "deep", f"no pictures; beside {layers} layers of text"),
    ):
        report.add(f"decoding, {what}", f"tokens/{second}", speed[way], speed[other], more_is_better=True)
    met = [[value * work.weights / 1e9 for value in speed[way]] for way, work in (("picture", ours), ("stack", theirs))]
    what = "weights met by tokens, a picture each; beside text alone"
    report.add(what, f"billions/{second}", *met, more_is_better=True)
    report.notes.append(
        f"{args.concurrency} requests at a time, {PROMPT_TOKENS} tokens of prompt, {args.tokens} of answer. A token "
        f"meets {ours.weights / 1e6:.1f} million weights with the {ours.picture_layers} layers that look at pictures, "
        f"{theirs.weights / 1e6:.1f} without: by these alone decoding would be {theirs.weights / ours.weights:.2f}x as "
        f"fast. A picture has {ours.keys} keys; {layers} layers of text read as many after {long_prompt} tokens."
    )


def compare_caching(report: Report, args: argparse.Namespace, common: dict[str, Any]) -> None:
    """Ask about pictures with the encoder cache and without, in turn."""
    common = common | context(QUESTION_TOKENS + 1 + args.tokens)
    with_cache = Settings(args.vision, common, args.threads)
    ways = {"cached": with_cache, "not": replace(with_cache, encoder_cache=False)}
    second = "s"
    spent_s: dict[tuple[str, bool], list[float]] = defaultdict(list)
    runs: dict[tuple[str, bool], list[float]] = defaultdict(list)
    picture = args.picture or PICTURE
    with ExitStack() as opened:
        engines = {name: opened.enter_context(Engine(each)) for name, each in ways.items()}
        for number in range(args.runs + 1):
            for name, engine in engines.items():
                for together in (False, True):
                    asked = engine.ask(args.tasks, args.tokens if together else 1, picture, together=together)
                    second = asked.unit
                    if number:
                        spent_s[name, together].append(asked.spent_s)
                        runs[name, together].append(asked.tower_runs)
    for together in (False, True):
        what = f"at once, {args.tokens} tokens each" if together else "one after the other, first tokens"
        caches = (spent_s["cached", together], spent_s["not", together])
        report.add(f"{args.tasks} tasks on a picture, {what}; baseline: no encoder cache", second, *caches)
        caches = (runs["cached", together], runs["not", together])
        report.add(f"runs of the vision tower, {what}; baseline: no encoder cache", "runs", *caches)


def context(tokens: int) -> dict[str, int]:
    """The engines' setting for prompts and answers of so many tokens."""
    return {"max_model_len": max(CONTEXT, tokens)}


def vision_model(args: argparse.Namespace) -> str:
    """Where none is given: the published shape, or the mid-sized one."""
    if args.dummy_weights:
        folder: Path = args.models / SHAPE
        write_folder(folder, folder_files(shape(SHAPE)))
        return str(folder)
    from scripts.benchmarks.models.mid_sized import PICTURE as NAME  # noqa: PLC0415 - loads torch
    from scripts.benchmarks.models.mid_sized import ensure  # noqa: PLC0415

    return str(ensure(args.models, NAME))


def text_model(args: argparse.Namespace) -> Path:
    """Where none is given: the vision model's text stack, or the mid-sized one."""
    if args.dummy_weights:
        return write_text_shape(Path(args.vision), args.models / "text")
    from scripts.benchmarks.models.mid_sized import TEXT, ensure  # noqa: PLC0415 - as above

    return ensure(args.models, TEXT)


def write_text_shape(vision: Path, folder: Path) -> Path:
    """Write a Llama of the text stack of Llama 3.2 Vision, without the layers that look at pictures or any weights."""
    from transformers import LlamaConfig, MllamaConfig  # noqa: PLC0415 - loads torch; it knows what files leave out

    whole = MllamaConfig.from_pretrained(vision)
    text = whole.text_config
    kept = [number for number in range(text.num_hidden_layers) if number not in text.cross_attention_layers]
    values = {name: getattr(text, name) for name in SAME}
    config = LlamaConfig(
        **values, num_hidden_layers=len(kept), architectures=["LlamaForCausalLM"], dtype=whole.dtype or "bfloat16"
    ).to_dict()
    quantised = getattr(whole, "quantization_config", None) or {}
    # The plugin unpacks 4-bit checkpoints as it loads them, and computes in bf16.
    if quantised.get("quant_method") == "compressed-tensors":
        config["quantization_config"] = quantised | {"ignore": text_modules(quantised.get("ignore", ()), kept)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    for pattern in ("tokenizer*", "special_tokens_map.json", "chat_template*", "generation_config.json"):
        for path in vision.glob(pattern):
            shutil.copy(path, folder)
    return folder


def text_modules(names: Sequence[str], kept: Sequence[int]) -> list[str]:
    """Modules of Llama 3.2 Vision (or patterns of them) as a Llama calls them that has only the layers of `kept`."""
    found = []
    for name in names:
        if "vision_model" in name or "multi_modal_projector" in name:
            continue
        layer = re.search(r"(?<=[.]layers[.])[0-9]+", name)
        if layer and int(layer[0]) not in kept:
            continue
        new = name[: layer.start()] + str(kept.index(int(layer[0]))) + name[layer.end() :] if layer else name
        found.append(new.replace("language_model.model.", "model.").removeprefix("language_model."))
    return found


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"{text}: there is no such file")
    return Path(text)


def _model(text: str) -> str:
    """A folder, or a name by which vLLM finds one."""
    folder = Path(text)
    with suppress(RuntimeError):  # ~ of a user whom there is not
        folder = folder.expanduser()
    if (folder / "config.json").is_file():
        return str(folder)
    if text.startswith((".", "~", "/")) or folder.exists():
        raise argparse.ArgumentTypeError(f"{text}: there is no folder with a config.json")
    return text


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"must be a share, above 0 and at most 1, not {text!r}")
    return number


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; ends the program on a wrong flag."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(PARTS), help="one of the two (default: both)")
    parser.add_argument(
        "--models", type=Path, metavar="DIR", help="folder to keep mid-sized models in (default: a temporary one)"
    )
    parser.add_argument("--vision", type=_model, metavar="CHECKPOINT", help="another Llama 3.2 Vision")
    parser.add_argument("--text", type=_model, metavar="CHECKPOINT", help="for decode: a Llama of the same text stack")
    parser.add_argument("--dummy-weights", action="store_true", help="shapes, filled with random numbers; see above")
    parser.add_argument("--picture", type=_file, metavar="FILE", help="for cache: a file instead of a random picture")
    parser.add_argument("--tasks", type=positive, default=5, metavar="N", help="on a picture (default: %(default)s)")
    parser.add_argument("--concurrency", type=positive, default=16, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--tokens", type=positive, metavar="N", help="of an answer (default: 128, quick: 48)")
    parser.add_argument("--runs", type=positive, metavar="N", help="rounds (default: 5, quick: 2)")
    parser.add_argument("--quick", action="store_true", help="shorter answers, fewer rounds, not compiled")
    parser.add_argument("--eager", action="store_true", help="do not compile")
    parser.add_argument(
        "--threads",
        type=positive,
        default=1,
        metavar="N",
        help="of an engine on a CPU; CPU-seconds are measured with one",
    )
    parser.add_argument("--dtype", help="as vLLM's (default: auto, float32 on a CPU that only emulates bfloat16)")
    parser.add_argument(
        "--gpu-memory-utilization",
        type=_share,
        metavar="SHARE",
        help="of an engine; up to three run (default: 0.1, with dummy weights 0.3)",
    )
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures there too")
    args = parser.parse_args(arguments)
    args.eager = args.eager or args.quick
    args.tokens = args.tokens or (48 if args.quick else 128)
    args.runs = args.runs or (2 if args.quick else 5)
    args.gpu_memory_utilization = args.gpu_memory_utilization or (0.3 if args.dummy_weights else 0.1)
    if wrong := _together(args):
        parser.error(wrong)
    return args


def _together(args: argparse.Namespace) -> str | None:
    """What is wrong with flags that are right by themselves."""
    if args.dummy_weights and (args.models or args.text):
        return "--dummy-weights makes the text model itself and keeps nothing: leave out --text and --models"
    if args.only != "cache":
        if not args.dummy_weights and (args.vision is None) != (args.text is None):
            return "decode needs both --vision and --text, or neither"
        if args.tokens < LEAST_TOKENS:
            return f"--tokens: decode needs at least {LEAST_TOKENS}, for steps in which all requests write"
    if args.only != "cache" or args.dummy_weights:
        for flag, given in (("vision", args.vision), ("text", args.text)):
            if given and not Path(given).is_dir():
                return f"--{flag}: decode and dummy weights need a folder with a config.json, not {given}"
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line."""
    args = parse(arguments)
    common = {
        "dtype": args.dtype or ("auto" if list_gpus() else cpu_dtype()),
        "enforce_eager": args.eager,
        "gpu_memory_utilization": args.gpu_memory_utilization,
        "max_num_batched_tokens": 8192,
        "max_num_seqs": max(args.concurrency, args.tasks),
        "use_tqdm_on_load": False,
        **({"load_format": "dummy"} if args.dummy_weights else {}),
    }
    report = Report("Llama 3.2 Vision through the plugin", "vllm", "torch", "transformers", "compressed-tensors")
    with tempfile.TemporaryDirectory(prefix="bench-plugin-") as scratch:
        args.models = args.models or Path(scratch)
        if args.dummy_weights:
            report.notes.append(f"Shapes of {args.vision or SHAPE}, filled with random numbers.")
        args.vision = args.vision or vision_model(args)
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
    run(main)
