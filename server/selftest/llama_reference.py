"""What transformers' Llama 3.2 Vision answers: the reference that the plugin is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoImageProcessor
from transformers.models.mllama.processing_mllama import (
    convert_sparse_cross_attention_mask_to_dense,
    get_cross_attention_token_mask,
)

from server.selftest.answers import answer_of, generated, one_thread
from server.selftest.llama_toy import EOS, PICTURE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL.Image import Image
    from transformers import MllamaForConditionalGeneration

    from server.selftest.parity import Answer


def follow_meta(model: MllamaForConditionalGeneration) -> MllamaForConditionalGeneration:
    """Mask the attention of rows before the picture as Meta's own code does; transformers masks only the MLP there."""
    rows: dict[str, Any] = {}

    def remember(_: Any, args: Any, kwargs: dict[str, Any]) -> None:
        rows["mask"] = kwargs["full_text_row_masked_out_mask"]

    def apply(_: Any, args: Any, output: tuple[Any, ...]) -> tuple[Any, ...]:
        return output if rows["mask"] is None else (output[0] * rows["mask"][:, 0], *output[1:])

    for layer in model.model.language_model.layers:
        if hasattr(layer, "cross_attn"):
            layer.register_forward_pre_hook(remember, with_kwargs=True)
            layer.cross_attn.register_forward_hook(apply)
    return model


class LlamaReference:
    """Answers prompts with transformers, one at a time, eager, greedy."""

    def __init__(self, model: MllamaForConditionalGeneration, checkpoint: Path) -> None:
        self.model = follow_meta(model)
        self.model.set_attn_implementation("eager")
        self.images = AutoImageProcessor.from_pretrained(checkpoint)

    def answer(self, prompt: list[int], pictures: Sequence[Image], tokens: int) -> Answer:
        """Write so many tokens, each after its own."""
        return generated(self.model, self._inputs(prompt, pictures), tokens, EOS)

    def follow(
        self, prompt: list[int], pictures: Sequence[Image], written: list[int], *, see_all: str | None = None
    ) -> Answer:
        """What it writes after the prompt and the tokens of `written` before, in the place of each of them.

        These are `written` exactly if it writes `written` by itself; one pass instead of one for each token. The mask
        `see_all` is replaced by one that hides nothing.
        """
        inputs = self._inputs(prompt, pictures)
        if see_all is not None:
            inputs[see_all] = torch.ones_like(inputs[see_all])
        mask = inputs.get("cross_attention_mask")
        if mask is not None:  # all that is written sees what the prompt's last token sees
            inputs["cross_attention_mask"] = torch.cat([mask, mask[:, -1:].expand(-1, len(written) - 1, -1, -1)], 1)
        inputs["input_ids"] = torch.tensor([prompt + written[:-1]])
        with one_thread():
            logits = self.model(**inputs).logits[0, len(prompt) - 1 :]
        return answer_of(logits, written, [EOS])

    def _inputs(self, prompt: list[int], pictures: Sequence[Image]) -> dict[str, Any]:
        inputs: dict[str, Any] = {"input_ids": torch.tensor([prompt])}
        if pictures:
            processed = self.images([list(pictures)], return_tensors="pt")
            num_tiles = processed.pop("num_tiles")
            inputs |= processed
            inputs["pixel_values"] = inputs["pixel_values"].to(self.model.dtype)
            mask = convert_sparse_cross_attention_mask_to_dense(
                [get_cross_attention_token_mask(prompt, PICTURE)], num_tiles, 4, len(prompt)
            )
            inputs["cross_attention_mask"] = torch.tensor(mask)
        return inputs
