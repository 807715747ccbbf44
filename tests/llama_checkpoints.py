"""Tiny Llama 3.2 Vision checkpoints with random weights, written as the published ones are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import MllamaConfig, MllamaForConditionalGeneration, PreTrainedTokenizerFast

from scripts.demo.models.picture import published_name

if TYPE_CHECKING:
    from pathlib import Path

VOCABULARY = 320
PICTURE = VOCABULARY
BOS, EOS = 256, 257
PUBLISHED_CROSS_LAYERS = [3, 8, 13, 18, 23, 28, 33, 38]
IMAGE_SIZE = 64

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
    """A model whose weights are all random: gates far from 0, so that pictures matter, and norms far from
    1.
    """
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
    return {published_name(name): tensor.contiguous() for name, tensor in model.state_dict().items()}


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
    weight_map = {}
    for number in range(shards):
        name = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        part = {key: state[key] for key in sorted(state)[number::shards]}
        save_file(part, path / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, name)
    index = {"metadata": {"total_size": sum(t.nbytes for t in state.values())}, "weight_map": weight_map}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))


def write_tokenizer(path: Path) -> None:
    """A byte-level tokenizer with Llama's special tokens; `<|image|>` is the first id behind the
    vocabulary.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({char: number for number, char in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    ]
    special += ["<|finetune_right_pad_id|>", "<|python_tag|>"]
    special += [f"<|reserved_special_token_{n}|>" for n in range(VOCABULARY - 256 - len(special))]
    tokenizer.add_special_tokens([*special, "<|image|>"])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|begin_of_text|>",
        eos_token="<|end_of_text|>",
        pad_token="<|finetune_right_pad_id|>",
        chat_template=CHAT_TEMPLATE,
    )
    fast.save_pretrained(path)


NF4_VALUES = torch.tensor(
    [
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
        *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
        *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
        *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    ]
)
"""The 16 values of NF4: QLoRA (Dettmers et al. 2023), appendix E."""


def pack_nf4(weight: torch.Tensor, *, nested: bool = False) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Pack a weight as bitsandbytes does.

    Returns:
        Its tensors by the end of their names, and the values that they stand for.
    """
    blocks = weight.float().flatten().reshape(-1, 64)
    scales = blocks.abs().amax(1)
    state: dict[str, Any] = {"quant_type": "nf4", "blocksize": 64, "shape": list(weight.shape)}
    state["dtype"] = str(weight.dtype).removeprefix("torch.")
    parts = {"": torch.empty(0), ".absmax": scales, ".quant_map": NF4_VALUES.clone()}
    if nested:
        table = torch.linspace(-1, 1, 256)
        state |= {"nested_blocksize": 4, "nested_offset": scales.mean().item(), "nested_dtype": "float32"}
        groups = (scales - state["nested_offset"]).reshape(-1, 4)
        largest = groups.abs().amax(1, keepdim=True)
        nested_codes = (groups / largest)[..., None].sub(table).abs().argmin(-1)
        scales = (table[nested_codes] * largest).flatten() + state["nested_offset"]
        parts[".absmax"] = nested_codes.flatten().to(torch.uint8)
        parts |= {".nested_absmax": largest.flatten(), ".nested_quant_map": table}
    codes = (blocks / scales[:, None])[..., None].sub(NF4_VALUES).abs().argmin(-1).flatten()
    packed = codes.to(torch.uint8)
    parts[""] = ((packed[0::2] << 4) | packed[1::2])[:, None]
    encoded = list(json.dumps(state).encode())
    parts[".quant_state.bitsandbytes__nf4"] = torch.tensor(encoded, dtype=torch.uint8)
    values = (NF4_VALUES[codes].reshape(-1, 64) * scales[:, None]).reshape(weight.shape)
    return parts, values.to(weight.dtype)


def write_nf4(path: Path, model: MllamaForConditionalGeneration) -> MllamaForConditionalGeneration:
    """Pack all linear layers but the head, those of the vision tower too; returns what they stand for."""
    write_checkpoint(path, model)
    state = published_state(model)
    linear = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)} - {"lm_head"}
    for name in linear:
        layer = model.get_submodule(name)
        weight = f"{published_name(name)}.weight"
        parts, values = pack_nf4(state.pop(weight), nested=True)
        state |= {f"{weight}{part}": tensor for part, tensor in parts.items()}
        layer.weight.data = values
    write_shards(path, state, 1)
    settings = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    content = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(content | {"quantization_config": settings}))
    return model
