"""Turn an NLLB checkpoint of transformers into a CTranslate2 model.

    python -m translator.convert CHECKPOINT OUTPUT --quantization int8
    python -m translator.convert --download facebook/nllb-200-distilled-600M   # prints where it is

The service runs this in a process of its own, so that what conversion needs never loads into the service.
Safetensors in float32 or float16 need only numpy. Anything else goes through CTranslate2's own converter,
which needs torch and transformers (`pip install 'babelview[convert]'`), more memory and more time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    Weights = dict[str, NDArray[np.float32] | NDArray[np.float16]]

# The same matrix; a checkpoint keeps it under one or more of these names.
_SHARED = (
    "model.shared.weight",
    "lm_head.weight",
    "model.encoder.embed_tokens.weight",
    "model.decoder.embed_tokens.weight",
)


def convert(checkpoint: Path, output: Path, quantization: str = "int8") -> None:
    """Write `checkpoint` as a CTranslate2 model with its tokenizer into the new folder `output`.

    Raises:
        ImportError: this checkpoint needs torch and transformers, and they are missing.
        ValueError: it is not a model that can be converted.
    """
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "m2m_100":
        raise ValueError(f"{checkpoint} holds a {config.get('model_type')!r} model, not NLLB (m2m_100)")
    dtype = config.get("dtype", config.get("torch_dtype"))
    plain = dtype in ("float32", "float16") and config["activation_function"] == "relu"
    if plain and list(checkpoint.glob("*.safetensors")):
        convert_safetensors(checkpoint, output, config, quantization)
    else:
        convert_with_transformers(checkpoint, output, quantization)
    shutil.copy(checkpoint / "tokenizer.json", output / "tokenizer.json")


def convert_with_transformers(checkpoint: Path, output: Path, quantization: str) -> None:
    """The library's own way."""
    import torch  # noqa: F401, PLC0415  (the converter would fail without it, with a NameError)
    import transformers  # noqa: F401, PLC0415
    from ctranslate2.converters import TransformersConverter  # noqa: PLC0415

    TransformersConverter(str(checkpoint), low_cpu_mem_usage=True).convert(str(output), quantization=quantization)


def convert_safetensors(checkpoint: Path, output: Path, config: dict[str, Any], quantization: str) -> None:
    """The same model as the library's converter writes, from numpy arrays: no torch, no transformers.

    The library's own converter no longer works in a process that has called this.
    """
    with _pretend_missing("torch"):  # imported by `specs` for other converters: seconds, and hundreds of MB
        from ctranslate2.specs import TransformerSpec  # noqa: PLC0415
    from safetensors.numpy import load_file  # noqa: PLC0415
    from tokenizers import Tokenizer  # noqa: PLC0415

    weights: Weights = {}
    for shard in sorted(checkpoint.glob("*.safetensors")):
        weights |= load_file(shard)
    spec = TransformerSpec.from_config(
        (config["encoder_layers"], config["decoder_layers"]),
        config["encoder_attention_heads"],
        pre_norm=True,
    )
    shared = next((weights[name] for name in _SHARED if name in weights), None)
    if shared is None:
        raise ValueError(f"{checkpoint} has no token embeddings: none of {', '.join(_SHARED)}")
    scale = config["d_model"] ** 0.5 if config["scale_embedding"] else 1.0
    positions = sinusoids(config["max_position_embeddings"], config["d_model"])
    spec.encoder.embeddings[0].weight = spec.decoder.embeddings.weight = shared
    spec.decoder.projection.weight = weights.get("lm_head.weight", shared)
    for name in ("encoder", "decoder"):
        half = getattr(spec, name)
        half.scale_embeddings = scale
        half.position_encodings.encodings = positions
        _norm(half.layer_norm, weights, f"model.{name}.layer_norm")
        for number, layer in enumerate(half.layer):
            _layer(layer, weights, f"model.{name}.layers.{number}")
    vocabulary = Tokenizer.from_file(str(checkpoint / "tokenizer.json")).get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)[: config["vocab_size"]]
    tokens += [f"madeupword{i}" for i in range(config["vocab_size"] - len(tokens))]
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = "<s>", "</s>", "<unk>"
    spec.config.decoder_start_token = tokens[config["decoder_start_token_id"]]
    spec.validate()
    spec.optimize(quantization=quantization)
    output.mkdir(parents=True)
    spec.save(str(output))


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
    import numpy as np  # noqa: PLC0415

    half = width // 2
    step = np.float32(np.log(10000) / (half - 1))
    frequencies = np.exp(np.float64(np.arange(half, dtype=np.float32) * -step)).astype(np.float32)
    angles = np.arange(2, count + 2, dtype=np.float32)[:, None] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def _layer(layer: Any, weights: Weights, at: str) -> None:
    _attention(layer.self_attention, weights, f"{at}.self_attn", ("qkv", "o"))
    if f"{at}.encoder_attn.q_proj.weight" in weights:
        _attention(layer.attention, weights, f"{at}.encoder_attn", ("q", "kv", "o"))
    _linear(layer.ffn.linear_0, weights, [f"{at}.fc1"])
    _linear(layer.ffn.linear_1, weights, [f"{at}.fc2"])
    _norm(layer.ffn.layer_norm, weights, f"{at}.final_layer_norm")


def _attention(attention: Any, weights: Weights, at: str, fused: tuple[str, ...]) -> None:
    names = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "out_proj"}
    for linear, parts in zip(attention.linear, fused, strict=True):
        _linear(linear, weights, [f"{at}.{names[part]}" for part in parts])
    _norm(attention.layer_norm, weights, f"{at}_layer_norm")


def _linear(linear: Any, weights: Weights, names: list[str]) -> None:
    import numpy as np  # noqa: PLC0415

    linear.weight = np.concatenate([weights[f"{name}.weight"] for name in names])
    linear.bias = np.concatenate([weights[f"{name}.bias"] for name in names])


def _norm(norm: Any, weights: Weights, name: str) -> None:
    norm.gamma, norm.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]


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
    parser = argparse.ArgumentParser(prog="python -m translator.convert", description="Convert NLLB for CTranslate2.")
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
