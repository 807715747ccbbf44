"""An NLLB or MADLAD-400 checkpoint of transformers as a CTranslate2 model.

Weights are read and quantised one at a time (see `checkpoint`), so that the memory needed is about that of the
result and of its token embeddings.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from translator.errors import ModelError
from translator.model import conversion_t5
from translator.model.checkpoint import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from translator.model.checkpoint import Weight

# The same matrix; a checkpoint keeps it under one or more of these names.
_SHARED = (
    "model.shared.weight",
    "lm_head.weight",
    "model.encoder.embed_tokens.weight",
    "model.decoder.embed_tokens.weight",
)
_ROWS = 8192
"""Rows of a matrix that are quantised at a time."""


def convert(checkpoint: Path, output: Path, quantization: str = "int8") -> None:
    """Write `checkpoint` as a CTranslate2 model with its tokenizer into the new folder `output`.

    Raises:
        ImportError: this checkpoint needs torch, and it is missing.
        ModelError: it is not a model that can be converted.
    """
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    kind = config.get("model_type")
    if kind not in ("m2m_100", "t5"):
        raise ModelError(f"{checkpoint} holds a {kind!r} model: neither NLLB (m2m_100) nor MADLAD-400 (t5)")
    if kind == "m2m_100" and config["activation_function"] != "relu":
        raise ModelError(f"{checkpoint} has the activation {config['activation_function']!r}; NLLB-200 has relu")
    with _pretend_missing("torch"):  # imported by `specs` for other converters: seconds, and hundreds of MB
        import ctranslate2.specs  # noqa: F401, PLC0415
    weights = Weights(Checkpoint(checkpoint), quantization)
    spec = conversion_t5.spec_of(config, weights) if kind == "t5" else _m2m100(config, weights, checkpoint)
    _vocabulary(spec, checkpoint, config)
    spec.validate()
    spec.optimize(quantization=None if weights.int8 else quantization)  # None: only finds what is there twice
    output.mkdir(parents=True)
    spec.save(str(output))
    shutil.copy(checkpoint / "tokenizer.json", output / "tokenizer.json")


def _m2m100(config: dict[str, Any], weights: Weights, checkpoint: Path) -> Any:
    """The library's description of an NLLB-200 model, with all its weights."""
    from ctranslate2.specs import TransformerSpec  # noqa: PLC0415

    spec = TransformerSpec.from_config(
        (config["encoder_layers"], config["decoder_layers"]),
        config["encoder_attention_heads"],
        pre_norm=True,
    )
    _embeddings(spec, weights, checkpoint)
    positions = sinusoids(config["max_position_embeddings"], config["d_model"])
    for name in ("encoder", "decoder"):
        half = getattr(spec, name)
        half.scale_embeddings = config["d_model"] ** 0.5 if config["scale_embedding"] else 1.0
        half.position_encodings.encodings = positions
        weights.norm(half.layer_norm, f"model.{name}.layer_norm")
        for number, layer in enumerate(half.layer):
            weights.layer(layer, f"model.{name}.layers.{number}")
            print(f"{name}: layer {number + 1} of {len(half.layer)}", file=sys.stderr, flush=True)
    return spec


def _embeddings(spec: Any, weights: Weights, checkpoint: Path) -> None:
    shared = next((name for name in _SHARED if name in weights.checkpoint), None)
    if shared is None:
        raise ModelError(f"{checkpoint} has no token embeddings: none of {', '.join(_SHARED)}")
    # One matrix in three places. Its scale stands at the first alone, to which the library refers the others.
    weights.quantised(spec.decoder.embeddings, weights.checkpoint[shared])
    spec.encoder.embeddings[0].weight = spec.decoder.embeddings.weight
    spec.decoder.projection.weight = spec.decoder.embeddings.weight


def _vocabulary(spec: Any, checkpoint: Path, config: dict[str, Any]) -> None:
    from tokenizers import Tokenizer  # noqa: PLC0415

    vocabulary = Tokenizer.from_file(str(checkpoint / "tokenizer.json")).get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)[: config["vocab_size"]]
    tokens += [f"madeupword{i}" for i in range(config["vocab_size"] - len(tokens))]
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    # A T5 has no token that begins a text: its padding stands for it, as in the library's own converter.
    first = tokens[config["pad_token_id"]] if config["model_type"] == "t5" else "<s>"
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = first, "</s>", "<unk>"
    spec.config.decoder_start_token = tokens[config["decoder_start_token_id"]]


@contextlib.contextmanager
def _pretend_missing(module: str) -> Iterator[None]:
    """Let an optional import of `module` fail, unless it is loaded already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


def sinusoids(count: int, width: int) -> NDArray[np.float32]:
    """M2M100's position table of shape (count, width): sines, then cosines, from position 2 on."""
    half = width // 2
    step = np.float32(np.log(10000) / (half - 1))
    frequencies = np.exp(np.float64(np.arange(half, dtype=np.float32) * -step)).astype(np.float32)
    angles = np.arange(2, count + 2, dtype=np.float32)[:, None] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


class Weights:
    """Moves a checkpoint's weights into the library's layers, 8-bit at once if that is wanted."""

    def __init__(self, checkpoint: Checkpoint, quantization: str) -> None:
        """Take weights from `checkpoint`, to be stored as `quantization` ("int8", or another type of CTranslate2)."""
        self.checkpoint = checkpoint
        self.int8 = quantization == "int8"

    def layer(self, layer: Any, at: str) -> None:
        """Fill a layer of the encoder or the decoder from the weights below `at`."""
        self._attention(layer.self_attention, f"{at}.self_attn", ("qkv", "o"))
        if f"{at}.encoder_attn.q_proj.weight" in self.checkpoint:
            self._attention(layer.attention, f"{at}.encoder_attn", ("q", "kv", "o"))
        self._linear(layer.ffn.linear_0, [f"{at}.fc1"])
        self._linear(layer.ffn.linear_1, [f"{at}.fc2"])
        self.norm(layer.ffn.layer_norm, f"{at}.final_layer_norm")

    def norm(self, norm: Any, name: str) -> None:
        """Fill a layer norm."""
        norm.gamma, norm.beta = self.checkpoint[f"{name}.weight"], self.checkpoint[f"{name}.bias"]

    def quantised(self, layer: Any, weight: Weight) -> None:
        """Fill a matrix, some rows at a time, by the library's formula (`ModelSpec._quantize`), to the last bit."""
        if not self.int8:
            layer.weight = weight
            return
        layer.weight = np.empty(weight.shape, np.int8)
        layer.weight_scale = np.empty(len(weight), np.float32)
        for at in range(0, len(weight), _ROWS):
            rows = np.array(weight[at : at + _ROWS], np.float32)
            largest = np.abs(rows).max(axis=1)
            largest[largest == 0] = 127.0
            scale = 127.0 / np.maximum(largest, np.float32(127) / np.finfo(np.float32).max)
            layer.weight[at : at + _ROWS] = np.rint(rows * scale[:, None])
            layer.weight_scale[at : at + _ROWS] = scale

    def _attention(self, attention: Any, at: str, fused: tuple[str, ...]) -> None:
        names = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "out_proj"}
        for linear, parts in zip(attention.linear, fused, strict=True):
            self._linear(linear, [f"{at}.{names[part]}" for part in parts])
        self.norm(attention.layer_norm, f"{at}_layer_norm")

    def _linear(self, linear: Any, names: list[str]) -> None:
        self.quantised(linear, np.concatenate([self.checkpoint[f"{name}.weight"] for name in names]))
        linear.bias = np.concatenate([self.checkpoint[f"{name}.bias"] for name in names])
