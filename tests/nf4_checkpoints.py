"""Llama 3.2 Vision checkpoints in NF4, as bitsandbytes packs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from server.selftest.llama_toy import published_state, write_checkpoint, write_shards
from server.selftest.published_names import llama_name

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import MllamaForConditionalGeneration

NF4_VALUES = torch.tensor(
    [
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
        *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
        *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
        *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    ]
)
"""The 16 values of NF4: QLoRA (Dettmers et al. 2023), appendix E."""


def pack_nf4(weight: torch.Tensor, *, nested: bool = False) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Pack a weight as bitsandbytes does.

    Returns:
        Its tensors by the end of their names, and the values that they stand for.
    """
    blocks = weight.float().flatten().reshape(-1, 64)
    scales = blocks.abs().amax(1)
    state: dict[str, Any] = {"quant_type": "nf4", "blocksize": 64, "shape": list(weight.shape)}
    state["dtype"] = str(weight.dtype).removeprefix("torch.")
    parts = {"": torch.empty(0), ".absmax": scales, ".quant_map": NF4_VALUES.clone()}
    if nested:
        table = torch.linspace(-1, 1, 256)
        state |= {"nested_blocksize": 4, "nested_offset": scales.mean().item(), "nested_dtype": "float32"}
        groups = (scales - state["nested_offset"]).reshape(-1, 4)
        largest = groups.abs().amax(1, keepdim=True)
        nested_codes = (groups / largest)[..., None].sub(table).abs().argmin(-1)
        scales = (table[nested_codes] * largest).flatten() + state["nested_offset"]
        parts[".absmax"] = nested_codes.flatten().to(torch.uint8)
        parts |= {".nested_absmax": largest.flatten(), ".nested_quant_map": table}
    codes = (blocks / scales[:, None])[..., None].sub(NF4_VALUES).abs().argmin(-1).flatten()
    packed = codes.to(torch.uint8)
    parts[""] = ((packed[0::2] << 4) | packed[1::2])[:, None]
    encoded = list(json.dumps(state).encode())
    parts[".quant_state.bitsandbytes__nf4"] = torch.tensor(encoded, dtype=torch.uint8)
    values = (NF4_VALUES[codes].reshape(-1, 64) * scales[:, None]).reshape(weight.shape)
    return parts, values.to(weight.dtype)


def write_nf4(path: Path, model: MllamaForConditionalGeneration) -> MllamaForConditionalGeneration:
    """Pack all linear layers but the head, those of the vision tower too; returns what they stand for."""
    write_checkpoint(path, model)
    state = published_state(model)
    linear = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)} - {"lm_head"}
    for name in linear:
        layer = model.get_submodule(name)
        weight = f"{llama_name(name)}.weight"
        parts, values = pack_nf4(state.pop(weight), nested=True)
        state |= {f"{weight}{part}": tensor for part, tensor in parts.items()}
        layer.weight.data = values
    write_shards(path, state, 1)
    settings = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    content = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(content | {"quantization_config": settings}))
    return model
