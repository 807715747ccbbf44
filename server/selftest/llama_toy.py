"""Tiny Llama 3.2 Vision checkpoints with random weights, written as the published ones are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from transformers import MllamaConfig, MllamaForConditionalGeneration

from server.selftest import toy_tokenizer
from server.selftest.published_names import llama_name

if TYPE_CHECKING:
    from pathlib import Path

VOCABULARY = 320
PICTURE = VOCABULARY
BOS, EOS = 256, 257
PUBLISHED_CROSS_LAYERS = [3, 8, 13, 18, 23, 28, 33, 38]
IMAGE_SIZE = 64
SPECIAL = (
    *("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *("<|finetune_right_pad_id|>", "<|python_tag|>"),
)

CHAT_TEMPLATE = """{{- bos_token }}{%- for message in messages %}
{%- if message['role'] == 'system' %}
{{- raise_exception('Prompting with images is incompatible with system messages.') }}{%- endif %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
{%- if message['content'] is string %}{{- message['content'] }}{%- else %}
{%- for part in message['content'] %}
{%- if part['type'] == 'image' %}{{- '<|image|>' }}
{%- elif part['type'] == 'text' %}{{- part['text'] }}{%- endif %}
{%- endfor %}{%- endif %}{{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"""


def tiny_config(**text: Any) -> MllamaConfig:
    """Head size 32, 17 tokens a tile (which the tower pads to 24), two cross-attention layers of five."""
    return MllamaConfig(
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_global_layers": 2,
            "attention_heads": 2,
            "intermediate_size": 64,
            "image_size": IMAGE_SIZE,
            "patch_size": 16,
            "intermediate_layers_indices": [0, 2],
            "vision_output_dim": 96,
        },
        text_config={
            "vocab_size": VOCABULARY,
            "hidden_size": 128,
            "num_hidden_layers": 5,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 256,
            "cross_attention_layers": [1, 3],
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 500000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 512,
            },
            "bos_token_id": BOS,
            "eos_token_id": EOS,
            "pad_token_id": 261,
            **text,
        },
        image_token_index=PICTURE,
    )


def random_model(config: MllamaConfig, seed: int = 0) -> MllamaForConditionalGeneration:
    """A model whose weights are all random: gates far from 0, so that pictures matter, norms far from 1."""
    torch.manual_seed(seed)
    model = MllamaForConditionalGeneration(config).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "gate_attn" in name or "gate_ffn" in name or name.endswith("gate"):
                parameter.fill_(0.6 + 0.6 * torch.rand(()).item())
            elif "norm" in name and name.endswith("weight"):
                parameter.uniform_(0.6, 1.4)
            elif "lm_head" in name:
                parameter.normal_(std=0.3)
            elif parameter.ndim > 1:
                parameter.normal_(std=0.8 * parameter.shape[-1] ** -0.5 if "embed" not in name else 0.5)
            else:
                parameter.normal_(std=0.1)
    return model


def published_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A model's weights under their published names."""
    return {llama_name(name): tensor.contiguous() for name, tensor in model.state_dict().items()}


def old_style_config(config: MllamaConfig, dtype: str) -> dict[str, Any]:
    """config.json as the published checkpoints have it: `rope_scaling`, `rope_theta`, `torch_dtype`."""
    content: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    text = content["text_config"]
    rope = text.pop("rope_parameters")
    text["rope_theta"] = rope.pop("rope_theta")
    text["rope_scaling"] = rope
    for part in (content, text, content["vision_config"]):
        part.pop("dtype", None)
        part.pop("transformers_version", None)
        part["torch_dtype"] = dtype
    return content | {
        "architectures": ["MllamaForConditionalGeneration"],
        "model_type": "mllama",
        "transformers_version": "4.45.0.dev0",
    }


def write_checkpoint(
    path: Path,
    model: MllamaForConditionalGeneration,
    *,
    dtype: torch.dtype = torch.float32,
    shards: int = 1,
) -> Path:
    """Write weights, configuration, tokenizer and processor, in the published style."""
    path.mkdir(parents=True, exist_ok=True)
    write_shards(path, {name: tensor.to(dtype) for name, tensor in published_state(model).items()}, shards)
    config = old_style_config(model.config, str(dtype).removeprefix("torch."))
    (path / "config.json").write_text(json.dumps(config))
    write_tokenizer(path)
    (path / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "do_convert_rgb": True,
                "do_normalize": True,
                "do_pad": True,
                "do_rescale": True,
                "do_resize": True,
                "image_mean": [0.48145466, 0.4578275, 0.40821073],
                "image_processor_type": "MllamaImageProcessor",
                "image_std": [0.26862954, 0.26130258, 0.27577711],
                "max_image_tiles": 4,
                "resample": 2,
                "rescale_factor": 1 / 255,
                "size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
            }
        )
    )
    return path


def write_shards(path: Path, state: dict[str, torch.Tensor], shards: int) -> None:
    """Write safetensors files, with an index if there are several."""
    if shards == 1:
        save_file(state, path / "model.safetensors", metadata={"format": "pt"})
        return
    weight_map: dict[str, str] = {}
    for number in range(shards):
        name = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        part = {key: state[key] for key in sorted(state)[number::shards]}
        save_file(part, path / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, name)
    index = {"metadata": {"total_size": sum(t.nbytes for t in state.values())}, "weight_map": weight_map}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))


def write_tokenizer(path: Path) -> None:
    """Llama's special tokens behind the bytes; `<|image|>` is the first id behind the vocabulary."""
    special = [*SPECIAL]
    special += [f"<|reserved_special_token_{n}|>" for n in range(VOCABULARY - toy_tokenizer.BYTES - len(special))]
    roles = {"bos_token": SPECIAL[0], "eos_token": SPECIAL[1], "pad_token": "<|finetune_right_pad_id|>"}
    toy_tokenizer.write_tokenizer(path, [*special, "<|image|>"], roles, CHAT_TEMPLATE)
