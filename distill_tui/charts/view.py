"""What one looks at in a chart: the window on the run, the axes, the smoothing and the cursor; all charts share one.

A view is replaced, never changed, by a function for each thing a person can ask. What is drawn holds still: the window
grows and moves in steps, and so does the range of values, so that one more point changes a cell and not the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from distill_tui.format import round_clock, short_exponent

Floats = npt.NDArray[np.float64]
Axis = Literal["step", "epoch", "time"]

SMOOTHINGS = (0.0, 0.6, 0.9, 0.98)
LEAST_WINDOW = 10.0
"""Steps or seconds: the narrowest a window can be."""
MOST_LABELS = 5
OUTLIERS = 0.01
"""The share of columns at either end that may be left out of the range, where they would flatten the rest."""
FLATTENED = 4.0
KEPT_FILL = 0.45
"""A range is kept while what is shown fills this much of it."""

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
_ENDS = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.4, 8.0, 10.0)
_SECONDS = tuple(
    [float(s) for s in (1, 2, 5, 10, 15, 30)]
    + [60.0 * m for m in (1, 2, 5, 10, 15, 20, 30)]
    + [3600.0 * h for h in (1, 2, 3, 6, 12)]
    + [86400.0 * d for d in (1, 2, 5, 10, 20, 50, 100, 200, 500)]
)
_PARTS_OF_A_WINDOW = 8


@dataclass(frozen=True, kw_only=True)
class ChartView:
    """What one looks at. Its numbers are steps, or seconds since the run began, as `axis` says."""

    axis: Axis = "step"
    window: tuple[float, float] | None = None
    """From where to where; None shows everything."""
    follows: bool = True
    """Whether the window moves along with the live end."""
    log_y: bool = False
    smoothing: float = 0.0
    """How much of the average each column keeps of the one before, one of `SMOOTHINGS`."""
    cursor: float | None = None

    def __post_init__(self) -> None:
        if self.window is not None and not self.window[0] < self.window[1]:
            raise ValueError(f"window must go from less to more, not {self.window}")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing must be at least 0 and less than 1, not {self.smoothing}")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The range of values a plot shows, and where its labels stand."""

    low: float
    high: float
    is_log: bool
    rows: int
    """How many rows of cells it was made for."""
    ticks: tuple[float, ...]

    def shares(self, values: Floats) -> Floats:
        """Return how high each value stands: 0 at the foot of the plot, 1 at its top; it may be beyond."""
        low, high = transformed(np.array([self.low, self.high]), is_log=self.is_log)
        shares: Floats = (transformed(values, is_log=self.is_log) - low) / (high - low)
        return shares


def shown_window(view: ChartView, end: float) -> tuple[float, float]:
    """Return from where to where the plot goes, for a run that has come to `end`.

    It has some room at its right, at most two ninths, and stays as it is until that is full.
    """
    if view.window is None:
        return 0.0, calm_end(end)
    low, high = view.window
    if not view.follows:
        return low, high
    width = high - low
    part = width / _PARTS_OF_A_WINDOW
    right = max(width, math.ceil(end / part) * part)
    return right - width, right


def calm_end(end: float) -> float:
    """Return the least round number that isn't less than `end`, at least the narrowest window."""
    end = max(end, LEAST_WINDOW)
    magnitude = 10.0 ** math.floor(math.log10(end))
    return next(part * magnitude for part in (*_ENDS, 12.5) if part * magnitude >= end)


def zoomed_in(view: ChartView, end: float) -> ChartView:
    """Show half as much: around the cursor, else up to the live end that is followed, else around the middle."""
    return _zoomed(view, end, 0.5)


def zoomed_out(view: ChartView, end: float) -> ChartView:
    """Show twice as much, around the same place; everything, once that fits."""
    return _zoomed(view, end, 2.0)


def panned(view: ChartView, end: float, windows: float) -> ChartView:
    """Move by so many widths of the window, to the left where it is less than 0; at the live end it follows again."""
    if view.window is None:
        return view
    low, high = shown_window(view, end)
    window = _within(low + windows * (high - low), high - low, end)
    return replace(view, window=window, follows=windows > 0 and window[1] >= end)


def follow_toggled(view: ChartView, end: float) -> ChartView:
    """Hold the window where it is, or let it go on to the live end."""
    if view.follows:
        return replace(view, window=shown_window(view, end), follows=False)
    return replace(view, follows=True)


def reset(view: ChartView) -> ChartView:
    """Show everything, without a cursor; axes and smoothing stay."""
    return replace(view, window=None, follows=True, cursor=None)


def cursor_moved(view: ChartView, end: float, columns: int, width: int) -> ChartView:
    """Move the cursor by so many of the plot's `width` columns, and by one step at least; it starts at the live end."""
    low, high = shown_window(view, end)
    if view.cursor is None:
        return cursor_at(view, end, min(end, high))
    by = columns * (high - low) / max(1, width)
    if view.axis != "time" and columns:
        by = math.copysign(max(1.0, abs(by)), by)
    return cursor_at(view, end, view.cursor + by)


