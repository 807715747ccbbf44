"""The configuration of Llama 3.2 Vision as vLLM needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers.models.mllama.configuration_mllama import MllamaConfig as PublishedConfig

from server.errors import UnsupportedSettingError
from server.llama_vision.compat import check_version, prepare_configuration

if TYPE_CHECKING:
    from transformers.models.mllama.configuration_mllama import MllamaVisionConfig

EXTRA_TOKENS = 8
"""Rows of the embedding beyond the vocabulary: `<|image|>` is the first of them. The head cannot write them."""
DEFAULT_PICTURES = 8
"""Pictures of a request, unless `--limit-mm-per-prompt` says otherwise."""


# The name must stay: transformers finds tokenizer and processor by the name of the configuration's class.
class MllamaConfig(PublishedConfig):  # type: ignore[misc]
    """transformers' configuration, marked as an encoder-decoder model.

    vLLM gives cross-attention layers their own cache only if `is_encoder_decoder` is set. It reads
    `max_source_positions` where it has to know the longest sequence that they look at: the keys of the largest group
    of pictures side by side, set by `accept_settings` and until then those of one picture.

    Raises:
        UnknownVersionError: The installed vLLM is not one that this plugin was checked with. A configuration
            is the first thing of a model that vLLM reads, so start-up ends here and not later.
    """

    is_encoder_decoder: bool = True
    max_source_positions: int = 0

    def __post_init__(self, **kwargs: Any) -> None:
        """Check the engine, derive what the published files do not say."""
        check_version()
        prepare_configuration(accept_settings, EXTRA_TOKENS)
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
    """How many pictures a request may hold: what `--limit-mm-per-prompt` says, or `DEFAULT_PICTURES`.

    vLLM's own default is 999.

    Args:
        multimodal: vLLM's multimodal settings.
    """
    told = "image" in multimodal.limit_per_prompt
    return int(multimodal.get_limit_per_prompt("image")) if told else DEFAULT_PICTURES


def accept_settings(vllm_config: Any) -> None:
    """Refuse settings with which the model would answer wrongly or not at all, before anything is loaded.

    Also sets the most keys that pictures side by side may have: as many as vLLM computes in a step, and no more than
    the pictures of a request.

    Args:
        vllm_config: All settings of the engine.

    Raises:
        UnsupportedSettingError: Names the setting, and what to do.
    """
    parallel = vllm_config.parallel_config
    refused = {
        "--enable-prefix-caching": (
            vllm_config.cache_config.enable_prefix_caching,
            "a prompt that begins like an earlier one would not see its pictures",
        ),
        "--speculative-config": (vllm_config.speculative_config, "drafts know nothing of pictures"),
        "--kv-transfer-config": (vllm_config.kv_transfer_config, "the keys of pictures would stay behind"),
        "--ec-transfer-config": (vllm_config.ec_transfer_config, "outputs of the vision tower are not shared"),
        "--pipeline-parallel-size": (
            parallel.pipeline_parallel_size > 1,
            "the text layers are not divided by depth; use --tensor-parallel-size",
        ),
        "--decode-context-parallel-size": (
            parallel.decode_context_parallel_size > 1,
            "the keys of a picture are not divided; use --tensor-parallel-size",
        ),
        "--prefill-context-parallel-size": (
            parallel.prefill_context_parallel_size > 1,
            "prompts are not divided; use --tensor-parallel-size",
        ),
        "--kv-sharing-fast-prefill": (
            vllm_config.cache_config.kv_sharing_fast_prefill,
            "all layers need the whole prompt",
        ),
        "--enable-lora": (vllm_config.lora_config, "its layers take no adapters"),
    }
    for option, (given, reason) in refused.items():
        if given:
            raise UnsupportedSettingError(f"Llama 3.2 Vision cannot be served with {option}: {reason}")
    model = vllm_config.model_config
    config = model.hf_config
    limit, most = pictures_per_prompt(model.multimodal_config), tokens_per_tile(config.vision_config)
    if limit > most:
        raise UnsupportedSettingError(
            f"Llama 3.2 Vision takes at most {most} pictures a request: --limit-mm-per-prompt '{{\"image\": {most}}}'"
        )
    largest = max_tokens_per_picture(config.vision_config)
    config.max_source_positions = min(
        max(limit, 1) * largest, max(vllm_config.scheduler_config.max_num_batched_tokens, largest)
    )


def tiles_of(vision: MllamaVisionConfig, aspect_ratio_id: int) -> int:
    """How many tiles a picture of this aspect ratio has.

    Args:
        vision: The tower's configuration.
        aspect_ratio_id: 1-based index into its supported aspect ratios; 0 is padding.
    """
    width, height = vision.supported_aspect_ratios[aspect_ratio_id - 1]
    return int(width * height)
