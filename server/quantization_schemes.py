"""The ways in which the matrices of a text model are quantised: FP8-dynamic and W4A16, both without data.

Numbers and metadata come from `compressed-tensors`, the library behind the format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from compressed_tensors.compressors import (
    FloatQuantizationCompressor,
    PackedQuantizationCompressor,
    unpack_from_int32,
)
from compressed_tensors.config import CompressionFormat
from compressed_tensors.quantization import preset_name_to_scheme
from compressed_tensors.quantization.utils import calculate_qparams

from server.errors import QuantizeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from compressed_tensors.quantization import QuantizationScheme

Layout = dict[str, tuple[tuple[int, ...], torch.dtype]]
SHAPE = "weight_shape"
ELEMENTS_AT_ONCE = 2**20

# A float8_e4m3fn value keeps 3 bits after the leading one (half a step is 1/16 of the value) and its smallest
# step is 2**-9. The quotient and the scale are rounded to bf16 (2**-9 each) before, the product after.
RELATIVE_ERROR = 1 / 16 + 3 * 2**-8
SMALLEST_STEP = 2.0**-9

# 15 steps span from the largest value to its negative: half a step is lost, and what rounding the scale to bf16 adds.
FOUR_BIT_STEPS = 0.5 + 8 * 2**-8


@dataclass(frozen=True)
class Scheme:
    """How one matrix is quantised.

    Attributes:
        name: As the command line has it.
        says: Which rounding it is.
        scheme: The same as compressed-tensors has it.
        format: How it is stored.
        layout: Shape and type of each part that stands for a `weight` of `[out, in]`.
        quantize_rows: Makes the parts of some rows, `[rows, in]`.
        is_near: Whether the parts of some rows are within rounding of them.
    """

    name: str
    says: str
    scheme: QuantizationScheme
    format: CompressionFormat
    layout: Callable[[int, int], Layout]
    quantize_rows: Callable[[torch.Tensor], dict[str, torch.Tensor]]
    is_near: Callable[[torch.Tensor, Mapping[str, torch.Tensor]], bool]

    def quantize_weight(self, weight: torch.Tensor) -> dict[str, torch.Tensor]:
        """Quantise one matrix.

        Args:
            weight: `[out, in]`, any float dtype.

        Returns:
            Its parts by their names: for FP8-dynamic `weight`, float8_e4m3fn `[out, in]`, and `weight_scale`, bf16
            `[out, 1]`; for W4A16 `weight_packed`, int32 `[out, in / 8]`, `weight_scale`, bf16 `[out, in / 128]`, and
            `weight_shape`, int64 `[2]`.

        Raises:
            QuantizeError: A row cannot be divided into groups.
        """
        group = self.scheme.weights.group_size
        if group and weight.shape[1] % group:
            raise QuantizeError(f"rows of {weight.shape[1]} weights cannot be divided into groups of {group}")
        parts = [self.quantize_rows(rows) for rows in _row_groups(weight)]
        return {
            name: torch.tensor(weight.shape) if name == SHAPE else torch.cat([part[name] for part in parts])
            for name in self.layout(*weight.shape)
        }

    def is_quantized(self, expected: torch.Tensor, parts: Mapping[str, torch.Tensor]) -> bool:
        """Whether parts have the layout of the format, and values within rounding of what they stand for."""
        layout = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in parts.items()}
        if layout != self.layout(*expected.shape) or not (parts["weight_scale"] > 0).all():
            return False
        if SHAPE in parts and parts[SHAPE].tolist() != list(expected.shape):
            return False
        groups = _row_groups(expected)
        divided = {name: torch.split(part, len(groups[0])) for name, part in parts.items() if name != SHAPE}
        return all(
            self.is_near(rows, {name: tensors[number] for name, tensors in divided.items()})
            for number, rows in enumerate(groups)
        )


def _row_groups(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Split a matrix, so that what is computed on the way stays small beside a file."""
    groups: tuple[torch.Tensor, ...] = torch.split(tensor, max(1, ELEMENTS_AT_ONCE // tensor.shape[1]))
    return groups


_FP8: QuantizationScheme = preset_name_to_scheme("FP8_DYNAMIC", targets=["Linear"])
_W4A16: QuantizationScheme = preset_name_to_scheme("W4A16", targets=["Linear"])
GROUP = int(_W4A16.weights.group_size)


def _to_fp8(rows: torch.Tensor) -> dict[str, torch.Tensor]:
    low, high = torch.aminmax(rows.float(), dim=1, keepdim=True)
    scale, _ = calculate_qparams(low, high, _FP8.weights)
    state = {"weight": rows, "weight_scale": scale.to(torch.bfloat16)}
    compressed: dict[str, torch.Tensor] = FloatQuantizationCompressor.compress(state, _FP8)
    return compressed


def _is_near_fp8(expected: torch.Tensor, parts: Mapping[str, torch.Tensor]) -> bool:
    scale = parts["weight_scale"].float()
    bound = expected.float().abs() * RELATIVE_ERROR + scale * SMALLEST_STEP
    return bool(((parts["weight"].float() * scale - expected.float()).abs() <= bound).all())


def _to_four_bits(rows: torch.Tensor) -> dict[str, torch.Tensor]:
    low, high = torch.aminmax(rows.float().reshape(len(rows), -1, GROUP), dim=2)
    scale, _ = calculate_qparams(low, high, _W4A16.weights)
    state = {"weight": rows.float(), "weight_scale": scale.to(torch.bfloat16)}
    compressed: dict[str, torch.Tensor] = PackedQuantizationCompressor.compress(state, _W4A16)
    return compressed


def _is_near_four_bits(expected: torch.Tensor, parts: Mapping[str, torch.Tensor]) -> bool:
    numbers = unpack_from_int32(parts["weight_packed"], 4, expected.shape).float()
    scale = parts["weight_scale"].float().repeat_interleave(GROUP, dim=1)
    return bool(((numbers * scale - expected.float()).abs() <= scale * FOUR_BIT_STEPS).all())


FP8_DYNAMIC = Scheme(
    "fp8-dynamic",
    "FP8 rounding",
    _FP8,
    CompressionFormat.float_quantized,
    lambda rows, columns: {
        "weight": ((rows, columns), torch.float8_e4m3fn),
        "weight_scale": ((rows, 1), torch.bfloat16),
    },
    _to_fp8,
    _is_near_fp8,
)
W4A16 = Scheme(
    "w4a16",
    "four-bit rounding",
    _W4A16,
    CompressionFormat.pack_quantized,
    lambda rows, columns: {
        "weight_packed": ((rows, columns // 8), torch.int32),
        "weight_scale": ((rows, columns // GROUP), torch.bfloat16),
        SHAPE: ((2,), torch.int64),
    },
    _to_four_bits,
    _is_near_four_bits,
)
SCHEMES = {scheme.name: scheme for scheme in (FP8_DYNAMIC, W4A16)}
