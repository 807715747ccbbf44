"""A checkpoint of NLLB's shape with random weights and the demo model's tokenizer, for measuring.

The tokenizer's vocabulary is filled up to the published size with tokens that no text has. How many the published one
has of each script is not written down here: they are shared out as NLLB's 202 languages are (126 of them Latin).

python -m scripts.benchmarks.models.random_nllb FOLDER          # the shape of facebook/nllb-200-distilled-600M, 2.5 GB
python -m scripts.benchmarks.models.random_nllb FOLDER --shape tiny
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save_file

from translator.languages import known
from translator.model.models import DEMO_MODEL
from translator.text import scripts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Shape:
    """The numbers of a published config.json."""

    width: int
    ffn: int
    layers: int
    heads: int
    vocabulary: int = 256206

    @property
    def weights(self) -> int:
        """How many numbers there are in all."""
        return sum(prod(size) for _, size in _sizes(self))


SHAPES = {
    "tiny": Shape(64, 128, 1, 4, 1200),
    "mid": Shape(512, 2048, 8, 8, 84_000),  # as much of the work in the vocabulary as with 600M
    "600M": Shape(1024, 4096, 12, 16),
    "1.3B": Shape(1024, 8192, 24, 16),
    "3.3B": Shape(2048, 8192, 24, 16),
}


VOCABULARY = "model.shared.weight"
"""Embedding and head in one."""


def write(folder: Path, shape: Shape, *, seed: int = 0, shards: int = 1, endless: bool = False) -> None:
    """Write a float32 checkpoint into `folder`, as safetensors in that many files.

    An `endless` model never writes an end, nor anything but text: its translations are as long as they may be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer_config.json", "generation_config.json"):
        shutil.copy(DEMO_MODEL / name, folder / name)
    tokenizer = json.loads((DEMO_MODEL / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary: dict[str, int] = tokenizer["model"]["vocab"]
    first = len(vocabulary) + sum(added["content"] not in vocabulary for added in tokenizer["added_tokens"])
    vocabulary |= {token: first + i for i, token in enumerate(_made_up(shape.vocabulary - first))}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    config = json.loads((DEMO_MODEL / "config.json").read_text())
    config |= {"d_model": shape.width, "vocab_size": shape.vocabulary}
    for half in ("encoder", "decoder"):
        config[f"{half}_ffn_dim"], config[f"{half}_layers"] = shape.ffn, shape.layers
        config[f"{half}_attention_heads"] = shape.heads
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    names = [name for name, _ in _sizes(shape)]
    unsaid = _unsaid(shape) if endless else []
    rng = np.random.default_rng(seed)
    held: dict[str, NDArray[np.float32]] = {}
    number = 1
    for at, (name, size) in enumerate(_sizes(shape), 1):
        if name.endswith("norm.weight"):
            held[name] = np.ones(size, np.float32)
        elif name.endswith(".bias"):
            held[name] = np.zeros(size, np.float32)
        else:
            # With small weights a token's own embedding wins, and the model repeats it for ever.
            scale = size[1] ** -0.5 if endless and name != VOCABULARY else 0.02
            held[name] = rng.standard_normal(size, np.float32) * np.float32(scale)
            if name == VOCABULARY:
                held[name][unsaid] = 0
        if at * shards >= number * len(names):
            part = "model.safetensors" if shards == 1 else f"model-{number:05}-of-{shards:05}.safetensors"
            save_file(held, folder / part, metadata={"format": "pt"})
            held, number = {}, number + 1


def _unsaid(shape: Shape) -> list[int]:
    """Tokens that are no text, languages among them, or that the demo model's tokenizer does not know."""
    special = [token["id"] for token in json.loads((DEMO_MODEL / "tokenizer.json").read_text())["added_tokens"]]
    return [*special, *range(max(special) + 1, shape.vocabulary)]


def _made_up(count: int) -> list[str]:
    """So many tokens: a letter of each language's script in turn, and a number."""
    letters = [character for character in map(chr, range(0x10000)) if character.isalpha()]
    of_script = {script: next(c for c in letters if scripts.is_own(c, script)) for script in scripts.known()}
    firsts = [of_script[language.script] for language in known().values()]
    return [f"{firsts[i % len(firsts)]}{i}" for i in range(count)]


def _sizes(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor by its published name."""
    yield VOCABULARY, (shape.vocabulary, shape.width)
    for half in ("encoder", "decoder"):
        for layer in range(shape.layers):
            at = f"model.{half}.layers.{layer}"
            for attention in ("self_attn", "encoder_attn")[: 1 if half == "encoder" else 2]:
                for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    yield from _linear(f"{at}.{attention}.{part}", shape.width, shape.width)
                yield from _norm(f"{at}.{attention}_layer_norm", shape.width)
            yield from _linear(f"{at}.fc1", shape.ffn, shape.width)
            yield from _linear(f"{at}.fc2", shape.width, shape.ffn)
            yield from _norm(f"{at}.final_layer_norm", shape.width)
        yield from _norm(f"model.{half}.layer_norm", shape.width)


def _linear(name: str, out: int, into: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, into)
    yield f"{name}.bias", (out,)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="new folder")
    parser.add_argument("--shape", choices=SHAPES, default="600M", help="(default: 600M)")
    parser.add_argument("--shards", type=int, default=1, help="files to spread it over (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    write(args.folder, SHAPES[args.shape], seed=args.seed, shards=args.shards)
    return 0


if __name__ == "__main__":
    sys.exit(main())
