"""What a quantised checkpoint computes, emulated in transformers' model: the reference for quantised engines."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from transformers import PreTrainedModel

FP8_LARGEST = 448
NIBBLES = 8
"""Four-bit numbers in an int32, the lowest bits first; each is stored with 8 added."""


def quantized_as_served(
    model: PreTrainedModel, checkpoint: Path, published_name: Callable[[str], str]
) -> PreTrainedModel:
    """Emulate FP8-dynamic or W4A16: weights as the checkpoint holds them, and for FP8 activations rounded row by row.

    Args:
        model: The model that was quantised; it is not changed.
        checkpoint: What it was quantised to, one file.
        published_name: Of a weight of the model.
    """
    model = deepcopy(model)
    state = load_file(checkpoint / "model.safetensors")
    for name, module in model.named_modules():
        stored = f"{published_name(name)}.weight"
        if f"{stored}_packed" in state:
            module.weight.data = unpack_four_bits(state, stored).to(module.weight.dtype)
        elif f"{stored}_scale" in state:
            module.weight.data = (state[stored].float() * state[f"{stored}_scale"].float()).to(module.weight.dtype)
            module.register_forward_pre_hook(_round_rows)
    return model


def unpack_four_bits(state: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
    """The float32 values `[out, in]` of a weight in compressed-tensors' layout `pack-quantized`.

    Args:
        state: With `NAME_packed` int32 `[out, in / 8]`, `NAME_scale` `[out, in / group]` and `NAME_shape`.
        name: Of the weight.
    """
    packed, scale = state[f"{name}_packed"], state[f"{name}_scale"].float()
    rows, columns = state[f"{name}_shape"].tolist()
    shifts = torch.arange(NIBBLES, dtype=torch.int32) * 4
    numbers = (packed[:, :, None] >> shifts & 15).flatten(1)[:, :columns] - 8
    return numbers.float() * scale.repeat_interleave(columns // scale.shape[1], 1).view(rows, columns)


def _round_rows(_: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    scale = args[0].abs().amax(-1, keepdim=True) / FP8_LARGEST
    return ((args[0] / scale).to(torch.float8_e4m3fn).to(args[0].dtype) * scale,)
