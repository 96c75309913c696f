"""The pyramid against reading every row: the same numbers, whatever the length and however it grew."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from distill_tui.charts.pyramid import BLOCK, Columns, Numbers, Pyramid

Edges = npt.NDArray[np.float64]


def noise(rows: int) -> npt.NDArray[np.float32]:
    """Return numbers with some that aren't finite, and a long stretch of such."""
    random = np.random.default_rng(rows)
    values = random.normal(size=rows).astype(np.float32)
    values[random.integers(0, rows, rows // 50)] = np.nan
    values[rows // 3] = np.inf
    values[rows // 2 : rows // 2 + 300] = np.nan
    return values


def pyramid_of(values: Numbers, *, low: Numbers | None = None, high: Numbers | None = None) -> Pyramid:
    pyramid = Pyramid()
    pyramid.update(values, 0, low=low, high=high)
    return pyramid


def read(values: Numbers, low: Numbers, high: Numbers, x: npt.NDArray[np.generic], edges: Edges) -> list[list[float]]:
    """Return least, greatest and mean of each column by looking at every row."""
    columns = []
    for index, (left, right) in enumerate(itertools.pairwise(edges)):
        before_end = x <= right if index == len(edges) - 2 else x < right
        rows = (x >= left) & before_end & np.isfinite(values)
        nothing = [np.nan] * 3
        columns.append([low[rows].min(), high[rows].max(), values[rows].mean(dtype=float)] if rows.any() else nothing)
    return columns


def assert_same(columns: Columns, expected: list[list[float]]) -> None:
    least, greatest, mean = np.array(expected).T
    np.testing.assert_array_equal(columns.low, least)
    np.testing.assert_array_equal(columns.high, greatest)
    np.testing.assert_allclose(columns.mean, mean, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rows", [700, 5_000, 300_000])
@pytest.mark.parametrize("kind", ["f8", "f4", "u4"])
def test_columns_are_what_reading_every_row_gives(rows: int, kind: str) -> None:
    values, x = noise(rows), np.arange(1, rows + 1).astype(kind)
    pyramid = pyramid_of(values)
    for edges in (np.linspace(0, rows, 77), np.linspace(rows / 4, rows / 3, 31), np.linspace(-50.0, 2.0 * rows, 201)):
        assert_same(pyramid.columns(x, edges), read(values, values, values, x, edges))


def test_least_and_greatest_come_from_columns_of_their_own_where_there_are_some() -> None:
    values, x = noise(20_000), np.arange(20_000.0)
    low, high, edges = values - 1, values + 2, np.linspace(0, 20_000, 50)
    assert_same(pyramid_of(values, low=low, high=high).columns(x, edges), read(values, low, high, x, edges))


def test_growing_by_a_few_rows_ends_where_making_it_at_once_does() -> None:
    values, x, edges = noise(9_000), np.arange(9_000.0), np.linspace(0, 9_000, 40)
    grown = Pyramid()
    for length in [*range(0, 9_000, 7), 9_000]:
        grown.update(values[:length], 0)
    at_once = pyramid_of(values).columns(x, edges)
    np.testing.assert_array_equal(grown.columns(x, edges).high, at_once.high)
    np.testing.assert_array_equal(grown.columns(x, edges).mean, at_once.mean)


def test_rows_that_changed_are_read_again_under_a_new_revision_or_when_fewer() -> None:
    x, edges = np.arange(1_000.0), np.array([0.0, 500.0, 1_000.0])
    pyramid = pyramid_of(np.full(1_000, 3.0))
    pyramid.update(np.full(1_000, 2.0), 1)
    assert pyramid.columns(x, edges).high.tolist() == [2, 2]
    pyramid.update(np.ones(800), 1)
    assert pyramid.columns(x[:800], edges).high.tolist() == [1, 1]


def test_a_spike_of_one_row_among_a_million_survives() -> None:
    values = np.zeros(1_000_000, dtype=np.float32)
    values[654_321] = 9
    columns = pyramid_of(values).columns(np.arange(1_000_000.0), np.linspace(0, 1_000_000, 101))
    assert np.flatnonzero(columns.high).tolist() == [65]
    assert columns.high[65] == 9


def test_a_column_without_a_finite_number_is_a_gap_and_one_without_a_row_is_empty() -> None:
    values = np.array([1.0, np.nan, np.inf, 2.0])
    columns = pyramid_of(values).columns(np.array([0.5, 1.5, 1.6, 3.5]), np.arange(5.0))
    np.testing.assert_array_equal(columns.mean, [1, np.nan, np.nan, 2])
    assert columns.is_empty.tolist() == [False, False, True, False]


def test_nothing_yet_comes_to_nothing() -> None:
    columns = pyramid_of(np.empty(0)).columns(np.empty(0), np.arange(4.0))
    assert np.isnan(columns.low).all()
    assert columns.is_empty.all()


def test_a_summary_is_made_only_of_whole_blocks_and_the_rest_is_read() -> None:
    values = np.arange(2.0 * BLOCK + 5)
    columns = pyramid_of(values).columns(values, np.array([0.0, values[-1]]))
    assert (columns.low[0], columns.high[0]) == (0, values[-1])
