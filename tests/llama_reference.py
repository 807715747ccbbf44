"""What transformers' Llama 3.2 Vision answers: the reference that the plugin is compared with."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from transformers import AutoImageProcessor
from transformers.models.mllama.processing_mllama import (
    convert_sparse_cross_attention_mask_to_dense,
    get_cross_attention_token_mask,
)

from scripts.demo.models.picture import follow_meta, published_name
from tests.llama_checkpoints import PICTURE

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image
    from transformers import MllamaForConditionalGeneration


@dataclass
class Answer:
    """Greedy tokens, their log probabilities, and how far the runner-up of each lay behind."""

    tokens: list[int]
    logprobs: list[float]
    margins: list[float]


def quantized_as_served(model: MllamaForConditionalGeneration, checkpoint: Path) -> MllamaForConditionalGeneration:
    """Emulate FP8-dynamic: weights as the checkpoint holds them, activations rounded to FP8 row by row.

    Args:
        model: The model that was quantised; it is not changed.
        checkpoint: What it was quantised to.
    """
    model = deepcopy(model)
    state = load_file(checkpoint / "model.safetensors")

    def round_rows(_: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        scale = args[0].abs().amax(-1, keepdim=True) / 448
        return ((args[0] / scale).to(torch.float8_e4m3fn).to(args[0].dtype) * scale,)

    for name, module in model.named_modules():
        stored = f"{published_name(name)}.weight"
        if f"{stored}_scale" in state:
            module.weight.data = state[stored].float() * state[f"{stored}_scale"].float()
            module.register_forward_pre_hook(round_rows)
    return model


class Reference:
    """Answers prompts with transformers, one at a time, eager, greedy."""

    def __init__(self, model: MllamaForConditionalGeneration, checkpoint: Path) -> None:
        self.model = follow_meta(model)
        self.model.set_attn_implementation("eager")
        self.images = AutoImageProcessor.from_pretrained(checkpoint)

    def answer(self, prompt: list[int], pictures: list[Image], tokens: int) -> Answer:
        """Write so many tokens."""
        threads = torch.get_num_threads()
        # A tiny model: threads would spend their time waiting for each other.
        torch.set_num_threads(1)
        try:
            return self._answer(prompt, pictures, tokens)
        finally:
            torch.set_num_threads(threads)

    @torch.no_grad()
    def _answer(self, prompt: list[int], pictures: list[Image], tokens: int) -> Answer:
        inputs: dict[str, Any] = {"input_ids": torch.tensor([prompt])}
        if pictures:
            processed = self.images([pictures], return_tensors="pt")
            num_tiles = processed.pop("num_tiles")
            inputs |= processed
            inputs["pixel_values"] = inputs["pixel_values"].to(self.model.dtype)
            mask = convert_sparse_cross_attention_mask_to_dense(
                [get_cross_attention_token_mask(prompt, PICTURE)], num_tiles, 4, len(prompt)
            )
            inputs["cross_attention_mask"] = torch.tensor(mask)
        output = self.model.generate(
            **inputs,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
        )
        logprobs = torch.cat(output.logits).float().log_softmax(-1)
        top = logprobs.topk(2).values
        chosen = output.sequences[0, len(prompt) :]
        return Answer(
            chosen.tolist(),
            logprobs.gather(1, chosen[:, None])[:, 0].tolist(),
            (top[:, 0] - top[:, 1]).tolist(),
        )
