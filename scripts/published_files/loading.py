"""vLLM's loading of a checkpoint on the `meta` device: what goes where, counted element by element."""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from server.engines.dummy import folder_files, write_folder
from server.llama_vision import register
from server.llama_vision.nf4 import STATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scripts.published_files.manifests import Manifest

OF_THE_CACHE = re.compile(r"\.attn\.[qkv]_(scale|zero_point)$")
"""Parameters of a KV cache in 8 bits, which vLLM makes for every quantised checkpoint and sets itself."""
QUANTIZATION = "quantization_config"
WRITES = {torch.ops.aten.copy_.default, torch.ops.aten.fill_.Scalar, torch.ops.aten.zero_.default}


@dataclass(frozen=True)
class Loaded:
    """What a dry run found.

    Attributes:
        tensors: In the checkpoint.
        unused: Those of them that no parameter took.
        parameters: Of the model.
        unfilled: Those of them that the checkpoint does not fill, or fills more than once.
        elements: Of all tensors that the model took, as they are stored.
    """

    tensors: int
    unused: list[str]
    parameters: int
    unfilled: list[str]
    elements: int


class _Tracing(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows each tensor of a checkpoint through what is computed from it, to the parameter that it is copied to."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.origins: dict[int, set[str]] = defaultdict(set)
        self.written: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.used: set[str] = set()
        self.alive: list[torch.Tensor] = []
        """A storage that is let go may have its number taken by another one."""

    def add(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        self.origins[_storage(tensor)].add(name)
        self.alive.append(tensor)
        return tensor

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
        if function in WRITES:
            target, *sources = given
            start = int(target.storage_offset())
            self.written[_storage(target)].append((start, start + int(target.numel())))
            self.used.update(*(self.origins[_storage(source)] for source in sources))
            return result
        names = set().union(*(self.origins.get(_storage(tensor), ()) for tensor in given))
        for tensor in tree_leaves(result):
            if names and isinstance(tensor, torch.Tensor):
                self.origins[_storage(tensor)] |= names
                self.alive.append(tensor)
        return result


def _is_filled_once(elements: int, written: list[tuple[int, int]]) -> bool:
    """Whether stretches of a parameter, which are whole rows, follow each other from its beginning to its end."""
    end = 0
    for start, stop in sorted(written):
        if start != end:
            return False
        end = stop
    return end == elements


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - without data there is no address


def load(folder: Path, manifest: Manifest) -> Loaded:
    """Let vLLM load a checkpoint of which only names, shapes and types are there.

    Args:
        folder: Has its config.json; no weights are read.
        manifest: The checkpoint's tensors.

    Raises:
        ValueError: The model refuses a tensor; names it.
    """
    with _model(folder) as model, _Tracing() as tracing:
        model.load_weights((name, tracing.add(name, entry.tensor())) for name, entry in manifest.items())
        states = {name for name in manifest if name.endswith(STATE) and name.removesuffix(STATE) in tracing.used}
        used = tracing.used | states
        named = model.named_parameters()
        parameters = {name: parameter for name, parameter in named if not OF_THE_CACHE.search(name)}
        unfilled = [
            name
            for name, parameter in parameters.items()
            if not _is_filled_once(parameter.numel(), tracing.written[_storage(parameter.data)])
        ]
    return Loaded(
        tensors=len(manifest),
        unused=[name for name in manifest if name not in used],
        parameters=len(parameters),
        unfilled=unfilled,
        elements=sum(torch.Size(entry.shape).numel() for name, entry in manifest.items() if name in used),
    )


def load_derived(config: Mapping[str, Any], manifest: Manifest) -> Loaded:
    """The same for a configuration alone, with its own quantisation.

    Raises:
        ValueError: The model refuses a tensor; names it.
    """
    sizes = {name: value for name, value in config.items() if name != QUANTIZATION}
    files = folder_files(sizes)
    if QUANTIZATION in config:
        files["config.json"] = orjson.dumps(orjson.loads(files["config.json"]) | {QUANTIZATION: config[QUANTIZATION]})
    with tempfile.TemporaryDirectory() as folder:
        write_folder(Path(folder), files)
        return load(Path(folder), manifest)


@contextmanager
def _model(folder: Path) -> Iterator[Any]:
    """VLLM's model of a folder's configuration, without memory for its weights."""
    from vllm.config import set_current_vllm_config  # noqa: PLC0415 - here and below: heavy
    from vllm.distributed import (  # noqa: PLC0415
        destroy_distributed_environment,
        destroy_model_parallel,
        init_distributed_environment,
        initialize_model_parallel,
    )
    from vllm.engine.arg_utils import EngineArgs  # noqa: PLC0415
    from vllm.model_executor.model_loader.utils import initialize_model  # noqa: PLC0415

    register()
    settings = EngineArgs(
        model=str(folder),
        max_model_len=256,
        max_num_batched_tokens=8192,
        dtype="bfloat16",
        enforce_eager=True,
        skip_tokenizer_init=True,
    ).create_engine_config()
    with tempfile.TemporaryDirectory() as meeting, set_current_vllm_config(settings):
        init_distributed_environment(1, 0, f"file://{meeting}/one", 0, "gloo")
        try:
            initialize_model_parallel(1, 1)
            with torch.device("meta"):
                model = initialize_model(settings)
            yield model
        finally:
            destroy_model_parallel()
            destroy_distributed_environment()
