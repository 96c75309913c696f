"""What one looks at: windows that hold still, ranges that don't jump, cursors that stay in sight, and their words."""

from __future__ import annotations

import numpy as np
import pytest

from distill_tui.charts.view import (
    Axis,
    ChartView,
    Scale,
    along,
    calm_end,
    cursor_at,
    cursor_cleared,
    cursor_moved,
    follow_toggled,
    log_toggled,
    panned,
    place,
    place_ticks,
    reset,
    scale_for,
    shown_window,
    smoothed,
    smoothed_more,
    value_label,
    zoomed_in,
    zoomed_out,
)

CLOSE = ChartView(window=(0.0, 800.0))


def scaled(*values: float, rows: int = 10, is_log: bool = False, last: Scale | None = None) -> Scale:
    return scale_for(np.array(values), np.array(values), is_log=is_log, rows=rows, last=last)


def labels(scale: Scale) -> list[str]:
    return [value_label(tick, scale) for tick in scale.ticks]


def test_everything_is_shown_with_room_that_lets_the_window_hold_still() -> None:
    windows = [shown_window(ChartView(), float(end)) for end in range(1, 100_001)]
    assert all(low == 0 for low, _ in windows)
    assert all(end <= high <= max(10, 1.285 * end) for end, (_, high) in enumerate(windows, start=1))
    assert len(set(windows)) < 45


@pytest.mark.parametrize("end", [0.0, 3.0, 10.0, 1e3, 48_200.0, 9.9e9])
def test_the_calm_end_is_never_before_the_end(end: float) -> None:
    assert calm_end(end) >= end
    assert calm_end(calm_end(end)) == calm_end(end)


def test_a_window_that_follows_moves_by_an_eighth_at_a_time_and_keeps_its_width() -> None:
    windows = {shown_window(CLOSE, float(end)) for end in range(1_001, 1_101)}
    assert windows == {(300.0, 1_100.0)}
    assert shown_window(CLOSE, 1_101) == (400, 1_200)


def test_a_window_that_does_not_follow_stays() -> None:
    held = follow_toggled(CLOSE, 1_050)
    assert not held.follows
    assert shown_window(held, 5_000) == shown_window(CLOSE, 1_050)
    assert shown_window(follow_toggled(held, 5_000), 5_000) == (4_200, 5_000)


def test_zooming_in_keeps_the_live_end_in_sight_and_zooming_out_ends_at_everything() -> None:
    view = zoomed_in(zoomed_in(ChartView(), 48_200), 48_200)
    low, high = shown_window(view, 48_200)
    assert low < 48_200 <= high
    assert high - low == calm_end(48_200) / 4
    assert view.follows
    assert zoomed_out(zoomed_out(view, 48_200), 48_200) == ChartView()


def test_zooming_in_keeps_the_cursor_where_it_is_on_the_screen() -> None:
    view = zoomed_in(ChartView(cursor=15_000.0), 50_000)
    low, high = shown_window(view, 50_000)
    assert (15_000 - low) / (high - low) == pytest.approx(15_000 / 50_000)
    assert shown_window(view, 60_000) == (low, high)


def test_a_window_never_gets_narrower_than_ten_steps() -> None:
    view = ChartView(cursor=500.0)
    for _ in range(50):
        view = zoomed_in(view, 1_000)
    low, high = shown_window(view, 1_000)
    assert high - low == 10


def test_panning_stays_within_the_run_and_follows_again_at_its_end() -> None:
    left = panned(CLOSE, 2_000, -0.25)
    assert shown_window(left, 2_000) == (1_000, 1_800)
    assert not left.follows
    assert shown_window(panned(left, 2_000, -100), 2_000) == (0, 800)
    assert panned(left, 2_000, 100).follows
    assert panned(ChartView(), 2_000, -1) == ChartView()


def test_the_cursor_starts_at_the_live_end_and_moves_by_columns_and_by_a_step_at_least() -> None:
    view = cursor_moved(ChartView(), 1_000, -1, 50)
    assert view.cursor == 1_000
    assert cursor_moved(view, 1_000, -1, 50).cursor == 980
    close = ChartView(window=(0.0, 20.0), follows=False, cursor=7.0)
    assert cursor_moved(close, 1_000, 1, 200).cursor == 8
    assert cursor_moved(close, 1_000, -1, 200).cursor == 6


def test_the_cursor_stays_in_the_run_and_takes_the_window_along() -> None:
    view = cursor_at(CLOSE, 5_000, 1_234.4)
    low, high = shown_window(view, 5_000)
    assert view.cursor == 1_234
    assert (low, high) == (834, 1_634)
    assert cursor_at(view, 5_000, 9e9).cursor == 5_000
    assert cursor_at(view, 5_000, -3).cursor == 0


def test_reset_shows_everything_and_keeps_axes_and_smoothing() -> None:
    view = ChartView(axis="time", window=(5.0, 50.0), follows=False, log_y=True, smoothing=0.9, cursor=7.0)
    assert reset(view) == ChartView(axis="time", log_y=True, smoothing=0.9)
    assert cursor_cleared(view).cursor is None
    assert not log_toggled(view).log_y


def test_smoothing_goes_round_its_strengths() -> None:
    view, seen = ChartView(), []
    for _ in range(5):
        seen.append(view.smoothing)
        view = smoothed_more(view)
    assert seen == [0, 0.6, 0.9, 0.98, 0]


