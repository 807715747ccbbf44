"""How much memory a model takes: formulae over the numbers in its config.json.

Parameters are counted layer by layer as the checkpoints hold them (transformers' modeling_mllama.py,
modeling_llama.py, modeling_clip.py), so weights are exact. So is the KV cache (vLLM's v1/core/kv_cache_utils.py
and v1/kv_cache_interface.py). Activations and overhead are estimates from above, not yet held against a GPU.

All sizes are in bytes unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from math import ceil, gcd
from typing import Any

Config = Mapping[str, Any]
ARCHITECTURES = frozenset({"mllama", "llava_next_video"})
"""Those that see, by their `model_type`; all others are counted (`counted.py`)."""
HALF = 2
"""Bytes of a bf16 number; activations, KV cache and all weights that are not quantised are of these, or of float32."""
DEFAULT_ENCODER_CACHE_GIB = 0.5
MLLAMA_EXTRA_TOKENS = 8
"""Rows of Llama 3.2 Vision's embedding beyond its vocabulary, for `<|image|>` and its like."""
MLLAMA_PADDED_TO = 8
"""Its tower pads the patches of a tile to a multiple of this (1601 to 1608)."""
W4A16_GROUP = 128
MATRICES = 7
"""Of a layer: queries, keys, values, what comes out of attention, and three of the MLP."""
LLAMA_DEFAULTS: Config = {
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
}
"""What transformers' LlamaConfig assumes where a file is silent."""


@dataclass(frozen=True)
class Text:
    """The sizes of a language model."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    extra_rows: int = 0
    cross_layers: int = 0
    """Of `layers`, those that look at the picture instead of the text."""
    number: int = HALF
    """Bytes of a number that is computed with."""

    @classmethod
    def of(cls, config: Config, number: int = HALF) -> Text:
        """Read the sizes from a `text_config`."""
        values = {**LLAMA_DEFAULTS, **config}
        heads = values["num_attention_heads"]
        mllama = values.get("model_type") == "mllama_text_model"
        return cls(
            hidden=values["hidden_size"],
            intermediate=values["intermediate_size"],
            layers=values["num_hidden_layers"],
            heads=heads,
            kv_heads=values.get("num_key_value_heads") or heads,
            head_dim=values.get("head_dim") or values["hidden_size"] // heads,
            vocabulary=values["vocab_size"],
            extra_rows=MLLAMA_EXTRA_TOKENS if mllama else 0,
            cross_layers=len(values.get("cross_attention_layers") or ()),
            number=number,
        )

    @property
    def linear(self) -> int:
        """Weights of the layers' matrices: what is quantised."""
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.intermediate)

    @property
    def linear_rows(self) -> int:
        """Output rows of those matrices; each has a scale when quantised."""
        attention = self.head_dim * (self.heads + 2 * self.kv_heads) + self.hidden
        return self.layers * (attention + 2 * self.intermediate + self.hidden)

    @property
    def rest(self) -> int:
        """Embedding, head, norms, and the gates and norms of cross-attention."""
        tables = self.hidden * (2 * self.vocabulary + self.extra_rows)
        return tables + self.hidden * (2 * self.layers + 1) + self.cross_layers * (2 * self.head_dim + 2)

    @property
    def kv_per_token(self) -> int:
        """Keys and values of one token in the layers that look at text."""
        return 2 * (self.layers - self.cross_layers) * self.kv_heads * self.head_dim * self.number

    @property
    def cross_kv_per_token(self) -> int:
        """Keys and values of one token of a picture in the cross-attention layers."""
        return 2 * self.cross_layers * self.kv_heads * self.head_dim * self.number


