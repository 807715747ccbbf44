"""A request's prompt and pictures -> what the model computes with, or an error that says what is wrong.

vLLM answers a `ValueError` from here with status 400 and its text, and goes on with the next request.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from transformers import BatchFeature
from vllm.multimodal.inputs import MultiModalFieldConfig
from vllm.multimodal.processing import (
    BaseDummyInputsBuilder,
    BaseProcessingInfo,
    EncDecMultiModalProcessor,
    PromptReplacement,
)

from server.llama_vision.compat import prepare_prompts
from server.llama_vision.config import pictures_per_prompt, tiles_of, tokens_per_tile
from server.llama_vision.encoder_cache import content_key
from server.llama_vision.geometry import check_prompt, shares_of_last_group

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.llama_vision.config import MllamaConfig


class ProcessingInfo(BaseProcessingInfo):  # type: ignore[misc]
    """What vLLM asks about the model's inputs."""

    @property
    def config(self) -> MllamaConfig:
        """The model's configuration."""
        config: MllamaConfig = self.ctx.get_hf_config()
        return config

    @property
    def skip_prompt_length_check(self) -> bool:
        """The encoder prompt is not text: its length is checked as number of pictures."""
        return True

    def get_supported_mm_limits(self) -> Mapping[str, int | None]:
        """Pictures that a request may hold."""
        return {"image": pictures_per_prompt(self.ctx.get_mm_config())}

    def get_mm_max_tokens_per_item(self, seq_len: int, mm_counts: Mapping[str, int]) -> Mapping[str, int]:
        """Keys of the largest group of pictures side by side that a request may hold.

        The scheduler takes all pictures of a request in one step, or none: a request with more keys than its
        budget would wait for ever and block those behind it. Told this number, vLLM makes the budget large
        enough, or does not start.
        """
        return {"image": self.config.max_source_positions}

    def get_default_tok_params(self) -> Any:
        """Prompts bring their own `<|begin_of_text|>`: it stands before or behind the pictures, but once."""
        return super().get_default_tok_params().with_kwargs(add_special_tokens=False)


class DummyInputs(BaseDummyInputsBuilder):  # type: ignore[misc]
    """The largest inputs, with which vLLM measures memory."""

    def get_dummy_text(self, mm_counts: Mapping[str, int]) -> str:
        """Return a prompt for so many pictures."""
        return "<|image|>" * mm_counts.get("image", 0)

    def get_dummy_mm_data(self, seq_len: int, mm_counts: Mapping[str, int], mm_options: Mapping[str, Any]) -> Any:
        """Make square pictures that fill the most tiles."""
        side = self.info.config.vision_config.image_size * 2
        count = mm_counts.get("image", 0)
        return {"image": self._get_dummy_images(width=side, height=side, num_images=count)}


class PictureProcessor(EncDecMultiModalProcessor):  # type: ignore[misc]
    """Runs the checkpoint's own image processor, and keeps of it what is needed."""

    # The prompt is complete; vLLM would put another BOS before it.
    skip_decoder_start_token = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Come into being beside vLLM's renderer, if there is one in this process."""
        prepare_prompts()
        super().__init__(*args, **kwargs)

    def create_encoder_prompt(self, prompt: list[int], mm_items: Any) -> list[int]:
        """Stand for the pictures, one token each; vLLM counts their rows by what replaces it."""
        return [self.info.config.image_token_index] * mm_items.get_all_counts().get("image", 0)

    def apply(self, inputs: Any, timing_ctx: Any) -> Any:
        """Process a request.

        Raises:
            ValueError: Prompt and pictures do not fit together, or too much stands side by side.
        """
        config = self.info.config
        pictures = inputs.mm_data_items.get_all_counts().get("image", 0)
        check_prompt(inputs.prompt, config.image_token_index, pictures)
        processed = super().apply(inputs, timing_ctx)
        # All pictures are needed before the first row is computed, wherever they stand in the prompt; vLLM's
        # cache takes those that stand side by side at its end.
        for modality, places in processed["mm_placeholders"].items():
            keys = shares_of_last_group(inputs.prompt, config.image_token_index, [place.length for place in places])
            if sum(keys) > config.max_source_positions:
                raise ValueError(
                    f"the last pictures that stand side by side have {sum(keys)} keys together, at most "
                    f"{config.max_source_positions} are taken: fewer pictures at once, smaller ones, text between "
                    "them, or a server with a larger --max-num-batched-tokens"
                )
            processed["mm_placeholders"][modality] = [
                replace(place, offset=0, length=length) for place, length in zip(places, keys, strict=True)
            ]
        return processed

    def _postprocess_hf_mm_data(
        self,
        mm_inputs: Mapping[str, object],
        hf_processor_mm_kwargs: Mapping[str, object],
        processed_data: Any,
    ) -> Any:
        if "pixel_values" not in processed_data:
            return processed_data
        vision = self.info.config.vision_config
        # The image processor nests: one batch of n pictures.
        pixels = processed_data["pixel_values"][0]
        ids = processed_data["aspect_ratio_ids"][0]
        expected = (vision.max_num_tiles, vision.num_channels, vision.image_size, vision.image_size)
        if pixels.shape[1:] != expected:
            raise ValueError(
                f"a picture became {tuple(pixels.shape[1:])}, the model takes {expected}: "
                "do not change size or max_image_tiles in mm_processor_kwargs"
            )
        tiles = [picture[: tiles_of(vision, index)] for picture, index in zip(pixels, ids.tolist(), strict=True)]
        return BatchFeature(
            {
                "pixel_values": tiles,
                "aspect_ratio_ids": ids,
                "content_key": torch.stack([content_key(*item) for item in zip(tiles, ids.tolist(), strict=True)]),
            }
        )

    def _get_mm_fields_config(self, hf_inputs: Any, hf_processor_mm_kwargs: Mapping[str, object]) -> Any:
        return {
            "pixel_values": MultiModalFieldConfig.batched("image"),
            "aspect_ratio_ids": MultiModalFieldConfig.batched("image", keep_on_cpu=True),
            "content_key": MultiModalFieldConfig.batched("image", keep_on_cpu=True),
        }

    def _get_prompt_updates(
        self, mm_items: Any, hf_processor_mm_kwargs: Mapping[str, object], out_mm_kwargs: Any
    ) -> Sequence[Any]:
        config = self.info.config

        def rows(item: int) -> list[int]:
            tiles = tiles_of(config.vision_config, int(out_mm_kwargs["image"][item]["aspect_ratio_ids"].data))
            return [config.image_token_index] * (tiles * tokens_per_tile(config.vision_config))

        return [PromptReplacement(modality="image", target=[config.image_token_index], replacement=rows)]
