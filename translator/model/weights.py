"""A checkpoint's weights on their way into the library's layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from translator.model.checkpoint import Checkpoint, Weight

_ROWS = 8192
"""Rows of a matrix that are quantised at a time."""


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

    def joined(self, names: list[str]) -> Weight:
        """Several matrices, by the names before ".weight", as one, below each other."""
        whole: Weight = np.concatenate([self.checkpoint[f"{name}.weight"] for name in names])
        return whole

    def _attention(self, attention: Any, at: str, fused: tuple[str, ...]) -> None:
        names = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "out_proj"}
        for linear, parts in zip(attention.linear, fused, strict=True):
            self._linear(linear, [f"{at}.{names[part]}" for part in parts])
        self.norm(attention.layer_norm, f"{at}_layer_norm")

    def _linear(self, linear: Any, names: list[str]) -> None:
        self.quantised(linear, self.joined(names))
        linear.bias = np.concatenate([self.checkpoint[f"{name}.bias"] for name in names])