@dataclass(frozen=True)
class Scheme:
    """How the matrices of a language model are quantised: FP8-dynamic, or W4A16."""

    bits: int
    """Of a weight."""
    group: int | None
    """Weights of a row that share a scale of 16 bits; None: all of them."""

    @classmethod
    def of(cls, config: Config) -> Scheme | None:
        """Read a `quantization_config`; None: not one of these two, weights are as wide as what is computed with."""
        if config.get("quant_method") != "compressed-tensors":
            return None
        if config.get("format") != "pack-quantized":
            return cls(bits=8, group=None)
        groups: Config = config.get("config_groups", {})
        weights: Config = next((group["weights"] for group in groups.values()), {})
        return cls(bits=weights.get("num_bits", 4), group=weights.get("group_size", W4A16_GROUP))

    def bytes_of(self, text: Text) -> int:
        """What the matrices of a language model take, with their scales."""
        if self.group is None:
            return text.linear * self.bits // 8 + text.linear_rows * HALF
        shapes = text.layers * MATRICES * 2 * 8  # two int64 each, beside the packed weights
        return text.linear * self.bits // 8 + text.linear // self.group * HALF + shapes


@dataclass(frozen=True)
class Vision:
    """The sizes of a vision tower and its projector."""

    parameters: int
    tokens: int
    """Per picture or frame, inside the tower; of Llama 3.2 Vision with all tiles."""
    output_tokens: int
    """Per picture, as the language model looks at it; of Llama 3.2 Vision with all tiles."""
    width: int
    intermediate: int
    output_width: int
    masked: bool
    """Attention takes a mask over all pairs of tokens."""
    layers: int
    """That are computed."""

    @property
    def matrices(self) -> int:
        """Weights that every token is multiplied with in those layers."""
        return self.layers * (4 * self.width * self.width + 2 * self.width * self.intermediate)

    @classmethod
    def of(cls, config: Config) -> Vision:
        """Read `vision_config`, and the projector's sizes from the rest."""
        vision, text = config["vision_config"], Text.of(config["text_config"])
        return _mllama_vision(vision, text) if config["model_type"] == "mllama" else _clip(vision, text)


