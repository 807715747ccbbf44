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
from translator.model.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


# The same matrix; a checkpoint keeps it under one or more of these names.
SHARED = (
    "model.shared.weight",
    "lm_head.weight",
    "model.encoder.embed_tokens.weight",
    "model.decoder.embed_tokens.weight",
)


def convert(checkpoint: Path, output: Path, quantization: str = "int8") -> None:
    """Write `checkpoint` as a CTranslate2 model with its tokenizer into the new folder `output`.

    Raises:
        ImportError: this checkpoint needs torch, and it is missing.
        ModelError: it is not a model that can be converted.
    """
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    kind = config.get("model_type")
    if kind not in ("m2m_100", "t5"):
        raise ModelError(f"{checkpoint} holds a {kind!r} model, not NLLB (m2m_100) or MADLAD-400 (t5)")
    if kind == "m2m_100" and config["activation_function"] != "relu":
        raise ModelError(f"{checkpoint} has the activation {config['activation_function']!r}; NLLB-200 has relu")
    with _pretend_missing("torch"):  # imported by `specs` for other converters: seconds, and hundreds of MB
        import ctranslate2.specs  # noqa: F401, PLC0415
    weights = Weights(Checkpoint(checkpoint), quantization)
    spec = conversion_t5.spec_of(config, weights) if kind == "t5" else nllb_spec(config, weights, checkpoint)
    _vocabulary(spec, checkpoint, config)
    spec.validate()
    spec.optimize(quantization=None if weights.int8 else quantization)  # None: only finds what is there twice
    output.mkdir(parents=True)
    spec.save(str(output))
    shutil.copy(checkpoint / "tokenizer.json", output / "tokenizer.json")


def nllb_spec(config: dict[str, Any], weights: Weights, checkpoint: Path) -> Any:
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
    shared = next((name for name in SHARED if name in weights.checkpoint), None)
    if shared is None:
        raise ModelError(f"{checkpoint} has no token embeddings: none of {', '.join(SHARED)}")
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
