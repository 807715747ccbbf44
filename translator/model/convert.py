"""Turn an NLLB checkpoint of transformers into a CTranslate2 model.

    python -m translator.model.convert CHECKPOINT OUTPUT --quantization int8
    python -m translator.model.convert --download facebook/nllb-200-distilled-600M   # prints where it is

The service runs this in a process of its own, so that what conversion needs never loads into the service.
Weights are read and quantised one at a time (see `checkpoint`), so that the memory needed is about that of the
result and of its token embeddings.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from translator.model.checkpoint import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def convert(checkpoint: Path, output: Path, quantization: str = "int8") -> None:
    """Write `checkpoint` as a CTranslate2 model with its tokenizer into the new folder `output`.

    Raises:
        ImportError: this checkpoint needs torch, and it is missing.
        ValueError: it is not a model that can be converted.
    """
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "m2m_100":
        raise ValueError(f"{checkpoint} holds a {config.get('model_type')!r} model, not NLLB (m2m_100)")
    if config["activation_function"] != "relu":
        raise ValueError(f"{checkpoint} has the activation {config['activation_function']!r}; NLLB-200 has relu")
    with _pretend_missing("torch"):  # imported by `specs` for other converters: seconds, and hundreds of MB
        from ctranslate2.specs import TransformerSpec  # noqa: PLC0415
    weights = Weights(Checkpoint(checkpoint), quantization)
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
    _vocabulary(spec, checkpoint, config)
    spec.validate()
    spec.optimize(quantization=None if weights.int8 else quantization)  # None: only finds what is there twice
    output.mkdir(parents=True)
    spec.save(str(output))
    shutil.copy(checkpoint / "tokenizer.json", output / "tokenizer.json")


def _embeddings(spec: Any, weights: Weights, checkpoint: Path) -> None:
    shared = next((name for name in _SHARED if name in weights.checkpoint), None)
    if shared is None:
        raise ValueError(f"{checkpoint} has no token embeddings: none of {', '.join(_SHARED)}")
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
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = "<s>", "</s>", "<unk>"
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
        """Take weights from `checkpoint`."""
        self.checkpoint = checkpoint
        self.int8 = quantization == "int8"

    def layer(self, layer: Any, at: str) -> None:
        """A layer of the encoder or the decoder."""
        self._attention(layer.self_attention, f"{at}.self_attn", ("qkv", "o"))
        if f"{at}.encoder_attn.q_proj.weight" in self.checkpoint:
            self._attention(layer.attention, f"{at}.encoder_attn", ("q", "kv", "o"))
        self._linear(layer.ffn.linear_0, [f"{at}.fc1"])
        self._linear(layer.ffn.linear_1, [f"{at}.fc2"])
        self.norm(layer.ffn.layer_norm, f"{at}.final_layer_norm")

    def norm(self, norm: Any, name: str) -> None:
        """A layer norm."""
        norm.gamma, norm.beta = self.checkpoint[f"{name}.weight"], self.checkpoint[f"{name}.bias"]

    def quantised(self, layer: Any, weight: Weight) -> None:
        """A matrix, a block of rows at a time, by the library's formula (`ModelSpec._quantize`), to the last bit."""
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


def download(name: str) -> Path:
    """Fetch a checkpoint from the hub (or find it in the hub's cache); the folder it is in.

    Raises:
        RuntimeError: the hub does not have it or does not answer.
    """
    from huggingface_hub import snapshot_download  # noqa: PLC0415

    wanted = ["*.json", "*.safetensors", "*.bin", "*.txt"]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    except Exception as error:
        reason = " ".join(str(error).split())
        raise RuntimeError(
            f"the hub does not have it or does not answer; --model also takes a folder ({reason})"
        ) from error


def main(argv: list[str] | None = None) -> int:
    """Command line; the reason of a failure is the last line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m translator.model.convert", description="Convert NLLB for CTranslate2."
    )
    parser.add_argument("checkpoint", type=Path, nargs="?", help="folder of a transformers checkpoint")
    parser.add_argument("output", type=Path, nargs="?", help="new folder for the CTranslate2 model")
    parser.add_argument("--quantization", default="int8", help="type of the stored weights (default: int8)")
    parser.add_argument("--download", metavar="NAME", help="only fetch this checkpoint from the hub")
    args = parser.parse_args(argv)
    if not args.download and not (args.checkpoint and args.output):
        parser.error("give CHECKPOINT and OUTPUT, or --download NAME")
    try:
        if args.download:
            print(download(args.download))
        else:
            convert(args.checkpoint, args.output, args.quantization)
    except ImportError as error:
        print(f"{error}: to convert this checkpoint, pip install 'babelview[convert]'", file=sys.stderr)
        return 1
    except Exception as error:  # noqa: BLE001  (a model folder can be wrong in any way)
        print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
