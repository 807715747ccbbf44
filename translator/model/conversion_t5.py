"""A T5 checkpoint of transformers, such as MADLAD-400, as a CTranslate2 model.

The layout is that of CTranslate2's own `T5Loader`; here weights are read and quantised one at a time (see
`checkpoint`), as a model of 3 billion weights would else take 24 GB.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from translator.errors import ModelError

if TYPE_CHECKING:
    from translator.model.weights import Weights

_ACTIVATIONS = {"relu": "RELU", "gelu_new": "GELUTanh", "gelu": "GELU", "silu": "SWISH"}


def spec_of(config: dict[str, Any], weights: Weights) -> Any:
    """The library's description of the model, with all its weights.

    Raises:
        ModelError: it is of a kind that cannot be converted.
    """
    from ctranslate2.specs import TransformerSpec  # noqa: PLC0415
    from ctranslate2.specs.common_spec import Activation  # noqa: PLC0415

    gated, _, activation = str(config.get("feed_forward_proj", "relu")).rpartition("-")
    activation = config.get("dense_act_fn") or ("gelu_new" if (gated, activation) == ("gated", "gelu") else activation)
    if activation not in _ACTIVATIONS:
        raise ModelError(
            f"the model has the activation {activation!r}: only {', '.join(_ACTIVATIONS)} can be converted"
        )
    spec = TransformerSpec.from_config(
        (config["num_layers"], config.get("num_decoder_layers") or config["num_layers"]),
        config["num_heads"],
        pre_norm=True,
        activation=getattr(Activation, _ACTIVATIONS[activation]),
        ffn_glu=gated == "gated",
        relative_attention_bias=True,
        rms_norm=True,
    )
    _embeddings(spec, weights, tied=config.get("tie_word_embeddings", True))
    if config.get("tie_word_embeddings", True):
        spec.decoder.scale_outputs = config["d_model"] ** -0.5
    for name in ("encoder", "decoder"):
        _half(getattr(spec, name), name, weights, config)
    return spec


def _embeddings(spec: Any, weights: Weights, *, tied: bool) -> None:
    names = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    shared = next((name for name in names if name in weights.checkpoint), None)
    if shared is None:
        raise ModelError(f"the checkpoint has no token embeddings: none of {', '.join(names)}")
    weights.quantised(spec.decoder.embeddings, weights.checkpoint[shared])
    spec.encoder.embeddings[0].weight = spec.decoder.embeddings.weight
    if tied and "lm_head.weight" not in weights.checkpoint:
        spec.decoder.projection.weight = spec.decoder.embeddings.weight
    else:
        weights.quantised(spec.decoder.projection, weights.checkpoint["lm_head.weight"])


def _half(half: Any, name: str, weights: Weights, config: dict[str, Any]) -> None:
    """Fill the encoder or the decoder."""
    half.scale_embeddings = False
    half.layer_norm.gamma = weights.checkpoint[f"{name}.final_layer_norm.weight"]
    bias = weights.checkpoint[f"{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    for number, layer in enumerate(half.layer):
        at = f"{name}.block.{number}.layer"
        _attention(layer.self_attention, f"{at}.0", "SelfAttention", weights, ("qkv", "o"))
        layer.self_attention.relative_attention_bias = bias
        distance = np.dtype("int32").type(config.get("relative_attention_max_distance", 128))
        layer.self_attention.relative_attention_max_distance = distance
        last = 1
        if name == "decoder":
            _attention(layer.attention, f"{at}.1", "EncDecAttention", weights, ("q", "kv", "o"))
            last = 2
        dense = f"{at}.{last}.DenseReluDense"
        gated = f"{dense}.wi_0.weight" in weights.checkpoint
        weights.quantised(layer.ffn.linear_0, weights.checkpoint[f"{dense}.{'wi_0' if gated else 'wi'}.weight"])
        if gated:
            weights.quantised(layer.ffn.linear_0_noact, weights.checkpoint[f"{dense}.wi_1.weight"])
        weights.quantised(layer.ffn.linear_1, weights.checkpoint[f"{dense}.wo.weight"])
        layer.ffn.layer_norm.gamma = weights.checkpoint[f"{at}.{last}.layer_norm.weight"]
        print(f"{name}: layer {number + 1} of {len(half.layer)}", file=sys.stderr, flush=True)


def _attention(attention: Any, at: str, name: str, weights: Weights, fused: tuple[str, ...]) -> None:
    attention.queries_scale = 1.0  # T5 does not divide by the root of the width
    for linear, parts in zip(attention.linear, fused, strict=True):
        weights.quantised(linear, weights.joined([f"{at}.{name}.{part}" for part in parts]))
    attention.layer_norm.gamma = weights.checkpoint[f"{at}.layer_norm.weight"]
