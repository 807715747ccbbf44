"""Reads weights that bitsandbytes packed to 4 bits (NF4)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

STATE = ".quant_state.bitsandbytes__nf4"
PARTS = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", STATE)


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
        packed = part == "" and tensor.dtype == torch.uint8
        if not found or not (packed or part.startswith(PARTS)):
            yield name, tensor
            continue
        parts = waiting.setdefault(base, {})
        parts[part] = tensor
        if STATE in parts:
            state = json.loads(bytes(parts[STATE].tolist()))
            nested = {".nested_absmax", ".nested_quant_map"} if "nested_blocksize" in state else set()
            if {"", ".absmax", ".quant_map", *nested} <= parts.keys():
                yield f"{base}.weight", _decode(waiting.pop(base), state)
    if waiting:
        raise ValueError(f"the checkpoint's 4-bit weights lack parts, download it again: {', '.join(waiting)}")


def _decode(parts: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> torch.Tensor:
    # As bitsandbytes does: two 4-bit codes per byte, high half first, each block with its scale.
    scales = parts[".absmax"].float()
    if ".nested_absmax" in parts:
        codes = parts[".nested_quant_map"].float()[parts[".absmax"].long()]
        blocks = parts[".nested_absmax"].float().repeat_interleave(state["nested_blocksize"])
        scales = codes * blocks[: codes.numel()] + state["nested_offset"]
    packed = parts[""].flatten()
    codes = torch.stack([packed >> 4, packed & 15], dim=1).flatten()
    values = parts[".quant_map"].float()[codes.long()]
    shape = torch.Size(state["shape"])
    count = shape.numel()
    values = values[:count] * scales.repeat_interleave(state["blocksize"])[:count]
    dtype: torch.dtype = getattr(torch, state["dtype"])
    return values.to(dtype).reshape(shape)
