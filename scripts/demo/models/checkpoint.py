"""Writing of a demo checkpoint as the published ones are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from transformers import PreTrainedModel, ProcessorMixin


def write_checkpoint(
    model: PreTrainedModel, processor: ProcessorMixin, folder: Path, published_name: Callable[[str], str]
) -> None:
    """Write weights in bfloat16 under their published names, configuration, tokenizer, processor and template."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        published_name(name): weight.to(torch.bfloat16).contiguous()
        for name, weight in model.state_dict().items()
        if not name.endswith("position_ids")
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model.config.architectures = [type(model).__name__]
    model.config.dtype = torch.bfloat16
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    processor.save_pretrained(folder)
