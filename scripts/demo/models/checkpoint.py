"""Demo checkpoints: written as the published ones are, and what a new one takes over from one that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin


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


def inherit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Begin with the weights of a checkpoint; of tokens that it does not know, with new ones."""
    before = type(model).from_pretrained(folder, dtype=torch.float32).state_dict()
    known = AutoTokenizer.from_pretrained(folder).get_vocab()
    both = [(at, known[token]) for token, at in tokenizer.get_vocab().items() if token in known]
    now = model.state_dict()
    for name, weight in now.items():
        old = before[name]
        if any(part in name for part in ("embed_tokens", "shared", "lm_head")):
            new, there = zip(
                *((at, old_at) for at, old_at in both if at < len(weight) and old_at < len(old)), strict=True
            )
            weight[list(new)] = old[list(there)]
        else:
            weight.copy_(old)
    model.load_state_dict(now)
