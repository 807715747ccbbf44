"""What the files of a checkpoint hold: names, shapes and types, derived from a configuration or read from a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from transformers import AutoConfig, MllamaForConditionalGeneration
from transformers import LlavaNextVideoForConditionalGeneration as Llava

from server.llama_vision.nf4 import STATE
from server.quantized_checkpoint import INDEX
from server.selftest.published_names import llama_name, llava_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

CLASSES: Mapping[str, Any] = {
    "mllama": (MllamaForConditionalGeneration, llama_name),
    "llava_next_video": (Llava, llava_name),
}
"""`model_type` -> transformers' class, and how its weights are called in published files."""
SAFETENSORS = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "U8": torch.uint8,
    "I32": torch.int32,
    "I64": torch.int64,
}
BLOCK, NESTED_BLOCK = 64, 256
"""Weights that share a scale in NF4, and scales that share one of their own."""


@dataclass(frozen=True)
class Entry:
    """One tensor of a file.

    Attributes:
        state: Of a 4-bit weight, what bitsandbytes writes beside it as JSON: all that a loader reads the numbers of.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    state: str | None = None

    def tensor(self) -> torch.Tensor:
        """A tensor without numbers, or with those of its state."""
        if self.state is not None:
            return torch.tensor(list(self.state.encode()), dtype=torch.uint8)
        return torch.empty(self.shape, dtype=self.dtype, device="meta")


Manifest = dict[str, Entry]


def of_configuration(config: Mapping[str, Any], *, newer_names: bool = False) -> tuple[Manifest, list[str]]:
    """What transformers writes for a configuration, in bfloat16.

    Args:
        config: As in config.json.
        newer_names: As transformers since 4.52 calls weights, not as the published files do.

    Returns:
        The tensors, and the names of the linear layers among them.
    """
    made, published = CLASSES[config["model_type"]]
    with torch.device("meta"):
        model = made(AutoConfig.for_model(**config)).to(torch.bfloat16)
    name = (lambda given: given) if newer_names else published
    linear = [at for at, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    state = model.state_dict()
    manifest = {name(at): Entry(tuple(tensor.shape), tensor.dtype) for at, tensor in state.items()}
    return manifest, [name(f"{at}.weight").removesuffix(".weight") for at in linear]


def as_fp8(manifest: Manifest, layers: Iterable[str]) -> Manifest:
    """The same with these layers in FP8-dynamic: 8-bit weights, and a scale for each output row."""
    made = dict(manifest)
    for layer in layers:
        rows = made[f"{layer}.weight"].shape[0]
        made[f"{layer}.weight"] = Entry(made[f"{layer}.weight"].shape, torch.float8_e4m3fn)
        made[f"{layer}.weight_scale"] = Entry((rows, 1), torch.bfloat16)
    return made


def as_nf4(manifest: Manifest, layers: Iterable[str], *, nested: bool) -> Manifest:
    """The same with these layers in NF4, as bitsandbytes writes it.

    Args:
        manifest: In 16 bits.
        layers: Linear layers.
        nested: Whether the scales are quantised, too.
    """
    made = dict(manifest)
    for layer in layers:
        weight = f"{layer}.weight"
        shape = made[weight].shape
        blocks = -(-torch.Size(shape).numel() // BLOCK)
        state: dict[str, Any] = {"quant_type": "nf4", "blocksize": BLOCK, "dtype": "bfloat16", "shape": list(shape)}
        made[weight] = Entry((torch.Size(shape).numel() // 2, 1), torch.uint8)
        made[f"{weight}.absmax"] = Entry((blocks,), torch.uint8 if nested else torch.float32)
        made[f"{weight}.quant_map"] = Entry((16,), torch.float32)
        if nested:
            state |= {"nested_blocksize": NESTED_BLOCK, "nested_dtype": "float32", "nested_offset": 0.01}
            made[f"{weight}.nested_absmax"] = Entry((-(-blocks // NESTED_BLOCK),), torch.float32)
            made[f"{weight}.nested_quant_map"] = Entry((256,), torch.float32)
        written = json.dumps(state)
        made[f"{weight}{STATE}"] = Entry((len(written.encode()),), torch.uint8, written)
    return made


def of_folder(folder: Path) -> Manifest:
    """What a local checkpoint's safetensors files hold; only their headers are read.

    Raises:
        ValueError: There are none, or not all that the index names.
    """
    index = folder / INDEX
    names = {file.name for file in folder.glob("*.safetensors")}
    wanted = set(json.loads(index.read_text())["weight_map"].values()) if index.is_file() else names
    if missing := sorted(wanted - names):
        raise ValueError(f"{folder} lacks {', '.join(missing)}")
    if not wanted:
        raise ValueError(f"{folder} has no *.safetensors")
    found: Manifest = {}
    for name in sorted(wanted):
        with safe_open(folder / name, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 - it is no mapping
                slice_ = file.get_slice(key)
                state = bytes(file.get_tensor(key).tolist()).decode() if key.endswith(STATE) else None
                found[key] = Entry(tuple(slice_.get_shape()), SAFETENSORS[slice_.get_dtype()], state)
    return found
