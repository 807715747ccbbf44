"""Checkpoint names and formats.

The modules of the model are named as in the published checkpoints (`language_model.model.layers.0...`).
transformers since 4.52 writes `model.language_model.layers.0...`; both are read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from vllm.model_executor.models.utils import WeightsMapper

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

CHECKPOINT_NAMES = WeightsMapper(
    orig_to_new_prefix={
        "model.language_model.": "language_model.model.",
        "model.vision_model.": "vision_model.",
        "model.multi_modal_projector.": "multi_modal_projector.",
        "lm_head.": "language_model.lm_head.",
    }
)

# Only below the text layers: the vision tower has projections of the same names, which stay apart.
FUSED_TEXT_WEIGHTS = WeightsMapper(
    orig_to_new_stacked={
        ".self_attn.q_proj": (".self_attn.qkv_proj", "q"),
        ".self_attn.k_proj": (".self_attn.qkv_proj", "k"),
        ".self_attn.v_proj": (".self_attn.qkv_proj", "v"),
        ".mlp.gate_proj": (".mlp.gate_up_proj", 0),
        ".mlp.up_proj": (".mlp.gate_up_proj", 1),
    }
)
FUSED_MODULES = {"qkv_proj": ["q_proj", "k_proj", "v_proj"], "gate_up_proj": ["gate_proj", "up_proj"]}

NF4_STATE = ".quant_state.bitsandbytes__nf4"


def decode_nf4(weights: Iterable[tuple[str, torch.Tensor]]) -> Iterator[tuple[str, torch.Tensor]]:
    """Turn bitsandbytes NF4 weights into plain ones, and pass all others on.

    vLLM dropped bitsandbytes, so what is 4-bit on disk is 16-bit in memory; `--quantization fp8` makes it
    8-bit while it is loaded. A weight and its parts (`.absmax`, `.quant_map`, ...) may come in any order: it
    is held back until they are complete.

    Args:
        weights: Name and tensor, as in the files.
    """
    waiting: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in weights:
        base, found, part = name.partition(".weight")
        if (
            not found
            or (tensor.dtype != torch.uint8 and part == "")
            or (part and not part.startswith(_NF4_PARTS))
        ):
            yield name, tensor
            continue
        parts = waiting.setdefault(base, {})
        parts[part] = tensor
        if NF4_STATE in parts:
            state = json.loads(bytes(parts[NF4_STATE].tolist()))
            nested = {".nested_absmax", ".nested_quant_map"} if "nested_blocksize" in state else set()
            if {"", ".absmax", ".quant_map", *nested} <= parts.keys():
                yield f"{base}.weight", _decode(waiting.pop(base), state)
    if waiting:
        raise ValueError(
            f"the checkpoint's 4-bit weights lack parts, download it again: {', '.join(waiting)}"
        )


_NF4_PARTS = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", ".quant_state")


def _decode(parts: Mapping[str, torch.Tensor], state: Mapping[str, object]) -> torch.Tensor:
    # As bitsandbytes does: two 4-bit codes per byte, high half first, each block with its scale.
    scales = parts[".absmax"].float()
    if ".nested_absmax" in parts:
        codes = parts[".nested_quant_map"].float()[parts[".absmax"].long()]
        blocks = parts[".nested_absmax"].float().repeat_interleave(int(str(state["nested_blocksize"])))
        scales = codes * blocks[: codes.numel()] + float(str(state["nested_offset"]))
    packed = parts[""].flatten()
    codes = torch.stack([packed >> 4, packed & 15], dim=1).flatten()
    values = parts[".quant_map"].float()[codes.long()]
    shape = torch.Size(state["shape"])  # type: ignore[arg-type]
    values = values[: shape.numel()] * scales.repeat_interleave(int(str(state["blocksize"])))[: shape.numel()]
    dtype: torch.dtype = getattr(torch, str(state["dtype"]))
    return values.to(dtype).reshape(shape)
