"""The weights of a transformers checkpoint, read one at a time: a file is mapped, never loaded as a whole.

Safetensors need only numpy. `pytorch_model*.bin`, which the published NLLB-200 repositories hold, are pickles: they
are read by torch with `weights_only=True`, which runs no code of theirs (`pip install -e ".[convert]"`).
"""

from __future__ import annotations

import json
import struct
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from translator.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    Weight = NDArray[np.float32] | NDArray[np.float16]

_TYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


class Checkpoint:
    """Names and weights of a checkpoint, whatever the number and kind of its files."""

    def __init__(self, folder: Path) -> None:
        """Look into the files, read nothing yet.

        Raises:
            ImportError: there are only pickles, and torch is missing.
            ModelError: there are no weights.
        """
        self._read: dict[str, Callable[[], Weight]] = {}
        files = sorted(folder.glob("*.safetensors"))
        for file in files:
            self._read |= _safetensors(file)
        if not files:
            files = sorted(folder.glob("pytorch_model*.bin"))
            for file in files:
                self._read |= _pickle(file)
        if not files:
            raise ModelError(f"{folder} has no weights: neither *.safetensors nor pytorch_model*.bin")

    def __contains__(self, name: object) -> bool:
        """Whether there is such a weight."""
        return name in self._read

    def __iter__(self) -> Iterator[str]:
        """The weights' names."""
        return iter(self._read)

    def __getitem__(self, name: str) -> Weight:
        """A weight; float32, or float16 as it is stored.

        Raises:
            ModelError: the checkpoint lacks it.
        """
        if name not in self._read:
            raise ModelError(f"the checkpoint lacks {name}: are all of its files there?")
        return self._read[name]()


def _safetensors(file: Path) -> dict[str, Callable[[], Weight]]:
    """The format: the header's length in 8 bytes, the header as JSON, the data (huggingface.co/docs/safetensors)."""
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        if length > file.stat().st_size:
            raise ModelError(f"{file} is no safetensors file")
        header = json.loads(opened.read(length))

    return {
        name: partial(_mapped, file, 8 + length, described)
        for name, described in header.items()
        if name != "__metadata__"
    }


def _mapped(file: Path, data: int, described: dict[str, Any]) -> Weight:
    dtype = _TYPES.get(described["dtype"])
    if dtype is None:
        raise ModelError(f"{file} holds {described['dtype']} weights: only {', '.join(_TYPES)} can be converted")
    start, _ = described["data_offsets"]
    weight = np.memmap(file, dtype, mode="c", offset=data + start, shape=tuple(described["shape"]))
    if described["dtype"] == "BF16":  # numpy lacks it: it is the upper half of a float32
        return (weight.astype(np.uint32) << 16).view(np.float32)
    return weight


def _pickle(file: Path) -> dict[str, Callable[[], Weight]]:
    import torch  # noqa: PLC0415  (only for these files)

    try:
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:  # written before torch 1.6: cannot be mapped
        state = torch.load(file, map_location="cpu", weights_only=True)

    return {name: partial(_as_array, tensor) for name, tensor in state.items()}


def _as_array(tensor: torch.Tensor) -> Weight:
    is_half = str(tensor.dtype) == "torch.float16"
    array: Weight = (tensor if is_half else tensor.float()).numpy()
    return array
