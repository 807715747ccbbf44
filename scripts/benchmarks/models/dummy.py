"""Folders of published shapes for `--load-format dummy`, where no stack of ours starts the engine.

    python -m scripts.benchmarks.models.dummy llama-3.2-11b-vision ./shape-11b
    vllm serve ./shape-11b --load-format dummy --max-model-len 8192 --max-num-batched-tokens 8192
    vllm bench serve --model ./shape-11b ...

`python -m server up --profile gpu-24gb --dummy-weights` makes its own. Answers are noise and do not end by themselves:
say `max_tokens`. `--layers 4` keeps the width and takes so many layers, for a machine that holds no more.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from server.engines.dummy import folder_files, write_folder
from server.sizing.memory import Model
from server.sizing.models import published_config

PUBLISHED = {
    "llama-3.2-11b-vision": (
        "neuralmagic/Llama-3.2-11B-Vision-Instruct-FP8-dynamic",
        "meta-llama/Llama-3.2-11B-Vision-Instruct",
    ),
    "llava-next-video-7b": ("./models/LLaVA-NeXT-Video-7B-FP8-dynamic", "llava-hf/LLaVA-NeXT-Video-7B-hf"),
}
"""By the name we serve it under: FP8-dynamic and bf16."""


def shape(name: str, *, bf16: bool = False, layers: int | None = None) -> dict[str, Any]:
    """The published sizes, with all or the first `layers` of the language model's layers."""
    config = published_config(PUBLISHED[name][bf16])
    assert config is not None
    if layers is None:
        return config
    text = config["text_config"] | {"num_hidden_layers": layers}
    if "cross_attention_layers" in text:
        text["cross_attention_layers"] = [number for number in text["cross_attention_layers"] if number < layers]
    return config | {"text_config": text}


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=PUBLISHED, help="the model whose shape it gets")
    parser.add_argument("folder", type=Path, help="new folder")
    parser.add_argument("--bf16", action="store_true", help="not quantised (default: FP8-dynamic)")
    parser.add_argument("--layers", type=int, help="of the language model, at least 4 (default: as published)")
    args = parser.parse_args()
    if args.layers is not None and args.layers < 4:
        parser.error("--layers: Llama 3.2 Vision looks at pictures in its fourth layer for the first time")
    config = shape(args.name, bf16=args.bf16, layers=args.layers)
    write_folder(args.folder, folder_files(config))
    sizes = Model.of(config)
    print(f"{args.folder}: {sizes.parameters / 1e9:.2f} billion weights, {sizes.weights() / 2**30:.2f} GiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