def _mllama_vision(vision: Config, text: Text) -> Vision:
    width, inner, tiles = vision["hidden_size"], vision["intermediate_size"], vision["max_num_tiles"]
    per_tile = (vision["image_size"] // vision["patch_size"]) ** 2 + 1
    layer = 4 * width * width + 2 * width * inner + inner + 5 * width  # attention has no bias
    ratios = len(vision["supported_aspect_ratios"]) + 1
    patches = vision.get("num_channels", 3) * vision["patch_size"] ** 2 * width
    positions = per_tile * width + ratios * tiles * per_tile * width + 2 * ratios * tiles * width
    layers, gated = vision["num_hidden_layers"], vision["num_global_layers"]
    tower = patches + width + positions + 3 + 4 * width + (layers + gated) * layer + 2 * gated
    output = vision["vision_output_dim"]
    return Vision(
        parameters=tower + output * text.hidden + text.hidden,
        tokens=tiles * (ceil(per_tile / MLLAMA_PADDED_TO) * MLLAMA_PADDED_TO),
        output_tokens=tiles * per_tile,
        width=width,
        intermediate=inner,
        output_width=output,
        masked=True,
        layers=layers + gated,
    )


def _clip(vision: Config, text: Text) -> Vision:
    width, inner = vision["hidden_size"], vision["intermediate_size"]
    tokens = (vision["image_size"] // vision["patch_size"]) ** 2 + 1
    layer = 4 * (width * width + width) + 2 * width * inner + inner + width + 4 * width
    tower = vision.get("num_channels", 3) * vision["patch_size"] ** 2 * width + width + tokens * width + 4 * width
    projector = width * text.hidden + text.hidden + text.hidden * text.hidden + text.hidden
    newline = text.hidden
    return Vision(
        parameters=tower + vision["num_hidden_layers"] * layer + projector + newline,
        tokens=tokens,
        output_tokens=(vision["image_size"] // vision["patch_size"] // 2) ** 2,  # frames are pooled 2 x 2
        width=width,
        intermediate=inner,
        output_width=width,
        masked=False,
        layers=vision["num_hidden_layers"] - 1,  # the last one's output is not looked at
    )


@dataclass(frozen=True)
class Model:
    """A model's sizes."""

    text: Text
    vision: Vision
    scheme: Scheme | None
    """How the language model's matrices are quantised; None: they are not."""

    @classmethod
    def of(cls, config: Config, number: int = HALF) -> Model:
        """Read the config.json of one of the `ARCHITECTURES`; `number`: bytes of one that is computed with."""
        scheme = Scheme.of(config.get("quantization_config", {}))
        return cls(Text.of(config["text_config"], number), Vision.of(config), scheme)

    @property
    def parameters(self) -> int:
        """The number of all weights."""
        return self.text.linear + self.text.rest + self.vision.parameters

    @property
    def linear_bytes(self) -> int:
        """Of the language model's matrices."""
        return self.scheme.bytes_of(self.text) if self.scheme else self.text.linear * self.text.number

    def weights(self, tensor_parallel: int = 1) -> int:
        """Bytes of weights on one GPU. The tower is counted whole on each: Llama 3.2 Vision's is not divided."""
        text, number = self.text, self.text.number
        return ceil((self.linear_bytes + text.rest * number) / tensor_parallel) + self.vision.parameters * number

    def request_kv(self, tokens: int, pictures: int = 0) -> int:
        """KV cache of one request of so many tokens and, for Llama 3.2 Vision, largest pictures."""
        cross = self.text.cross_kv_per_token * self.vision.output_tokens * pictures
        return self.text.kv_per_token * tokens + cross

    def kv_capacity(
        self, kv_bytes: int, *, max_model_len: int, batched_tokens: int, block: int, tensor_parallel: int = 1
    ) -> float:
        """Requests of the full context that the KV cache holds, as vLLM's log says it; it starts with 1 or more.

        vLLM divides the layers into groups of equal size; a block of the pool holds `block` tokens of one
        group. For the group of cross-attention it reserves `batched_tokens`, a picture's or more.
        """
        text = self.text
        sizes = [size for size in (text.layers - text.cross_layers, text.cross_layers) if size]
        per_group = reduce(gcd, sizes)
        heads = text.kv_heads // tensor_parallel
        pool = kv_bytes // (2 * per_group * heads * text.head_dim * text.number * block)
        blocks = sizes[0] // per_group * ceil(max_model_len / block)
        blocks += text.cross_layers // per_group * ceil(batched_tokens / block)
        return pool / blocks

    def encoder_cache(self, batched_tokens: int, size_gib: float | None = None) -> int:
        """Ours of Llama 3.2 Vision, of `size_gib`; vLLM's own holds as many tokens as a step."""
        if self.text.cross_layers == 0:
            return batched_tokens * self.text.hidden * self.text.number
        return int((DEFAULT_ENCODER_CACHE_GIB if size_gib is None else size_gib) * (1 << 30))

    def encoder_output(self) -> int:
        """What the largest picture leaves in the encoder cache."""
        return self.vision.output_tokens * self.text.hidden * self.text.number

    def activations(
        self, *, batched_tokens: int, requests: int, frames: int = 0, pictures: int = 0, tensor_parallel: int = 1
    ) -> int:
        """Peak of one step, an estimate from above.

        The text's widest place is its MLP (gate, up, and their product beside the residual stream and its
        FP8 copy), or the sampler's fp32 copies of the logits. The tower's is its MLP beside queries, keys and
        values; a mask of all pairs of tokens, and the kept states of Llama 3.2 Vision, come on top. Its text layers
        take the pictures of a request, earlier turns included, with keys and values, instead of the tower.
        """
        text, vision = self.text, self.vision
        mlp = batched_tokens * (3 * text.intermediate // tensor_parallel + 6 * text.hidden) * text.number
        logits = requests * text.vocabulary * 4 * 3
        tokens = vision.tokens * max(frames, 1)
        tower = tokens * (2 * vision.intermediate + 6 * vision.width + 2 * vision.output_width) * text.number
        mask = 2 * vision.tokens**2 * text.number if vision.masked else 0
        beside = vision.output_tokens * (text.hidden + 2 * text.kv_heads * text.head_dim) * text.number
        return max(mlp, logits) + max(tower + mask, pictures * beside if text.cross_layers else 0)
