"""Numbers, times and lines as words: the same everywhere, whatever shows them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from distill_tui.charts.drawing import Series, drawn
from distill_tui.charts.pyramid import Pyramid
from distill_tui.charts.view import ChartView
from distill_tui.format import clock, number, paragraph, progress_bar, round_clock, wrapped
from distill_tui.runs.run_summary import header
from distill_tui.widgets.line import fitted
from tests.tui.run_views import view_of


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.412, "0.4120"),
        (0.41237, "0.4124"),
        (2.7161, "2.716"),
        (9.99996, "10.00"),
        (12.3, "12.30"),
        (999.96, "1,000"),
        (48_200.0, "48,200"),
        (1_234_567.0, "1,234,567"),
        (0.0412, "0.04120"),
        (0.00042, "0.0004200"),
        (4.12e-5, "4.12e-5"),
        (-0.5, "-0.5000"),
        (1e12, "1e12"),
        (0.0, "0"),
        (math.nan, "not finite"),
        (math.inf, "not finite"),
        (None, "not finite"),
    ],
)
def test_a_number_has_four_digits_and_is_plain_where_that_can_be_read(value: float | None, words: str) -> None:
    assert number(value) == words


@pytest.mark.parametrize(
    ("seconds", "exact", "rounded"),
    [
        (45.2, "45 s", "45 s"),
        (185, "3 min 05 s", "3 min 05 s"),
        (1_200, "20 min 00 s", "20 min"),
        (3_599.7, "1 h 00 min", "1 h"),
        (3_900, "1 h 05 min", "1 h 05 min"),
        (2 * 86_400, "2 d 00 h", "2 d"),
    ],
)
def test_a_span_of_time_keeps_its_width_and_on_an_axis_is_as_short_as_can_be(
    seconds: float, exact: str, rounded: str
) -> None:
    assert clock(seconds) == exact
    assert round_clock(seconds) == rounded


def test_the_header_and_a_chart_say_the_same_loss_in_the_same_digits() -> None:
    view = view_of("healthy", until=28)
    step = view.state.last_step
    assert step is not None
    loss = Series(name="train", label="train", x=np.array([1.0]), y=np.array([step.loss]))
    pyramid = Pyramid()
    pyramid.update(loss.y, loss.revision)
    chart = drawn(
        title="loss", series=[loss], pyramids={"train": pyramid}, view=ChartView(), end=60.0, columns=60, rows=10
    )
    told = "".join(text for text, _ in header(view, step.time, 118)[2]).split()
    assert told[:2] == ["loss", number(step.loss)]
    assert f"train {number(step.loss)}" in chart.cells.text().split("\n")[0]


@pytest.mark.parametrize("width", [2, 10, 17, 40])
def test_wrapped_lines_fit_also_where_characters_are_wide(width: int) -> None:
    text = "recordings of 東京の鐘と寺院の音色を集めたもの, which are long-winded\nand go on"
    lines = wrapped(text, width)
    assert all(sum(2 if ord(character) > 0x2E80 else 1 for character in line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_words_are_broken_at_spaces_and_nothing_makes_no_paragraph() -> None:
    assert wrapped("one two three four", 10) == ["one two", "three four"]
    assert paragraph("one two three", 10, "dim") == [[("one two", "dim")], [("three", "dim")]]
    assert paragraph("", 10) == []


def test_a_bar_is_as_long_as_the_share_in_any_signs() -> None:
    assert progress_bar(0.25, 8) == [("━━", "accent"), ("──────", "dim")]
    assert progress_bar(7.0, 4, "#.", "") == [("####", ""), ("", "dim")]


@pytest.mark.parametrize(
    ("text", "width", "right", "keep_end", "words"),
    [
        ("bells", 8, False, False, "bells   "),
        ("bells", 8, True, False, "   bells"),
        ("temple bells", 8, False, False, "temple >"),
        ("temple bells", 8, False, True, ">e bells"),
        ("東京の鐘", 6, False, False, "東京 >"),
        ("東京の鐘", 6, False, True, ">の鐘 "),
        ("bells", 1, False, False, "b"),
        ("bells", 0, False, False, ""),
    ],
)
def test_a_cell_is_filled_exactly_and_shows_where_it_is_cut(
    text: str, width: int, right: bool, keep_end: bool, words: str
) -> None:
    assert fitted(text, width, ">", right=right, keep_end=keep_end) == words
