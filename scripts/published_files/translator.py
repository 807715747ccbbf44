"""The translator's conversion of an NLLB checkpoint of which only names and shapes are there."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AutoConfig, M2M100ForConditionalGeneration

from scripts.benchmarks.models.random_nllb import SHAPES
from scripts.published_files.loading import Loaded
from scripts.published_files.manifests import Entry
from translator.model import conversion
from translator.model.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scripts.published_files.manifests import Manifest
    from translator.model.checkpoint import Weight

CONFIG: Mapping[str, Any] = {
    "model_type": "m2m_100",
    "activation_function": "relu",
    "max_position_embeddings": 1024,
    "scale_embedding": True,
}
"""What all published configurations say."""


def nllb_config(size: str) -> dict[str, Any]:
    """A published config.json, as far as sizes go: of `600M`, `1.3B` or `3.3B`."""
    shape = SHAPES[size]
    halves = {
        f"{half}_{name}": value
        for half in ("encoder", "decoder")
        for name, value in (("layers", shape.layers), ("ffn_dim", shape.ffn), ("attention_heads", shape.heads))
    }
    return {**CONFIG, **halves, "d_model": shape.width, "vocab_size": shape.vocabulary}


def nllb_manifest(config: Mapping[str, Any]) -> Manifest:
    """What transformers writes for a configuration, in float32; the one embedding under all of its names."""
    with torch.device("meta"):
        model = M2M100ForConditionalGeneration(AutoConfig.for_model(**config))
    return {name: Entry(tuple(tensor.shape), torch.float32) for name, tensor in model.state_dict().items()}


class _Shapes:
    """Stands for `Checkpoint`: arrays of the right shapes, in which one zero stands for every number."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.used: set[str] = set()

    def __contains__(self, name: object) -> bool:
        return name in self.manifest

    def __iter__(self) -> Iterator[str]:
        return iter(self.manifest)

    def __getitem__(self, name: str) -> Weight:
        self.used.add(name)
        return np.broadcast_to(np.float32(0), self.manifest[name].shape)


class _Weights(Weights):
    """Joins matrices without their numbers."""

    def joined(self, names: list[str]) -> Weight:
        parts = [self.checkpoint[f"{name}.weight"] for name in names]
        return np.broadcast_to(np.float32(0), (sum(len(part) for part in parts), parts[0].shape[1]))


def convert(config: dict[str, Any], manifest: Manifest) -> Loaded:
    """Let the translator convert a checkpoint of which only names and shapes are there.

    Raises:
        ModelError, KeyError: A tensor is missing; names it.
        ValueError: CTranslate2 finds a place in its model that nothing fills.
    """
    shapes = _Shapes(manifest)
    weights = _Weights(shapes, "float32")  # type: ignore[arg-type]
    with redirect_stderr(io.StringIO()):  # it says of each layer that it is done
        spec = conversion.nllb_spec(config, weights, Path("published"))
    words = [str(number) for number in range(config["vocab_size"])]
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    parameters = {name: value for name, value in spec.variables(ordered=True) if np.ndim(value) > 0}
    spec.validate()
    # One matrix under several names, of which the converter reads the first.
    aliases = set(conversion.SHARED) & set(manifest)
    return Loaded(
        tensors=len(manifest),
        unused=[name for name in manifest if name not in shapes.used | aliases],
        parameters=len(parameters),
        unfilled=[],
        elements=sum(torch.Size(manifest[name].shape).numel() for name in shapes.used),
    )