def cursor_at(view: ChartView, end: float, x: float) -> ChartView:
    """Put the cursor to a step or time between 0 and `end`; a window it isn't in moves there and stays."""
    x = min(max(x, 0.0), end)
    if view.axis != "time":
        x = float(round(x))
    low, high = shown_window(view, end)
    if low <= x <= high:
        return replace(view, cursor=x)
    window = _within(x - (high - low) / 2, high - low, end)
    return replace(view, cursor=x, window=window, follows=False)


def cursor_cleared(view: ChartView) -> ChartView:
    """Take the cursor away."""
    return replace(view, cursor=None)


def log_toggled(view: ChartView) -> ChartView:
    """Show values by their logarithm, or by themselves again."""
    return replace(view, log_y=not view.log_y)


def smoothed_more(view: ChartView) -> ChartView:
    """Take the next strength of smoothing; after the last comes none."""
    stronger = [strength for strength in SMOOTHINGS if strength > view.smoothing]
    return replace(view, smoothing=stronger[0] if stronger else SMOOTHINGS[0])


def along(view: ChartView, axis: Axis, before: npt.NDArray[np.floating], after: npt.NDArray[np.floating]) -> ChartView:
    """Show the same stretch along another axis: `before` and `after` are where the same rows lie on either, sorted."""
    if axis == view.axis:
        return view
    if not len(before):
        return replace(reset(view), axis=axis)

    def moved(x: float) -> float:
        return float(np.interp(x, before, after))

    cursor = None if view.cursor is None else moved(view.cursor)
    if cursor is not None and axis != "time":
        cursor = float(round(cursor))
    window = None if view.window is None else (moved(view.window[0]), moved(view.window[1]))
    if window is not None and window[1] - window[0] < LEAST_WINDOW:
        window = (max(0.0, window[1] - LEAST_WINDOW), max(window[1], LEAST_WINDOW))
    return replace(view, axis=axis, window=window, cursor=cursor)


def unusual(view: ChartView) -> str:
    """Return in what curves aren't shown as they usually are, such as "smoothed 0.9, log, held"; empty for nothing."""
    smoothing = f"smoothed {view.smoothing:g}" if view.smoothing else ""
    return ", ".join(filter(None, (smoothing, "log" if view.log_y else "", "" if view.follows else "held")))


def smoothed(values: Floats, strength: float) -> Floats:
    """Return the exponential moving average of `values`, its beginning leaning to nothing; gaps stay gaps."""
    if not strength:
        return values
    known = np.isfinite(values)
    weights = strength ** np.arange(len(values))
    total = np.convolve(np.where(known, values, 0.0), weights)[: len(values)]
    weight = np.convolve(known, weights)[: len(values)]
    return np.where(known, total / np.where(known, weight, 1.0), np.nan)


def columns_of_memory(strength: float) -> int:
    """Return how many columns back an average of this strength still hears: until a hundredth of the weight is left."""
    return math.ceil(math.log(0.01) / math.log(strength)) if strength else 0


def transformed(values: Floats, *, is_log: bool) -> Floats:
    """Return the values as they are drawn: where by logarithm, NaN for what has none."""
    if not is_log:
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, np.log10(values), np.nan)


def scale_for(low: Floats, high: Floats, *, is_log: bool, rows: int, last: Scale | None = None) -> Scale:
    """Return a range in round steps for the least and greatest values of what is shown; NaN is left out.

    The last one is kept while it holds everything and isn't half empty. Where the outermost hundredth of the columns
    would make all others a quarter of the height or less, they are out of the range.
    """
    extent = _extent(transformed(low, is_log=is_log), transformed(high, is_log=is_log))
    if last is not None and (last.is_log, last.rows) != (is_log, rows):
        last = None
    if extent is None:
        return last or _linear(0.0, 1.0, rows) if not is_log else last or _logarithmic(-1.0, 0.0, rows)
    least, greatest = extent
    if last is not None and _holds(last, least, greatest):
        return last
    return _logarithmic(least, greatest, rows) if is_log else _linear(least, greatest, rows)


def value_label(value: float, scale: Scale) -> str:
    """Return a tick of the scale in words, at most seven cells of them, such as "0.40", "48,200" and "1.2e-4"."""
    ticks = scale.ticks
    step = value if scale.is_log or len(ticks) < 2 else ticks[1] - ticks[0]
    largest = max(abs(tick) for tick in ticks)
    if largest >= 1e6 or 0 < abs(step) < 1e-4:
        return short_exponent(f"{value:.3g}" if abs(value) < 1e6 else f"{value:.2e}") if value else "0"
    text = f"{value:,.{_decimals(step)}f}"
    return text if len(text) <= 7 else short_exponent(f"{value:.1e}")


def place(x: float, axis: Axis) -> str:
    """Return a place on an axis in words: a step in full digits, or a span of time such as "1 h 20 min"."""
    return round_clock(x) if axis == "time" else f"{x:,.0f}"


