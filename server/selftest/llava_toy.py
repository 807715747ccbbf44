"""Tiny LLaVA-NeXT-Video checkpoints with random weights, written as the published one is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
)

from server.selftest import toy_tokenizer
from server.selftest.published_names import llava_name

if TYPE_CHECKING:
    from pathlib import Path

VOCABULARY = 320
BOS, EOS = 256, 257
IMAGE, VIDEO = 259, 260
SIDE, PATCH = 32, 4
FRAME_TOKENS = (SIDE // PATCH // 2) ** 2
"""Frames are pooled 2 x 2."""
SPECIAL = ("<s>", "</s>", "<pad>", "<image>", "<video>")


def tiny_config(**text: Any) -> LlavaNextVideoConfig:
    """CLIP of three layers, of which the second-last is looked at, and a Llama of three; 16 tokens a frame."""
    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4}
    return LlavaNextVideoConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=3,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=PATCH,
            projection_dim=32,
        ),
        text_config=LlamaConfig(
            **(sizes | {"num_key_value_heads": 2, "vocab_size": VOCABULARY, "max_position_embeddings": 4096}),
            bos_token_id=BOS,
            eos_token_id=EOS,
            pad_token_id=258,
            **text,
        ),
        image_token_index=IMAGE,
        video_token_index=VIDEO,
        image_grid_pinpoints=[[SIDE, SIDE]],
        architectures=["LlavaNextVideoForConditionalGeneration"],
    )


def random_model(config: LlavaNextVideoConfig, seed: int = 0) -> LlavaNextVideoForConditionalGeneration:
    """A model whose weights are all random, norms far from 1."""
    torch.manual_seed(seed)
    model = LlavaNextVideoForConditionalGeneration(config).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name and name.endswith("weight"):
                parameter.uniform_(0.6, 1.4)
            elif "lm_head" in name:
                parameter.normal_(std=0.3)
                parameter[[IMAGE, VIDEO]] = 0  # they are never the likeliest: nothing stands behind one that is written
            elif parameter.ndim > 1:
                parameter.normal_(std=1.1 * parameter.shape[-1] ** -0.5 if "embed" not in name else 0.5)
            else:
                parameter.normal_(std=0.1)
    return model


def write_checkpoint(
    path: Path, model: LlavaNextVideoForConditionalGeneration, *, dtype: torch.dtype = torch.float32
) -> Path:
    """Write weights, configuration, tokenizer and processor, in the published style."""
    path.mkdir(parents=True, exist_ok=True)
    state = {llava_name(name): tensor.to(dtype).contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, path / "model.safetensors", metadata={"format": "pt"})
    config = json.loads(model.config.to_json_string(use_diff=False))
    named = str(dtype).removeprefix("torch.")
    for part in (config, config["text_config"], config["vision_config"]):
        part["dtype"] = named
    (path / "config.json").write_text(json.dumps(config))
    _write_tokenizer(path)
    sizes = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}, "resample": 3}
    sizes |= {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
    steps = ("do_center_crop", "do_convert_rgb", "do_normalize", "do_rescale", "do_resize")
    sizes |= dict.fromkeys(steps, True) | {"rescale_factor": 1 / 255}
    processor = {
        "processor_class": "LlavaNextVideoProcessor",
        "image_processor": sizes
        | {"image_processor_type": "LlavaNextImageProcessor", "image_grid_pinpoints": [[SIDE, SIDE]]},
        "video_processor": sizes | {"video_processor_type": "LlavaNextVideoVideoProcessor", "do_sample_frames": False},
        "image_token": "<image>",
        "video_token": "<video>",
        "patch_size": PATCH,
        "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": "default",
    }
    (path / "processor_config.json").write_text(json.dumps(processor))
    return path


def _write_tokenizer(path: Path) -> None:
    """The published one's special tokens behind the bytes."""
    reserved = [f"<reserved_{number}>" for number in range(VOCABULARY - toy_tokenizer.BYTES - len(SPECIAL))]
    roles = {"bos_token": SPECIAL[0], "eos_token": SPECIAL[1], "pad_token": SPECIAL[2]}
    toy_tokenizer.write_tokenizer(path, [*SPECIAL, *reserved], roles)
