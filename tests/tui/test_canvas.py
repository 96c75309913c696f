"""Dots, lines and cells, each against the characters that should come of them."""

from __future__ import annotations

import numpy as np
import pytest

from distill_tui.charts.canvas import Cells, Mask, Span, dashed, filled, glyphs, joined, levels, pooled, shades


def mask_of(*rows: str) -> Mask:
    return np.array([[character == "#" for character in row] for row in rows])


def lines_of(mask: Mask, *, ascii_only: bool = False) -> list[str]:
    return ["".join(map(chr, row)) for row in glyphs(mask, ascii_only=ascii_only)]


def test_eight_dots_are_a_braille_character_and_none_a_space() -> None:
    assert lines_of(mask_of("#...", "....", "....", ".#..")) == ["⢁ "]
    assert lines_of(np.ones((8, 4), dtype=np.bool_)) == ["⣿⣿", "⣿⣿"]


def test_three_dots_are_a_character_of_ascii_that_stands_as_high() -> None:
    assert lines_of(mask_of("#...", ".#.#", "..##"), ascii_only=True) == ["'-.;"]


def test_a_line_is_joined_between_columns_without_dots_side_by_side() -> None:
    mask = filled(*joined(np.array([0.0, 5.0, 5.0, 1.0])), 6)
    assert ["".join(".#"[int(dot)] for dot in row) for row in mask] == [
        "#...",
        "#..#",
        "#..#",
        ".#.#",
        ".##.",
        ".##.",
    ]


def test_a_line_is_interrupted_where_there_is_no_number() -> None:
    mask = filled(*joined(np.array([0.0, np.nan, 3.0])), 4)
    assert np.argwhere(mask).tolist() == [[0, 0], [3, 2]]


def test_a_line_that_leaves_the_plot_is_drawn_to_its_edge() -> None:
    mask = filled(*joined(np.array([2.0, -100.0, 2.0])), 4)
    assert mask[:, 0].tolist() == [True, True, True, False]


def test_dashes_are_counted_along_the_line_not_across_the_plot() -> None:
    flat = dashed(*joined(np.zeros(8)), 2, dots=2, period=4)
    assert flat[0].tolist() == [True, True, False, False] * 2
    steep = dashed(*joined(np.array([0.0, 20.0])), 21, dots=2, period=4)
    assert steep.any(axis=0).tolist() == [True, True]
    assert steep.sum() == 11


def test_what_was_drawn_first_stays_as_more_is_drawn_at_the_end() -> None:
    dots = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0])
    shorter, longer = (dashed(*joined(line), 10, dots=2, period=5) for line in (dots[:6], dots))
    np.testing.assert_array_equal(shorter[:, :5], longer[:, :5])


def test_text_is_cut_at_the_edge_and_wide_characters_take_two_cells() -> None:
    cells = Cells(6, 1)
    assert cells.write(0, 1, "音楽です", 3) == 5
    assert cells.text() == " 音楽"
    assert cells.runs(0) == [(" ", 0), ("音楽", 3), (" ", 0)]


def test_no_control_character_reaches_a_cell() -> None:
    cells = Cells(12, 1)
    cells.write(0, 0, "a\x1b[31m\r\nb\u202e")
    assert cells.text() == "a[31mb"


def test_only_cells_that_differ_in_character_or_style_are_changed() -> None:
    before, after = Cells(10, 3), Cells(10, 3)
    assert after.changed(before) == []
    after.write(1, 2, "ab")
    after.write(1, 7, " ", 5)
    assert after.changed(before) == [Span(row=1, start=2, stop=8)]


def test_pooling_keeps_the_greatest_and_repeats_what_is_too_little() -> None:
    assert pooled(np.array([1.0, 9.0, 2.0, 3.0]), 2, np.fmax.reduceat).tolist() == [9, 3]
    assert pooled(np.array([1.0, 2.0]), 4, np.fmax.reduceat).tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize(("value", "character"), [(-1.0, " "), (0.0, " "), (0.55, "+"), (1.0, "@"), (7.0, "@")])
def test_a_shade_is_the_darker_the_greater_the_value(value: float, character: str) -> None:
    assert chr(shades(np.array([value]))[0]) == character


def test_what_is_not_a_number_is_in_the_lowest_part() -> None:
    assert levels(np.array([np.nan, 0.49, 0.5]), 2).tolist() == [0, 0, 1]
