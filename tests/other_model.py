"""A tiny model of an architecture that nothing here has code for: Qwen3-VL, without weights in its folder.

Its pictures and frames are of any size, its text layers get them at several depths and with times between them, and its
calls of tools are written in tags: all of that otherwise than by the two models that this project is about.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

if TYPE_CHECKING:
    from pathlib import Path

BYTES = 256
SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"),
)
IDS = {token: BYTES + number for number, token in enumerate(SPECIAL)}
VOCABULARY = 320
PATCH, MERGED = 16, 2
SQUARE = PATCH * MERGED
"""Pixels of a side of what becomes one token of the text."""
MOST = 16
"""Tokens of the largest picture, and of two frames."""
CHAT_TEMPLATE = """\
{%- macro content(parts) %}{% if parts is string %}{{ parts }}{% else %}{% for part in parts %}\
{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>\
{% elif part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>\
{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}{% endmacro %}
{%- if tools %}<|im_start|>system\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}\n{{ content(message.content) }}<|im_end|>\n{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"""
CONFIG: dict[str, Any] = {
    "architectures": ["Qwen3VLForConditionalGeneration"],
    "model_type": "qwen3_vl",
    "dtype": "bfloat16",
    "image_token_id": IDS["<|image_pad|>"],
    "video_token_id": IDS["<|video_pad|>"],
    "vision_start_token_id": IDS["<|vision_start|>"],
    "vision_end_token_id": IDS["<|vision_end|>"],
    "tie_word_embeddings": False,
    "text_config": {
        "model_type": "qwen3_vl_text",
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "max_position_embeddings": 2048,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 500000.0,
            "mrope_section": [6, 5, 5],
            "mrope_interleaved": True,
        },
        "eos_token_id": IDS["<|im_end|>"],
        "pad_token_id": IDS["<|endoftext|>"],
    },
    "vision_config": {
        "model_type": "qwen3_vl",
        "depth": 3,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_heads": 2,
        "patch_size": PATCH,
        "spatial_merge_size": MERGED,
        "out_hidden_size": 64,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0, 1],
    },
}
CUT = {
    "patch_size": PATCH,
    "temporal_patch_size": 2,
    "merge_size": MERGED,
    "size": {"shortest_edge": 4 * SQUARE**2, "longest_edge": MOST * SQUARE**2},
}
FILES: dict[str, Any] = {
    "config.json": CONFIG,
    "generation_config.json": {"eos_token_id": IDS["<|im_end|>"], "pad_token_id": IDS["<|endoftext|>"]},
    "preprocessor_config.json": {"image_processor_type": "Qwen2VLImageProcessor", **CUT},
    "video_preprocessor_config.json": {"video_processor_type": "Qwen3VLVideoProcessor", **CUT},
    "processor_config.json": {"processor_class": "Qwen3VLProcessor"},
    "tokenizer_config.json": {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
    },
}


def write_folder(path: Path) -> Path:
    """Write configuration, tokenizer (a token a byte) and processor; for random weights (`--load-format dummy`)."""
    path.mkdir(parents=True, exist_ok=True)
    for name, content in FILES.items():
        (path / name).write_text(json.dumps(content))
    (path / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({char: number for number, char in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    reserved = [f"<reserved_{number}>" for number in range(VOCABULARY - BYTES - len(SPECIAL))]
    tokenizer.add_special_tokens([*SPECIAL, *reserved])
    tokenizer.save(str(path / "tokenizer.json"))
    return path
