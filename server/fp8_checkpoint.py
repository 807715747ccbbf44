"""Make an FP8-dynamic checkpoint of a picture or video model, without a GPU and without data.

Reads a local bf16, fp16 or fp32 checkpoint of `MllamaForConditionalGeneration` or
`LlavaNextVideoForConditionalGeneration` in safetensors files, and writes the layout that published
"FP8-dynamic" checkpoints have: every linear layer of the text stack becomes `weight` (float8_e4m3fn,
`[out, in]`) and `weight_scale` (bf16, `[out, 1]`), activations are quantised per token while serving.
Vision tower, projector, embeddings and lm_head stay as they are. Numbers and metadata come from
`compressed-tensors`, the library behind the format.

It works through one safetensors file at a time, so memory is bounded by the largest file, not by the model.
A run that was stopped goes on where it was when it is started again with the same arguments.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from compressed_tensors import __version__ as compressed_tensors_version
from compressed_tensors.base import COMPRESSION_VERSION_NAME
from compressed_tensors.compressors import FloatQuantizationCompressor
from compressed_tensors.config import CompressionFormat
from compressed_tensors.quantization import (
    QuantizationConfig,
    QuantizationScheme,
    QuantizationStatus,
    preset_name_to_scheme,
)
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors import safe_open
from safetensors.torch import save_file

from server.errors import QuantizeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCHEME: QuantizationScheme = preset_name_to_scheme("FP8_DYNAMIC", targets=["Linear"])

IGNORE = {
    "MllamaForConditionalGeneration": [
        "re:.*lm_head",
        "re:.*multi_modal_projector.*",
        "re:.*vision_model.*",
    ],
    "LlavaNextVideoForConditionalGeneration": [
        "re:.*lm_head",
        "re:.*multi_modal_projector.*",
        "re:.*vision_tower.*",
    ],
}
"""Architecture -> layers that stay as they are, as the serving engine reads them from config.json."""

TEXT_LINEAR = re.compile(r"(^|\.)language_model\..*layers\.\d+\.(self_attn|cross_attn|mlp)\.\w+_proj\.weight$")
INDEX = "model.safetensors.index.json"
PROGRESS = "quantize_fp8.progress.json"
ELEMENTS_AT_ONCE = 2**20

# A float8_e4m3fn value keeps 3 bits after the leading one (half a step is 1/16 of the value) and its smallest
# step is 2**-9. The quotient and the scale are rounded to bf16 (2**-9 each) before, the product after.
RELATIVE_ERROR = 1 / 16 + 3 * 2**-8
SMALLEST_STEP = 2.0**-9


@dataclass(frozen=True)
class Source:
    """A local checkpoint.

    Attributes:
        path: Its folder.
        config: Its parsed config.json.
        architecture: The model class, a key of `IGNORE`.
        shards: Names of its safetensors files, in order.
    """

    path: Path
    config: dict[str, Any]
    architecture: str
    shards: tuple[str, ...]

    @classmethod
    def open(cls, path: Path) -> Source:
        """Read what there is to quantise.

        Raises:
            QuantizeError: The folder is no checkpoint of a known model, or it is quantised already.
        """
        try:
            config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise QuantizeError(f"{path} has no readable config.json: {error}") from error
        known = [name for name in config.get("architectures") or [] if name in IGNORE]
        if not known:
            raise QuantizeError(f"{path} is a {config.get('architectures')}; this script knows {', '.join(IGNORE)}")
        if "quantization_config" in config:
            raise QuantizeError(f"{path} is quantised already; start from the bf16 or fp16 checkpoint")
        if (path / INDEX).is_file():
            weight_map = json.loads((path / INDEX).read_text(encoding="utf-8"))["weight_map"]
            shards = tuple(sorted(set(weight_map.values())))
        else:
            shards = ("model.safetensors",)
        missing = [name for name in shards if not (path / name).is_file()]
        if missing:
            raise QuantizeError(f"{path} lacks {', '.join(missing)}; download the safetensors files whole")
        return cls(path=path, config=config, architecture=known[0], shards=shards)

    def fingerprint(self) -> dict[str, Any]:
        """What must be unchanged for a stopped run to go on: the files by size and time, and the format."""
        stats = {name: (self.path / name).stat() for name in self.shards}
        return {
            "shards": {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()},
            "compressed_tensors": compressed_tensors_version,
        }


def quantize_weight(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    """Quantise one linear layer's weight per output channel.

    Args:
        weight: `[out, in]`, any float dtype.

    Returns:
        `weight`, float8_e4m3fn `[out, in]`, and `weight_scale`, bf16 `[out, 1]`.
    """
    parts = [_quantize_rows(rows) for rows in _row_groups(weight)]
    return {name: torch.cat([part[name] for part in parts]) for name in ("weight", "weight_scale")}


def _quantize_rows(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    low, high = torch.aminmax(weight.float(), dim=1, keepdim=True)
    scale, _ = calculate_qparams(low, high, SCHEME.weights)
    state = {"weight": weight, "weight_scale": scale.to(torch.bfloat16)}
    compressed: dict[str, torch.Tensor] = FloatQuantizationCompressor.compress(state, SCHEME)
    return compressed


def _row_groups(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Split a matrix, so that what is computed on the way stays small beside a file."""
    groups: tuple[torch.Tensor, ...] = torch.split(tensor, max(1, ELEMENTS_AT_ONCE // tensor.shape[1]))
    return groups


def quantize_shard(source: Path, target: Path) -> int:
    """Quantise one safetensors file; the target appears whole or not at all.

    Returns:
        How many weights became FP8.

    Raises:
        QuantizeError: The file holds a layer that the format's targets name but this script does not know.
    """
    tensors: dict[str, torch.Tensor] = {}
    quantized = 0
    with safe_open(source, framework="pt") as shard:
        metadata = shard.metadata() or {"format": "pt"}
        for name in shard.keys():  # noqa: SIM118 - not a dict
            tensor = shard.get_tensor(name)
            if TEXT_LINEAR.search(name):
                layer = name.removesuffix(".weight")
                tensors |= {f"{layer}.{key}": value for key, value in quantize_weight(tensor).items()}
                quantized += 1
            elif "language_model" in name and name.endswith("_proj.weight"):
                raise QuantizeError(f"{source.name}: {name} is a linear layer this script does not know")
            else:
                tensors[name] = tensor
    partial = target.with_name(target.name + ".part")
    save_file(tensors, partial, metadata=metadata)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)
    return quantized


def check_shard(source: Path, target: Path) -> None:
    """Compare a quantised file with its source, tensor by tensor.

    Raises:
        QuantizeError: A tensor is missing, has another shape or dtype than the format asks for, or its values
            are farther from the source than FP8 rounding explains.
    """
    with safe_open(source, framework="pt") as before, safe_open(target, framework="pt") as after:
        names = set(after.keys())
        for name in before.keys():  # noqa: SIM118 - not a dict
            if name not in names:
                raise QuantizeError(f"{target}: {name} is missing; delete the file and run again")
            expected, actual = before.get_tensor(name), after.get_tensor(name)
            if not TEXT_LINEAR.search(name):
                same = torch.equal(expected, actual)
            else:
                scale = after.get_tensor(f"{name}_scale")
                same = _is_quantized(expected, actual, scale)
            if not same:
                raise QuantizeError(f"{target}: {name} is not what it should be; delete the file and run again")


def _is_quantized(expected: torch.Tensor, actual: torch.Tensor, scale: torch.Tensor) -> bool:
    if actual.dtype != torch.float8_e4m3fn or actual.shape != expected.shape:
        return False
    if scale.dtype != torch.bfloat16 or scale.shape != (expected.shape[0], 1) or not (scale > 0).all():
        return False
    groups = zip(*map(_row_groups, (expected, actual)), torch.split(scale, len(_row_groups(expected)[0])), strict=True)
    return all(_is_near(*group) for group in groups)


def _is_near(expected: torch.Tensor, actual: torch.Tensor, scale: torch.Tensor) -> bool:
    decoded = actual.float() * scale.float()
    bound = expected.float().abs() * RELATIVE_ERROR + scale.float() * SMALLEST_STEP
    return bool(((decoded - expected.float()).abs() <= bound).all())


def quantization_config(architecture: str) -> dict[str, Any]:
    """The `quantization_config` of config.json, as compressed-tensors writes it."""
    config = QuantizationConfig(
        config_groups={"group_0": SCHEME},
        format=CompressionFormat.float_quantized.value,
        quantization_status=QuantizationStatus.COMPRESSED,
        ignore=IGNORE[architecture],
    )
    return {
        **config.model_dump(mode="json"),
        COMPRESSION_VERSION_NAME: compressed_tensors_version,
    }


def quantize(source: Path, target: Path, report: Callable[[str], None] = print) -> None:
    """Write the FP8-dynamic checkpoint of `source` to `target`, or finish a run that was stopped.

    config.json is written last: a folder without it is unfinished and no engine takes it for a model.

    Args:
        source: Folder of the checkpoint.
        target: Folder to write; empty, absent, or holding the start of the same run.
        report: Gets a line per file.

    Raises:
        QuantizeError: `source` is not what this script knows, `target` holds something else, or the result is
            not right.
    """
    checkpoint = Source.open(source)
    _start_or_resume(checkpoint, target)
    for number, name in enumerate(checkpoint.shards, start=1):
        step = f"[{number}/{len(checkpoint.shards)}] {name}"
        if (target / name).is_file():
            report(f"{step}: done before")
            continue
        start = time.monotonic()
        count = quantize_shard(source / name, target / name)
        sizes = [(folder / name).stat().st_size / 1e6 for folder in (source, target)]
        took_s = time.monotonic() - start
        report(f"{step}: {count} weights, {sizes[0]:.1f} MB -> {sizes[1]:.1f} MB, {took_s:.1f} s")
    for name in checkpoint.shards:
        check_shard(source / name, target / name)
    report("checked: every tensor is there, and within FP8 rounding of its source")
    _write_index(checkpoint, target)
    _copy_small_files(checkpoint, target)
    config = checkpoint.config | {"quantization_config": quantization_config(checkpoint.architecture)}
    _write_json(target / "config.json", config)
    (target / PROGRESS).unlink()


def _start_or_resume(checkpoint: Source, target: Path) -> None:
    if target.resolve() == checkpoint.path.resolve():
        raise QuantizeError("DST is SRC; give another folder")
    target.mkdir(parents=True, exist_ok=True)
    progress = target / PROGRESS
    if progress.is_file():
        if json.loads(progress.read_text(encoding="utf-8")) != checkpoint.fingerprint():
            raise QuantizeError(f"{target} holds the start of another run; delete it or give another folder")
    elif any(target.iterdir()):
        raise QuantizeError(f"{target} is not empty; delete it or give another folder")
    else:
        _write_json(progress, checkpoint.fingerprint())


def _write_index(checkpoint: Source, target: Path) -> None:
    weight_map: dict[str, str] = {}
    for name in checkpoint.shards:
        with safe_open(target / name, framework="pt") as shard:
            weight_map |= dict.fromkeys(shard.keys(), name)
    if checkpoint.shards == ("model.safetensors",):
        return
    total = sum((target / name).stat().st_size for name in checkpoint.shards)
    _write_json(target / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})


def _copy_small_files(checkpoint: Source, target: Path) -> None:
    """Tokenizer, processor, chat template, licence: all that is neither weights nor written by us."""
    for path in sorted(checkpoint.path.iterdir()):
        weights = path.suffix in {".safetensors", ".bin", ".pth", ".pt", ".gguf"}
        if path.is_file() and not weights and path.name not in {"config.json", INDEX}:
            shutil.copyfile(path, target / path.name)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def load_once(path: Path) -> str:
    """Load a checkpoint in vLLM and let it write one token, as the last proof that it serves.

    Returns:
        The token's text.
    """
    from vllm import LLM, SamplingParams  # noqa: PLC0415 - only this check needs the engine

    # On a CPU this share is of all memory, and must be free.
    share = {} if torch.cuda.is_available() else {"gpu_memory_utilization": 0.3}
    engine = LLM(
        str(path), max_model_len=2048, max_num_batched_tokens=8192, max_num_seqs=1, enforce_eager=True, **share
    )
    [answer] = engine.generate("Hello", SamplingParams(max_tokens=1))
    return str(answer.outputs[0].text)
