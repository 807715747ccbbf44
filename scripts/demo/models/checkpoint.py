"""Demo checkpoints: written as the published ones are, and what a new one takes over from one that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer

from scripts.demo.models.tokenizer import parts

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
    """Begin with the weights of a checkpoint.

    Tokens that it does not know begin with random weights. Those that share parts begin alike; and each is written as
    it is read, so that to copy is learned for all of them at once.
    """
    before = type(model).from_pretrained(folder, dtype=torch.float32).state_dict()
    known = AutoTokenizer.from_pretrained(folder).get_vocab()
    vocabulary = tokenizer.get_vocab()
    now = model.state_dict()
    for name, weight in now.items():
        old = before[name]
        if not any(part in name for part in ("embed_tokens", "shared", "lm_head")):
            weight.copy_(old)
            continue
        size = old[: len(known)].std()
        for token, at in vocabulary.items():
            if at >= len(weight):
                continue
            if token in known and known[token] < len(old):
                weight[at] = old[known[token]]
            else:
                weight[at] = _beginning(tokenizer.convert_tokens_to_string([token]), weight.shape[1]) * size
    model.load_state_dict(now)


def _beginning(token: str, width: int) -> torch.Tensor:
    """Numbers of variance 1."""
    drawn = [torch.randn(width, generator=torch.Generator().manual_seed(crc32(part.encode()))) for part in parts(token)]
    beginning: torch.Tensor = torch.stack(drawn).sum(0) / len(drawn) ** 0.5
    return beginning
