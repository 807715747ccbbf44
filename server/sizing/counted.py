"""How much memory a model takes whose architecture `memory.py` has no formulae for: counted by transformers.

The model is made from its own configuration on PyTorch's `meta` device, where it has shapes and no numbers. Weights are
exact. The KV cache is counted for all layers that attend, as if each attended to everything: models of which some look
at a window alone, or keep a state instead, need less. Activations are estimates from above.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

from server.sizing.memory import Scheme

if TYPE_CHECKING:
    from collections.abc import Mapping

WITHOUT_CACHE = {"linear_attention", "mamba", "conv"}
"""Kinds of layers that keep a state of one size instead of keys and values."""
BITS = {"fp8": 8, "fbgemm_fp8": 8, "mxfp4": 4, "awq": 4, "gptq": 4}
"""`quant_method` -> bits of a weight of the text layers, unless the file says how many."""
REASON = 160
"""Characters of what transformers says; it may list all that it knows."""
MERGED = 2
"""Patches of a side that become one token of the text, where the file does not say."""


@dataclass(frozen=True)
class CountedText:
    """The sizes of a language model; `memory.Text` has more."""

    hidden: int
    intermediate: int
    layers: int
    """That attend."""
    kv_heads: int
    head_dim: int
    vocabulary: int
    linear: int
    """Weights of the layers' matrices: what is quantised."""
    rest: int
    """Its other weights: embedding, head, norms."""
    number: int
    """Bytes of a number that is computed with."""

    @property
    def kv_per_token(self) -> int:
        """Keys and values of one token."""
        return 2 * self.layers * self.kv_heads * self.head_dim * self.number


@dataclass(frozen=True)
class CountedModel:
    """A model's sizes; it has the interface of `memory.Model`."""

    kind: str
    """Its `model_type`."""
    text: CountedText
    beside: int
    """Weights of towers and of what joins them to the text."""
    tower_width: int
    """Numbers that a patch takes while the tower computes; 0: the model sees nothing."""
    patches: int
    """That become one token of the text."""
    bits: int | None
    """Of a quantised weight; None: they are not."""
    group: int | None
    """Weights that share a scale; None: those of a row."""

    @property
    def parameters(self) -> int:
        """The number of all weights."""
        return self.text.linear + self.text.rest + self.beside

    @property
    def linear_bytes(self) -> int:
        """Of the language model's matrices."""
        if self.bits is None:
            return self.text.linear * self.text.number
        scales = self.text.linear // (self.group or self.text.hidden) * self.text.number
        return self.text.linear * self.bits // 8 + scales

    def weights(self, tensor_parallel: int = 1) -> int:
        """Bytes of weights on one GPU. Towers are counted whole on each: not all of vLLM's are divided."""
        text = self.linear_bytes + self.text.rest * self.text.number
        return ceil(text / tensor_parallel) + self.beside * self.text.number

    def kv_capacity(
        self, kv_bytes: int, *, max_model_len: int, batched_tokens: int, block: int, tensor_parallel: int = 1
    ) -> float:
        """Requests of the full context that the KV cache holds, at least."""
        del batched_tokens  # nothing is reserved for a step
        divided = max(self.text.kv_heads // tensor_parallel, 1) / self.text.kv_heads
        pool = kv_bytes / (self.text.kv_per_token * divided * block)
        return pool / ceil(max_model_len / block)

    def encoder_cache(self, batched_tokens: int, _: float | None = None) -> int:
        """VLLM's own holds as many tokens as a step."""
        return batched_tokens * self.text.hidden * self.text.number if self.tower_width else 0

    def activations(
        self, *, batched_tokens: int, requests: int, frames: int = 0, pictures: int = 0, tensor_parallel: int = 1
    ) -> int:
        """Peak of one step, an estimate from above: pictures and frames that fill it, whatever their sizes."""
        text = self.text
        mlp = batched_tokens * (3 * text.intermediate // tensor_parallel + 6 * text.hidden) * text.number
        logits = requests * text.vocabulary * 4 * 3
        tower = batched_tokens * self.patches * self.tower_width * text.number if frames or pictures else 0
        return max(mlp, logits) + tower


def count(config: Mapping[str, Any], number: int) -> CountedModel:
    """Count the weights of a configuration.

    Args:
        config: As in config.json.
        number: Bytes of the numbers that it computes with.

    Raises:
        ValueError: transformers does not know the architecture, or cannot make it.
    """
    try:
        import torch  # noqa: PLC0415 - heavy, and seldom needed
        from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText  # noqa: PLC0415
        from transformers import __version__ as version  # noqa: PLC0415
    except ImportError as error:
        raise ValueError(f"they are counted by transformers, which is not installed ({error.name})") from error
    kind = config.get("model_type")
    try:
        whole = AutoConfig.for_model(**config)
        with torch.device("meta"):
            maker = AutoModelForImageTextToText if hasattr(whole, "vision_config") else AutoModelForCausalLM
            model = maker.from_config(whole)
    except Exception as error:  # a file can be wrong in any way
        reason = str(error).partition("\n")[0][:REASON]
        raise ValueError(
            f"transformers {version} cannot make a {kind!r} model of its configuration: {reason}"
        ) from error
    decoder, head = model.get_decoder(), model.get_output_embeddings()
    linear = sum(value.numel() for name, value in decoder.named_parameters() if "layers." in name and value.ndim > 1)
    own = {id(value): value.numel() for part in (decoder, head) for value in part.parameters()}
    everything = sum({id(value): value.numel() for value in model.parameters()}.values())
    text = _text(whole.get_text_config(), linear, sum(own.values()) - linear, number)
    vision = getattr(whole, "vision_config", None)
    scheme = dict(config.get("quantization_config") or {})
    bits, group = _bits(scheme)
    return CountedModel(
        kind=str(kind),
        text=text,
        beside=everything - sum(own.values()),
        tower_width=_tower_width(vision),
        patches=int(getattr(vision, "spatial_merge_size", MERGED)) ** 2,
        bits=bits,
        group=group,
    )


def _text(config: Any, linear: int, rest: int, number: int) -> CountedText:
    kinds = getattr(config, "layer_types", None) or [""] * config.num_hidden_layers
    heads = config.num_attention_heads
    return CountedText(
        hidden=config.hidden_size,
        intermediate=getattr(config, "intermediate_size", None) or 4 * config.hidden_size,
        layers=sum(kind not in WITHOUT_CACHE for kind in kinds),
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
        vocabulary=config.vocab_size,
        linear=linear,
        rest=rest,
        number=number,
    )


def _tower_width(vision: Any) -> int:
    """The MLP beside queries, keys and values, of a patch."""
    if vision is None:
        return 0
    width: int = getattr(vision, "hidden_size", 0) or getattr(vision, "embed_dim", 1280)
    inner: int = getattr(vision, "intermediate_size", 0) or 4 * width
    return 2 * inner + 6 * width


def _bits(scheme: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Bits of a quantised weight, and how many share a scale; vLLM unpacks what is not known here, or refuses it."""
    if known := Scheme.of(scheme):
        return known.bits, known.group
    method = scheme.get("quant_method")
    if method not in BITS:
        return None, None
    group = scheme.get("group_size") or 0
    return int(scheme.get("bits") or BITS[method]), group if group > 0 else None  # GPTQ's -1 is a scale a row