def test_another_axis_shows_the_same_stretch() -> None:
    steps, seconds = np.arange(101.0), np.arange(101.0) * 3
    view = ChartView(window=(20.0, 60.0), follows=False, cursor=33.0)
    there = along(view, "time", steps, seconds)
    assert (there.axis, there.window, there.cursor) == ("time", (60, 180), 99)
    assert along(there, "step", seconds, steps) == view


@pytest.mark.parametrize(
    ("window", "smoothing", "word"), [((5.0, 5.0), 0.0, "window"), ((0.0, 20.0), 1.0, "smoothing")]
)
def test_a_view_that_shows_nothing_is_refused(window: tuple[float, float], smoothing: float, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        ChartView(window=window, smoothing=smoothing)


def test_smoothing_is_exponential_and_does_not_lean_to_zero_at_the_beginning() -> None:
    values = np.array([4.0, 2.0, np.nan, 1.0])
    result = smoothed(values, 0.5)
    assert result[0] == 4
    assert result[1] == pytest.approx((4 * 0.5 + 2) / 1.5)
    assert np.isnan(result[2])
    assert result[3] == pytest.approx((4 * 0.125 + 2 * 0.25 + 1) / 1.375)
    np.testing.assert_allclose(smoothed(np.full(500, 0.3), 0.98), 0.3)


def test_a_range_goes_in_round_steps_with_two_to_five_labels() -> None:
    random = np.random.default_rng(0)
    for _ in range(500):
        centre, width = random.normal() * 10.0 ** random.integers(-3, 4), 10.0 ** random.uniform(-4, 4)
        rows = int(random.integers(2, 30))
        scale = scaled(centre - width, centre + width, rows=rows)
        assert scale.low <= centre - width * (1 - 1e-9)
        assert scale.high >= centre + width * (1 - 1e-9)
        assert 2 <= len(scale.ticks) <= 5
        step = scale.ticks[1] - scale.ticks[0]
        mantissa = step / 10 ** np.floor(np.log10(step) + 1e-9)
        assert min(abs(mantissa - round_one) for round_one in (1, 2, 2.5, 5, 10)) < 1e-6
        assert all(len(label) <= 7 for label in labels(scale))


def test_a_range_is_kept_while_all_lies_inside_and_half_of_it_is_used() -> None:
    first = scaled(0.31, 0.98)
    assert (first.low, first.high) == (0.2, 1.0)
    assert scaled(0.25, 0.99, last=first) is first
    assert scaled(0.45, 0.9, last=first) is first
    assert scaled(0.3, 1.01, last=first).high > 1
    assert scaled(0.3, 0.4, last=first).high < 1


def test_a_curve_that_wavers_about_a_round_number_does_not_move_the_range() -> None:
    scale, seen = None, set()
    for greatest in [0.99, 1.01] * 20:
        scale = scaled(0.2, greatest, last=scale)
        seen.add((scale.low, scale.high))
    assert len(seen) == 2  # once from the first range to the wider one, and never back


def test_one_spike_does_not_flatten_the_rest_but_a_high_one_that_does_not_is_in_range() -> None:
    usual = np.linspace(0.4, 0.6, 100)
    with_spike = np.append(usual, 50.0)
    assert scale_for(with_spike, with_spike, is_log=False, rows=10).high < 1
    with_bump = np.append(usual, 1.1)
    assert scale_for(with_bump, with_bump, is_log=False, rows=10).high >= 1.1


@pytest.mark.parametrize("value", [0.0, 5.0, -3e-5, 4e8])
def test_a_flat_curve_has_a_range_around_it(value: float) -> None:
    scale = scaled(value, value)
    assert scale.low < value < scale.high


def test_a_logarithmic_range_is_of_decades_or_of_1_2_5_where_they_are_few() -> None:
    assert labels(scaled(0.002, 7.0, is_log=True)) == ["0.001", "0.01", "0.1", "1", "10"]
    assert labels(scaled(0.3, 1.7, is_log=True)) == ["0.2", "0.5", "1", "2"]
    shares = scaled(0.01, 100.0, is_log=True).shares(np.array([1.0, 0.0, -1.0]))
    assert shares[0] == pytest.approx(0.5)
    assert np.isnan(shares[1:]).all()


def test_nothing_finite_still_has_a_range_and_keeps_the_last_one() -> None:
    assert (scaled(np.nan).low, scaled(np.nan).high) == (0, 1)
    last = scaled(0.3, 0.9)
    assert scaled(np.nan, last=last) is last


@pytest.mark.parametrize(
    ("x", "axis", "words"),
    [
        (48_200.0, "step", "48,200"),
        (45.0, "time", "45 s"),
        (330.0, "time", "5 min 30 s"),
        (4_800.0, "time", "1 h 20 min"),
        (7_200.0, "time", "2 h"),
        (194_400.0, "time", "2 d 06 h"),
    ],
)
def test_a_place_is_said_in_full_digits_or_as_a_span_of_time(x: float, axis: Axis, words: str) -> None:
    assert place(x, axis) == words


def test_ticks_along_the_run_are_round_in_steps_and_in_time() -> None:
    assert place_ticks(0, 50_000, "step", 5) == [0, 10_000, 20_000, 30_000, 40_000, 50_000]
    assert place_ticks(100, 5_000, "time", 3) == [1_800, 3_600]
    assert place_ticks(0, 12, "step", 100) == list(range(13))
