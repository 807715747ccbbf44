"""How the translator shares out a CPU's cores."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from translator.model.cores import share_out, usable_cores

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("given", "cores", "shared"),
    [
        ((0, 0), 1, (1, 1)),
        ((0, 0), 2, (2, 1)),
        ((0, 0), 6, (4, 1)),
        ((0, 0), 8, (4, 2)),
        ((0, 0), 96, (4, 4)),
        ((1, 0), 2, (1, 2)),
        ((16, 0), 8, (16, 1)),
        ((0, 3), 2, (2, 3)),
        ((5, 7), 2, (5, 7)),
    ],
)
def test_cores_are_shared_out_among_batches(given: tuple[int, int], cores: int, shared: tuple[int, int]) -> None:
    assert share_out(*given, cores) == shared


@pytest.mark.parametrize(
    ("quota", "most"),
    [("100000 100000", 1), ("50000 100000", 1), ("250000 100000", 2), ("max 100000", None), ("", None)],
)
def test_the_limit_of_a_container_counts(tmp_path: Path, quota: str, most: int | None) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    have = len(os.sched_getaffinity(0))
    assert usable_cores(file) == (have if most is None else min(have, most))
    assert usable_cores(tmp_path / "nowhere") == have
