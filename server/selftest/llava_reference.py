"""What transformers' LLaVA-NeXT-Video answers: the reference for vLLM's own model of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import LlavaNextVideoVideoProcessor

from server.selftest.answers import answer_of, generated, one_thread
from server.selftest.llava_toy import EOS, FRAME_TOKENS, VIDEO

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL.Image import Image
    from transformers import LlavaNextVideoForConditionalGeneration

    from server.selftest.parity import Answer


class LlavaReference:
    """Answers prompts with transformers, one at a time, eager, greedy."""

    def __init__(self, model: LlavaNextVideoForConditionalGeneration, checkpoint: Path) -> None:
        self.model = model
        self.model.set_attn_implementation("eager")
        self.videos = LlavaNextVideoVideoProcessor.from_pretrained(checkpoint)

    def answer(self, prompt: list[int], frames: Sequence[Image], tokens: int) -> Answer:
        """Write so many tokens, each after its own."""
        return generated(self.model, self._inputs(prompt, frames), tokens, EOS)

    def follow(self, prompt: list[int], frames: Sequence[Image], written: list[int]) -> Answer:
        """What it writes after the prompt and the tokens of `written` before, in the place of each of them."""
        inputs = self._inputs(prompt, frames)
        start = inputs["input_ids"].shape[1] - 1
        inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([written[:-1]], dtype=torch.long)], 1)
        with one_thread():
            logits = self.model(**inputs).logits[0, start:]
        return answer_of(logits, written, [EOS])

    def _inputs(self, prompt: list[int], frames: Sequence[Image]) -> dict[str, Any]:
        """One `<video>` stands for all tokens of the frames."""
        ids = [number for token in prompt for number in [token] * (FRAME_TOKENS * len(frames) if token == VIDEO else 1)]
        inputs: dict[str, Any] = {"input_ids": torch.tensor([ids])}
        if frames:
            video = np.stack([np.asarray(frame) for frame in frames])
            pixels = self.videos(videos=[video], do_sample_frames=False, return_tensors="pt")["pixel_values_videos"]
            inputs["pixel_values_videos"] = pixels.to(self.model.dtype)
        return inputs
