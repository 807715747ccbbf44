"""The FP8 script on a checkpoint larger than a file of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.llama_engine import Imported

SHARDS = 5
SHARD_BYTES = 24 * 2**20


def test_memory_is_bounded_by_one_file(tmp_path: Path, imported_vllm: Imported) -> None:
    source = tmp_path / "source"
    source.mkdir()
    layer = torch.randn(2048, SHARD_BYTES // 2 // 2048, dtype=torch.bfloat16)
    weight_map = {}
    for number in range(SHARDS):
        name, shard = f"language_model.model.layers.{number}.mlp.up_proj.weight", f"model-{number}.safetensors"
        save_file({name: layer}, source / shard)
        weight_map[name] = shard
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (source / "config.json").write_text('{"architectures": ["MllamaForConditionalGeneration"]}')
    quantized = imported_vllm.quantize(source, tmp_path / "fp8")
    assert quantized.code == 0, quantized.said
    # A file as it is read, as it is written, and as it is compared with the one that was written.
    assert quantized.grown_bytes < 4.5 * SHARD_BYTES
