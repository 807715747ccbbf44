"""The FP8 script on a checkpoint larger than a file of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

ROOT = Path(__file__).parents[2]
SHARDS = 5
SHARD_BYTES = 24 * 2**20


def test_memory_is_bounded_by_one_file(tmp_path: Path) -> None:
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
    code = (
        "import resource, sys; sys.path.insert(0, sys.argv[1]); import server.quantized_checkpoint, server.quantize;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024; start = peak();"
        "code = server.quantize.main(sys.argv[2:]); print(peak() - start); sys.exit(code)"
    )
    arguments = [str(ROOT), str(source), str(tmp_path / "fp8")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    growth = int(done.stdout.splitlines()[-1])
    # A file as it is read, as it is written, and as it is compared with the one that was written.
    assert growth < 4.5 * SHARD_BYTES
