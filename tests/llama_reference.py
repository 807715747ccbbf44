"""What transformers' Llama 3.2 Vision answers: the reference that the plugin is compared with."""

from __future__ import annotations

from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from transformers import AutoImageProcessor
from transformers.models.mllama.processing_mllama import (
    convert_sparse_cross_attention_mask_to_dense,
    get_cross_attention_token_mask,
)

from scripts.demo.models.picture import follow_meta, published_name
from tests.llama_checkpoints import EOS, PICTURE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from PIL.Image import Image
    from transformers import MllamaForConditionalGeneration


@dataclass
class Answer:
    """Greedy tokens.

    Attributes:
        tokens: The likeliest token in each place.
        logprobs: Log probabilities of the tokens that were written.
        margins: How far the runner-up of each of the likeliest lay behind.
    """

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
        """Write so many tokens, each after its own."""
        with _one_thread():
            output = self.model.generate(
                **self._inputs(prompt, pictures),
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                do_sample=False,
                return_dict_in_generate=True,
                output_logits=True,
            )
        chosen = output.sequences[0, len(prompt) :].tolist()
        return replace(_answer(torch.cat(output.logits), chosen), tokens=chosen)  # of two that are alike, its own

    def follow(
        self, prompt: list[int], pictures: list[Image], written: list[int], *, see_all: str | None = None
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
        with _one_thread():
            logits = self.model(**inputs).logits[0, len(prompt) - 1 :]
        return _answer(logits, written)

    def _inputs(self, prompt: list[int], pictures: list[Image]) -> dict[str, Any]:
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
        return inputs


def _answer(logits: torch.Tensor, written: list[int]) -> Answer:
    logprobs = logits.float().log_softmax(-1)
    candidates = logprobs.index_fill(1, torch.tensor(EOS), -torch.inf)  # an answer has as many tokens as asked for
    top = candidates.topk(2)
    return Answer(
        top.indices[:, 0].tolist(),
        logprobs.gather(1, torch.tensor(written)[:, None])[:, 0].tolist(),
        (top.values[:, 0] - top.values[:, 1]).tolist(),
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Without gradients. The models are tiny: threads would spend their time waiting for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(threads)
