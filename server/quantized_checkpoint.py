"""Make a quantised checkpoint of a picture or video model, without a GPU and without data.

Reads a local bf16, fp16, fp32 or NF4 checkpoint of `MllamaForConditionalGeneration` or
`LlavaNextVideoForConditionalGeneration` in safetensors files, and writes the layout that published checkpoints of
compressed-tensors have: every linear layer of the text stack is quantised by a scheme of
`server/quantization_schemes.py`. Vision tower, projector, embeddings and lm_head stay as they are.

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
from compressed_tensors.quantization import QuantizationConfig, QuantizationStatus
from safetensors import safe_open
from safetensors.torch import save_file

from server.errors import QuantizeError
from server.llama_vision.nf4 import PARTS as NF4_PARTS
from server.llama_vision.nf4 import decode_nf4
from server.quantization_schemes import FP8_DYNAMIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from server.quantization_schemes import Scheme

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
NF4_PART = re.compile(rf"\.weight({'|'.join(map(re.escape, NF4_PARTS))})$")
INDEX = "model.safetensors.index.json"
PROGRESS = "quantize.progress.json"


@dataclass(frozen=True)
class Source:
    """A local checkpoint.

    Attributes:
        path: Its folder.
        config: Its parsed config.json.
        architecture: The model class, a key of `IGNORE`.
        shards: Names of its safetensors files, in order.
        weight_map: Tensor -> the file that holds it; empty if there is only one.
    """

    path: Path
    config: dict[str, Any]
    architecture: str
    shards: tuple[str, ...]
    weight_map: dict[str, str]

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
        if config.get("quantization_config", {"quant_method": "bitsandbytes"}).get("quant_method") != "bitsandbytes":
            raise QuantizeError(f"{path} is quantised already; start from the bf16, fp16 or NF4 checkpoint")
        weight_map = {}
        if (path / INDEX).is_file():
            weight_map = json.loads((path / INDEX).read_text(encoding="utf-8"))["weight_map"]
            shards = tuple(sorted(set(weight_map.values())))
        else:
            shards = ("model.safetensors",)
        missing = [name for name in shards if not (path / name).is_file()]
        if missing:
            raise QuantizeError(f"{path} lacks {', '.join(missing)}; download the safetensors files whole")
        return cls(path, config, known[0], shards, weight_map)

    def tensors(self, shard: str) -> Iterator[tuple[str, torch.Tensor]]:
        """The weights of a file, one after the other; those in NF4 as the 16-bit ones that they stand for.

        Raises:
            QuantizeError: A part of a weight in NF4 is nowhere.
        """
        with safe_open(self.path / shard, framework="pt") as file:
            names = list(file.keys())
            for name in names:
                if NF4_PART.search(name):
                    continue  # comes with its weight
                tensor = file.get_tensor(name)
                if tensor.dtype != torch.uint8:
                    yield name, tensor
                    continue
                parts = [(name, tensor), *self._nf4_parts(name, names, file)]
                try:
                    yield from decode_nf4(parts)
                except ValueError as error:
                    raise QuantizeError(f"{self.path / shard}: {error}") from error

    def _nf4_parts(self, name: str, here: list[str], file: Any) -> Iterator[tuple[str, torch.Tensor]]:
        """What belongs to a packed weight; where a checkpoint is cut, some of it lies in the next file."""
        yield from ((part, file.get_tensor(part)) for part in here if part.startswith(f"{name}."))
        elsewhere = {part: shard for part, shard in self.weight_map.items() if part.startswith(f"{name}.")}
        for part, shard in elsewhere.items():
            if part not in here:
                with safe_open(self.path / shard, framework="pt") as other:
                    yield part, other.get_tensor(part)

    def fingerprint(self, scheme: Scheme) -> dict[str, Any]:
        """What must be unchanged for a stopped run to go on: the files by size and time, and the format."""
        stats = {name: (self.path / name).stat() for name in self.shards}
        return {
            "shards": {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()},
            "compressed_tensors": compressed_tensors_version,
            "scheme": scheme.name,
        }


def quantize_shard(checkpoint: Source, name: str, target: Path, scheme: Scheme) -> int:
    """Quantise one safetensors file; the target appears whole or not at all.

    Returns:
        How many weights were quantised.

    Raises:
        QuantizeError: The file holds a layer that the format's targets name but this script does not know, or that
            cannot be quantised.
    """
    tensors: dict[str, torch.Tensor] = {}
    quantized = 0
    with safe_open(checkpoint.path / name, framework="pt") as shard:
        metadata = shard.metadata() or {"format": "pt"}
    for weight, tensor in checkpoint.tensors(name):
        if TEXT_LINEAR.search(weight):
            try:
                parts = scheme.quantize_weight(tensor)
            except QuantizeError as error:
                raise QuantizeError(f"{name}: {weight}: {error}") from error
            tensors |= {_part_of(weight, part): value for part, value in parts.items()}
            quantized += 1
        elif "language_model" in weight and weight.endswith("_proj.weight"):
            raise QuantizeError(f"{name}: {weight} is a linear layer this script does not know")
        else:
            tensors[weight] = tensor
    partial = target.with_name(target.name + ".part")
    save_file(tensors, partial, metadata=metadata)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)
    return quantized


def check_shard(checkpoint: Source, name: str, target: Path, scheme: Scheme) -> None:
    """Compare a quantised file with its source, tensor by tensor.

    Raises:
        QuantizeError: A tensor is missing, has another shape or dtype than the format asks for, or its values
            are farther from the source than rounding explains.
    """
    with safe_open(target, framework="pt") as after:
        names = set(after.keys())
        for weight, expected in checkpoint.tensors(name):
            linear = TEXT_LINEAR.search(weight)
            parts = [_part_of(weight, part) for part in scheme.layout(*expected.shape)] if linear else [weight]
            if missing := [part for part in parts if part not in names]:
                raise QuantizeError(f"{target}: {missing[0]} is missing; delete the file and run again")
            found = {part.removeprefix(_part_of(weight, "")): after.get_tensor(part) for part in parts}
            good = scheme.is_quantized(expected, found) if linear else torch.equal(expected, after.get_tensor(weight))
            if not good:
                raise QuantizeError(f"{target}: {weight} is not what it should be; delete the file and run again")


def _part_of(weight: str, part: str) -> str:
    """`a.weight`, `weight_scale` -> `a.weight_scale`."""
    return f"{weight.removesuffix('weight')}{part}"


def quantization_config(architecture: str, scheme: Scheme) -> dict[str, Any]:
    """The `quantization_config` of config.json, as compressed-tensors writes it."""
    config = QuantizationConfig(
        config_groups={"group_0": scheme.scheme},
        format=scheme.format.value,
        quantization_status=QuantizationStatus.COMPRESSED,
        ignore=IGNORE[architecture],
    )
    return {
        **config.model_dump(mode="json"),
        COMPRESSION_VERSION_NAME: compressed_tensors_version,
    }


def quantize(source: Path, target: Path, report: Callable[[str], None] = print, scheme: Scheme = FP8_DYNAMIC) -> None:
    """Write the quantised checkpoint of `source` to `target`, or finish a run that was stopped.

    config.json is written last: a folder without it is unfinished and no engine takes it for a model.

    Args:
        source: Folder of the checkpoint.
        target: Folder to write; empty, absent, or holding the start of the same run.
        report: Gets a line per file.
        scheme: How.

    Raises:
        QuantizeError: `source` is not what this script knows, `target` holds something else, or the result is
            not right.
    """
    checkpoint = Source.open(source)
    _start_or_resume(checkpoint, target, scheme)
    for number, name in enumerate(checkpoint.shards, start=1):
        step = f"[{number}/{len(checkpoint.shards)}] {name}"
        if (target / name).is_file():
            report(f"{step}: done before")
            continue
        start = time.monotonic()
        count = quantize_shard(checkpoint, name, target / name, scheme)
        sizes = [(folder / name).stat().st_size / 1e6 for folder in (source, target)]
        took_s = time.monotonic() - start
        report(f"{step}: {count} weights, {sizes[0]:.1f} MB -> {sizes[1]:.1f} MB, {took_s:.1f} s")
    for name in checkpoint.shards:
        check_shard(checkpoint, name, target / name, scheme)
    report(f"checked: every tensor is there, and within {scheme.says} of its source")
    _write_index(checkpoint, target)
    _copy_small_files(checkpoint, target)
    config = checkpoint.config | {"quantization_config": quantization_config(checkpoint.architecture, scheme)}
    _write_json(target / "config.json", config)
    (target / PROGRESS).unlink()


def _start_or_resume(checkpoint: Source, target: Path, scheme: Scheme) -> None:
    if target.resolve() == checkpoint.path.resolve():
        raise QuantizeError("DST is SRC; give another folder")
    target.mkdir(parents=True, exist_ok=True)
    progress = target / PROGRESS
    if progress.is_file():
        if json.loads(progress.read_text(encoding="utf-8")) != checkpoint.fingerprint(scheme):
            raise QuantizeError(f"{target} holds the start of another run; delete it or give another folder")
    elif any(target.iterdir()):
        raise QuantizeError(f"{target} is not empty; delete it or give another folder")
    else:
        _write_json(progress, checkpoint.fingerprint(scheme))


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
