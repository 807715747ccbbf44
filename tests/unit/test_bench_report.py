"""How the cost of the report is told from what a machine does besides."""

from __future__ import annotations

import pytest

from scripts.benchmarks.report import interval_of_median


@pytest.mark.parametrize(
    ("count", "least", "most"),
    [(1, 1, 1), (5, 1, 5), (6, 1, 6), (9, 2, 8), (20, 6, 15), (40, 14, 27), (100, 40, 61)],
)
def test_the_interval_of_a_median_is_that_of_the_tables(count: int, least: int, most: int) -> None:
    """Ranks as of Conover, Practical Nonparametric Statistics, table A3 (95 %, the narrower side)."""
    values = [float(number) for number in range(count, 0, -1)]
    assert interval_of_median(values) == (least, most)