def place_ticks(low: float, high: float, axis: Axis, most: int) -> list[float]:
    """Return round places between `low` and `high`, about as many as `most`."""
    wanted = (high - low) / max(1, most)
    step = _round_up(max(1.0, wanted)) if axis != "time" else next((s for s in _SECONDS if s >= wanted), _SECONDS[-1])
    first = math.ceil(low / step)
    return [index * step for index in range(first, math.floor(high / step) + 1)]


def _zoomed(view: ChartView, end: float, factor: float) -> ChartView:
    low, high = shown_window(view, end)
    width = max(LEAST_WINDOW, (high - low) * factor)
    if factor > 1 and width >= calm_end(end):
        return replace(view, window=None, follows=True)
    if width == high - low:
        return view
    if view.cursor is not None and low <= view.cursor <= high:
        share = (view.cursor - low) / (high - low)
        return replace(view, window=_within(view.cursor - share * width, width, end), follows=False)
    if view.follows:
        return replace(view, window=_within(end - width, width, end))
    return replace(view, window=_within((low + high - width) / 2, width, end))


def _within(low: float, width: float, end: float) -> tuple[float, float]:
    """Return a window of this width that begins at `low`, or as near to it as the run goes."""
    low = max(0.0, min(low, max(calm_end(end), width) - width))
    return low, low + width


def _extent(low: Floats, high: Floats) -> tuple[float, float] | None:
    """Return the least and the greatest that a range should hold; None where nothing is finite."""
    lows, highs = np.sort(low[np.isfinite(low)]), np.sort(high[np.isfinite(high)])
    if not len(lows) or not len(highs):
        return None
    least, greatest = float(lows[0]), float(highs[-1])
    left_out = math.ceil(OUTLIERS * len(highs))
    if min(len(lows), len(highs)) < 8 * left_out:
        return least, greatest
    usual_least, usual_greatest = float(lows[left_out]), float(highs[-1 - left_out])
    usual = usual_greatest - usual_least
    if usual > 0 and greatest - usual_greatest > (FLATTENED - 1) * usual:
        greatest = usual_greatest
    if usual > 0 and usual_least - least > (FLATTENED - 1) * usual:
        least = usual_least
    return least, greatest


def _holds(scale: Scale, least: float, greatest: float) -> bool:
    low, high = transformed(np.array([scale.low, scale.high]), is_log=scale.is_log).tolist()
    return bool(low <= least and greatest <= high and greatest - least >= KEPT_FILL * (high - low))


def _linear(least: float, greatest: float, rows: int) -> Scale:
    if greatest - least <= 1e-9 * max(abs(least), abs(greatest)):
        margin = 0.05 * max(abs(least), abs(greatest)) or 0.5
        least, greatest = least - margin, greatest + margin
    intervals = min(MOST_LABELS - 1, max(1, rows // 2))
    step = _round_up((greatest - least) / intervals)
    while (count := math.ceil(greatest / step - 1e-9) - math.floor(least / step + 1e-9)) > intervals + (intervals == 1):
        step = _round_up(step * 1.01)
    first = math.floor(least / step + 1e-9)
    ticks = tuple(float(f"{(first + index) * step:.12g}") for index in range(count + 1))
    return Scale(low=ticks[0], high=ticks[-1], is_log=False, rows=rows, ticks=ticks)


def _logarithmic(least: float, greatest: float, rows: int) -> Scale:
    """Return a range from the exponents of its ends: whole decades, or 1, 2 and 5 of them where they are few."""
    most = min(MOST_LABELS, max(2, (rows + 1) // 2))
    by_decade = greatest - least > 2
    parts = (1,) if by_decade else (1, 2, 5)
    grid = [
        (math.log10(part) + decade, part * 10.0**decade)
        for decade in range(math.floor(least) - 1, math.ceil(greatest) + 2)
        for part in parts
    ]
    first = max(index for index, (exponent, _) in enumerate(grid) if exponent <= least + 1e-9)
    last = min(index for index, (exponent, _) in enumerate(grid) if exponent >= greatest - 1e-9)
    last = max(last, first + 1)
    values = [value for _, value in grid[first : last + 1]]
    thin = math.ceil(len(values) / most)
    return Scale(low=values[0], high=values[-1], is_log=True, rows=rows, ticks=tuple(values[::thin]))


def _round_up(value: float) -> float:
    """Return the least of 1, 2, 2.5 and 5 times a power of ten that isn't less than `value`, which is over 0."""
    magnitude = 10.0 ** math.floor(math.log10(value))
    return next((part * magnitude for part in _ROUND if part * magnitude >= value * (1 - 1e-9)), 10 * magnitude)


def _decimals(step: float) -> int:
    """Return how many digits after the point tell the multiples of `step` apart."""
    return next((count for count in range(6) if abs(round(step, count) - step) <= 1e-6 * abs(step)), 6)
