"""The configuration of Llama 3.2 Vision as vLLM needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers.models.mllama.configuration_mllama import MllamaConfig as PublishedConfig

from server.llama_vision.compat import check_version

if TYPE_CHECKING:
    from transformers.models.mllama.configuration_mllama import MllamaVisionConfig


# The name must stay: transformers finds tokenizer and processor by the name of the configuration's class.
class MllamaConfig(PublishedConfig):  # type: ignore[misc]
    """transformers' configuration, marked as an encoder-decoder model.

    vLLM gives cross-attention layers their own cache only if `is_encoder_decoder` is set. It reads
    `max_source_positions` where it has to know the longest sequence that they look at.

    Raises:
        UnknownVersionError: The installed vLLM is not one that this plugin was checked with. A configuration
            is the first thing of a model that vLLM reads, so start-up ends here and not later.
    """

    is_encoder_decoder: bool = True
    max_source_positions: int = 0

    def __post_init__(self, **kwargs: Any) -> None:
        """Check the engine, derive what the published files do not say."""
        check_version()
        super().__post_init__(**kwargs)
        self.is_encoder_decoder = True
        self.max_source_positions = max_tokens_per_picture(self.vision_config)

    def __setattr__(self, name: str, value: Any) -> None:
        """Leave out the settings of bitsandbytes, which vLLM dropped: `nf4.py` decodes while loading."""
        packed = name == "quantization_config" and value and value.get("quant_method") == "bitsandbytes"
        if not packed:
            super().__setattr__(name, value)


def tokens_per_tile(vision: MllamaVisionConfig) -> int:
    """Rows that one tile gives: its patches and the class token (1601 at 560 px and patches of 14 px)."""
    return int((vision.image_size // vision.patch_size) ** 2 + 1)


def max_tokens_per_picture(vision: MllamaVisionConfig) -> int:
    """Rows that the largest picture gives (6404 for 4 tiles of 1601)."""
    return int(vision.max_num_tiles) * tokens_per_tile(vision)


def pictures_per_prompt(multimodal: Any) -> int:
    """How many pictures a request may hold: what `--limit-mm-per-prompt` says, or 1.

    vLLM's own default (999) would reserve room for 999 pictures.

    Args:
        multimodal: vLLM's multimodal settings.
    """
    told = "image" in multimodal.limit_per_prompt
    return int(multimodal.get_limit_per_prompt("image")) if told else 1


def tiles_of(vision: MllamaVisionConfig, aspect_ratio_id: int) -> int:
    """How many tiles a picture of this aspect ratio has.

    Args:
        vision: The tower's configuration.
        aspect_ratio_id: 1-based index into its supported aspect ratios; 0 is padding.
    """
    width, height = vision.supported_aspect_ratios[aspect_ratio_id - 1]
    return int(width * height)
