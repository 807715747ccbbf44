"""Tiles of a picture -> the states that the text layers look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.initialization import no_init_weights
from transformers.models.mllama.modeling_mllama import MllamaVisionModel
from vllm.model_executor.layers.linear import ReplicatedLinear

from server.llama_vision.config import tiles_of

if TYPE_CHECKING:
    from server.llama_vision.config import MllamaConfig


def make_tower(config: MllamaConfig, quant_config: Any, prefix: str) -> nn.Module:
    """Make transformers' own vision tower, uninitialised.

    In a quantised checkpoint its linear layers become vLLM's, so that the checkpoint's list of what is
    quantised holds for them too. Under tensor parallelism every rank has the whole tower.

    Args:
        config: The model's.
        quant_config: vLLM's quantisation settings, or None.
        prefix: Name of the tower in the model.
    """
    with no_init_weights():
        tower: nn.Module = MllamaVisionModel(config.vision_config)
    if quant_config is not None:
        for name, layer in list(tower.named_modules()):
            if isinstance(layer, nn.Linear):
                tower.set_submodule(name, _linear_like(layer, quant_config, f"{prefix}.{name}"))
    return tower


def make_projector(config: MllamaConfig, quant_config: Any, prefix: str) -> nn.Module:
    """Make the layer between the tower's width (7680) and the text's (4096 or 8192)."""
    layer = nn.Linear(config.vision_config.vision_output_dim, config.text_config.hidden_size, device="meta")
    return _linear_like(layer, quant_config, prefix)


def _linear_like(layer: nn.Linear, quant_config: Any, prefix: str) -> nn.Module:
    replicated: nn.Module = ReplicatedLinear(
        layer.in_features,
        layer.out_features,
        bias=layer.bias is not None,
        quant_config=quant_config,
        prefix=prefix,
        return_bias=False,
    )
    return replicated


def encode_picture(
    tower: nn.Module, projector: nn.Module, config: MllamaConfig, tiles: torch.Tensor, aspect_ratio_id: int
) -> torch.Tensor:
    """Run the tower on one picture.

    The tower was trained with every picture filled up to the most tiles, and real tiles do attend to the
    empty ones there; so it is given them, and what comes out for them is dropped.

    Args:
        tower: From `make_tower`.
        projector: From `make_projector`.
        config: The model's.
        tiles: `[tiles, 3, image_size, image_size]`, normalised.
        aspect_ratio_id: 1-based index into the supported aspect ratios.

    Returns:
        `[tiles * tokens per tile, text width]`.
    """
    vision = config.vision_config
    real = tiles_of(vision, aspect_ratio_id)
    empty = tiles.new_zeros((vision.max_num_tiles - real, *tiles.shape[1:]))
    mask = torch.zeros(1, 1, vision.max_num_tiles, dtype=torch.long, device=tiles.device)
    mask[..., :real] = 1
    states = tower(
        pixel_values=torch.cat([tiles, empty])[None, None],
        aspect_ratio_ids=torch.tensor([[aspect_ratio_id]], device=tiles.device),
        aspect_ratio_mask=mask,
    ).last_hidden_state[0, 0, :real]
    projected: torch.Tensor = projector(states)
    return projected.flatten(0, 1)


def run_largest_picture(tower: nn.Module, projector: nn.Module, config: MllamaConfig) -> torch.Tensor:
    """Run the tower on an empty picture of the most tiles, which takes as much memory as any picture."""
    vision = config.vision_config
    parameter = next(tower.parameters())
    tiles = torch.zeros(
        vision.max_num_tiles,
        vision.num_channels,
        vision.image_size,
        vision.image_size,
        device=parameter.device,
        dtype=parameter.dtype,
    )
    layouts = range(1, len(vision.supported_aspect_ratios) + 1)
    return encode_picture(tower, projector, config, tiles, max(layouts, key=lambda layout: tiles_of(vision, layout)))
