"""A chart as characters: title with legend and values, labels of both axes, and the curves between them.

Curves are told apart by how they are dotted as well as by colour: the first line is solid, further ones are dashed,
points are thick and joined by a dotted line, a level is dashed across the whole plot. Where curves meet, a cell shows
the dots of all of them in the colour of the last; the band from least to greatest is faint and gives way to all.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from rich.cells import cell_len

from distill_tui.charts.canvas import (
    Cells,
    Codes,
    Floats,
    Mask,
    bits,
    characters,
    dashed,
    dots_in_a_cell,
    filled,
    joined,
)
from distill_tui.charts.pyramid import Pyramid, found
from distill_tui.charts.view import (
    Axis,
    ChartView,
    Scale,
    columns_of_memory,
    place,
    place_ticks,
    scale_for,
    shown_window,
    smoothed,
    transformed,
    value_label,
)
from distill_tui.format import clock, number

Array = npt.NDArray[np.generic]
Numbers = npt.NDArray[np.floating]
Kind = Literal["line", "points", "level"]
Colour = Literal[
    "train", "validation", "magnitude", "frequency", "stft", "kl", "level", "run-1", "run-2", "run-3", "run-4"
]
Style = Literal["plain", "title", "muted", "axis", "cursor", "band"] | Colour

STYLES: tuple[str, ...] = ("plain", "title", "muted", "axis", "cursor", "band", *get_args(Colour))
"""The styles of a chart, each under its number in `Cells`."""

GUTTER = 8
"""Cells at the left for the labels of values: seven for words, one for the axis."""
LEAST_PLOT = 12
"""Below so many columns for the plot the gutter gives way."""
LEAST_VALUE = 6
"""Cells for a value in the title."""

_DASHES = ((1, 1), (5, 8), (2, 4), (1, 3))
"""Of how many dots along a line how many are drawn: for the first line, the second and so on."""
_LETTERS = ("", "+", "x", "~")
"""What lines are made of in ASCII, which has too few dots for dashes."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One curve: numbers `y` at the sorted places `x`, [rows] both; what isn't finite is a gap."""

    name: str
    """What it is, the same from one drawing to the next."""
    label: str
    """What it is called in the legend."""
    x: Array
    y: Numbers
    low: Numbers | None = None
    """The least and the greatest that each row stands for, where it stands for several."""
    high: Numbers | None = None
    kind: Kind = "line"
    revision: Hashable = 0
    """Another one says that rows which were there have changed, or that these are another run's."""
    colour: Colour = "train"
    origin: float = 0.0
    """Where the axis begins in units of `x`: the time the run began, for times of day."""
    best: Literal["least", "greatest"] | None = None
    """Which of its values is the best one."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A chart drawn, and the range of values it was drawn with."""

    cells: Cells
    scale: Scale


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """A series as the plot shows it: a number for each column of dots, [columns]."""

    series: Series
    low: Floats
    high: Floats
    line: Floats
    has_rows: Mask
    is_smoothed: bool = False


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """Dots of one colour; in ASCII their cells may show a letter instead."""

    mask: Mask
    colour: Colour
    letter: str = ""


@dataclass(frozen=True, kw_only=True)
class _Plot:
    """The part of a chart that holds the curves, in cells."""

    left: int
    top: int
    columns: int
    rows: int
    window: tuple[float, float]
    ascii_only: bool

    @property
    def dots(self) -> tuple[int, int]:
        across, down = dots_in_a_cell(ascii_only=self.ascii_only)
        return self.columns * across, self.rows * down

    def column_of(self, x: float) -> int:
        low, high = self.window
        return min(self.columns - 1, max(0, int((x - low) / (high - low) * self.columns)))


def plot_columns(columns: int) -> int:
    """Return how many of a chart's columns its plot has."""
    return columns - (GUTTER if columns - GUTTER >= LEAST_PLOT else 0)


def drawn(
    *,
    title: str,
    series: Sequence[Series],
    pyramids: Mapping[str, Pyramid],
    view: ChartView,
    end: float,
    columns: int,
    rows: int,
    ascii_only: bool = False,
    has_places: bool = True,
    last_scale: Scale | None = None,
) -> Drawing:
    """Draw a chart of so many cells; `end` is how far the run has come.

    `pyramids` holds an up-to-date one for each series' name.
    """
    cells = Cells(columns, rows)
    places = int(has_places and rows > 2)
    across = plot_columns(columns)
    plot = _Plot(
        left=columns - across,
        top=1,
        columns=across,
        rows=max(1, rows - 1 - places),
        window=shown_window(view, end),
        ascii_only=ascii_only,
    )
    curves = [_curve(one, pyramids[one.name], view, plot) for one in series]
    scale = _scale(curves, view, plot, last_scale)
    _write_title(cells, title, series, view, ascii_only=ascii_only)
    if rows > 1:
        _draw_curves(cells, plot, curves, scale)
        _write_levels(cells, plot, curves, scale)
        _draw_cursor(cells, plot, view)
        _write_values(cells, plot, scale)
    if places:
        _write_places(cells, plot, view)
    if ascii_only:
        cells.keep_to_ascii()
    return Drawing(cells=cells, scale=scale)


def value_at(series: Series, x: float) -> float:
    """Return the last value at or before the place `x`; NaN where there was none yet, or the last wasn't finite."""
    row = _rows_until(series, x)
    return float(series.y[row - 1]) if row else float("nan")


def latest(series: Series) -> float:
    """Return the last value; NaN where there is none."""
    return float(series.y[-1]) if len(series.y) else float("nan")


def sentence(series: Sequence[Series], axis: Axis) -> str:
    """Return the chart's main curve as a sentence without its full stop: where it is, where it goes, how good it got.

    The main curve is the first of points, else the first line. It is compared with a tenth of the run ago.
    """
    curves = [one for one in series if one.kind != "level"]
    main = next((one for one in curves if one.kind == "points"), curves[0] if curves else None)
    if main is None:
        return "nothing to show yet"
    known = np.flatnonzero(np.isfinite(main.y))
    if not len(known):
        return f"{main.label}: no value yet"
    last = int(known[-1])
    x = float(main.x[last]) - main.origin
    words = [f"{main.label} {number(float(main.y[last]))} {_at(x, axis)}"]
    words += _trend(main, known, x, axis)
    words += _best(main, last, axis)
    return ", ".join(words)


def _trend(main: Series, known: npt.NDArray[np.intp], x: float, axis: Axis) -> list[str]:
    """Return how the curve changed in the last hour, or in the last tenth of the run's steps."""
    ago = 3600.0 if axis == "time" and x > 7200 else x / 10
    earlier = known[known < _rows_until(main, x - ago)]
    if not len(earlier):
        return []
    then, now = float(main.y[earlier[-1]]), float(main.y[known[-1]])
    since = x - (float(main.x[earlier[-1]]) - main.origin)
    time = f"{since:,.0f} {axis}s" if axis != "time" else "an hour" if 3300 < since < 3900 else clock(since)
    if not then:
        return []
    percent = round(100 * (now - then) / abs(then))
    return [f"{'down' if percent < 0 else 'up'} {abs(percent):,} % in {time}" if percent else f"level for {time}"]


def _best(main: Series, last: int, axis: Axis) -> list[str]:
    values = np.where(np.isfinite(main.y), main.y, np.nan)
    if main.best is None:
        return [f"between {number(float(np.nanmin(values)))} and {number(float(np.nanmax(values)))}"]
    row = int(np.nanargmin(values) if main.best == "least" else np.nanargmax(values))
    if row == last:
        return ["the best so far"]
    where = float(main.x[row]) - main.origin
    return [f"best {number(float(values[row]))} {_at(where, axis).replace(f'{axis} ', '')}"]


def _at(x: float, axis: Axis) -> str:
    return f"after {place(x, axis)}" if axis == "time" else f"at {axis} {place(x, axis)}"


def _told(series: Series, view: ChartView) -> float:
    return latest(series) if view.cursor is None or series.kind == "level" else value_at(series, view.cursor)


def _in_digits(value: float, digits: int) -> str:
    """Return a value in so many digits, 4 as everywhere else; less than 3 have no 0 before the point."""
    if not np.isfinite(value):
        return "-"
    rounded = float(f"{value:.{digits - 1}e}")
    if digits > 3 or not 0.001 <= abs(rounded) < 1000:
        return number(value)
    text = f"{rounded:.{max(0, digits - 1 - math.floor(math.log10(abs(rounded))))}f}"
    return text if digits > 2 else text.removeprefix("0")


def _rows_until(series: Series, x: float) -> int:
    """Return how many rows lie at or before the place `x`."""
    return int(found(series.x, np.array([x + series.origin] * 2))[-1])


def _curve(series: Series, pyramid: Pyramid, view: ChartView, plot: _Plot) -> _Curve:
    """Return what the plot shows of a series; where smoothed, the average has heard what lies left of the window."""
    low, high = plot.window
    across, _ = plot.dots
    if series.kind == "level":
        level = np.full(across, latest(series))
        return _Curve(series=series, low=level, high=level, line=level, has_rows=np.ones(across, dtype=np.bool_))
    before = columns_of_memory(view.smoothing) if series.kind == "line" else 0
    width = (high - low) / across
    edges = low + series.origin + width * np.arange(-before, across + 1, dtype=np.float64)
    columns = pyramid.columns(series.x, edges)
    line = smoothed(columns.mean, view.smoothing) if before else columns.mean
    line = _with_passages(line, columns.is_empty, columns.bounds, series, edges, view=view)
    return _Curve(
        series=series,
        low=columns.low[before:],
        high=columns.high[before:],
        line=line[before:],
        has_rows=~columns.is_empty[before:],
        is_smoothed=before > 0,
    )


def _with_passages(
    line: Floats, empty: Mask, bounds: npt.NDArray[np.intp], series: Series, edges: Floats, *, view: ChartView
) -> Floats:
    """Return the line with values where it passes through columns without a row, straight from one row to the next."""
    after = bounds[:-1]
    (passed,) = np.nonzero(empty & (after > 0) & (after < len(series.x)))
    if not len(passed):
        return line
    right = after[passed]
    x_left, x_right = series.x[right - 1].astype(np.float64), series.x[right].astype(np.float64)
    y_left, y_right = _heights_beside(line, empty, passed, right, series, view=view)
    middle = (edges[passed] + edges[passed + 1]) / 2
    share = (middle - x_left) / (x_right - x_left)
    with np.errstate(over="ignore", invalid="ignore"):
        heights = y_left + share * (y_right - y_left)
        filled_line = line.copy()
        filled_line[passed] = 10.0**heights if view.log_y else heights
    return filled_line


def _heights_beside(
    line: Floats,
    empty: Mask,
    passed: npt.NDArray[np.intp],
    right: npt.NDArray[np.intp],
    series: Series,
    *,
    view: ChartView,
) -> tuple[Floats, Floats]:
    """Return how high the rows beside each passed column are drawn: smoothed, where their columns are known."""
    y_left, y_right = series.y[right - 1].astype(np.float64), series.y[right].astype(np.float64)
    if view.smoothing and series.kind == "line":
        (held,) = np.nonzero(~empty)
        place_of = np.searchsorted(held, passed)
        has_left, has_right = place_of > 0, place_of < len(held)
        y_left[has_left] = line[held[place_of[has_left] - 1]]
        y_right[has_right] = line[held[place_of[has_right]]]
    finite = np.isfinite(y_left) & np.isfinite(y_right)
    y_left, y_right = np.where(finite, y_left, np.nan), np.where(finite, y_right, np.nan)
    return transformed(y_left, is_log=view.log_y), transformed(y_right, is_log=view.log_y)


def _scale(curves: Sequence[_Curve], view: ChartView, plot: _Plot, last: Scale | None) -> Scale:
    seen = [_seen(curve) for curve in curves]
    lows = np.concatenate([np.empty(0), *(low for low, _ in seen)])
    highs = np.concatenate([np.empty(0), *(high for _, high in seen)])
    return scale_for(lows, highs, is_log=view.log_y, rows=plot.rows, last=last)


def _seen(curve: _Curve) -> tuple[Floats, Floats]:
    """Return what the range must hold of each column: that of its rows; where there are none, the line's two ends.

    Were passages counted, one row would be many columns, and a spike no rarity.
    """
    low, high = np.fmin(curve.low, curve.line), np.fmax(curve.high, curve.line)
    passed = ~curve.has_rows
    passed[[0, -1]] = False
    return np.where(passed, np.nan, low), np.where(passed, np.nan, high)


def _draw_curves(cells: Cells, plot: _Plot, curves: Sequence[_Curve], scale: Scale) -> None:
    codes, styles = _area(cells, plot)
    _draw_bands(codes, styles, plot, curves, scale)
    union = np.zeros((plot.rows, plot.columns), dtype=np.uint8)
    for layer in _layers(curves, scale, plot):
        dots = bits(layer.mask, ascii_only=plot.ascii_only)
        touched = dots > 0
        styles[touched] = STYLES.index(layer.colour)
        if plot.ascii_only and layer.letter:
            codes[touched] = ord(layer.letter)
        else:
            union |= dots
            codes[touched] = characters(union[touched], ascii_only=plot.ascii_only)
    for curve in curves:
        _mark_beyond(codes, styles, plot, curve, scale)


def _area(cells: Cells, plot: _Plot) -> tuple[Codes, npt.NDArray[np.uint16]]:
    """Return the plot's part of the cells, to be written to."""
    where = slice(plot.top, plot.top + plot.rows), slice(plot.left, plot.left + plot.columns)
    return cells.codes[where], cells.styles[where]


def _dot_rows(values: Floats, scale: Scale, height: int) -> Floats:
    """Return the row of dots of each value, from 0 at the top; beyond the plot where it is out of range."""
    return np.rint((1 - scale.shares(values)) * (height - 1)).clip(-2 * height, 3 * height)


def _rows(values: Floats, scale: Scale, plot: _Plot) -> list[int]:
    """Return the row of cells of each value, which is finite."""
    _, down = dots_in_a_cell(ascii_only=plot.ascii_only)
    rows: list[int] = (_dot_rows(values, scale, plot.rows * down) // down).astype(int).tolist()
    return rows


def _draw_bands(
    codes: Codes, styles: npt.NDArray[np.uint16], plot: _Plot, curves: Sequence[_Curve], scale: Scale
) -> None:
    """Draw the least to greatest of each column of the lines with every other dot: faint without colours too."""
    across, height = plot.dots
    mask = np.zeros((height, across), dtype=np.bool_)
    checks = (np.arange(height)[:, None] + np.arange(across)) % 2 == 0
    for curve in curves:
        if curve.series.kind == "line":
            top, bottom = _dot_rows(curve.high, scale, height), _dot_rows(curve.low, scale, height)
            is_thin = bottom - top < 2
            if not curve.is_smoothed:  # then it is no wider than the line, and would fill the gaps between its dashes
                top = np.where(is_thin, np.nan, top)
            mask |= filled(top, bottom, height) & (checks | is_thin | plot.ascii_only)
    dots = bits(mask, ascii_only=plot.ascii_only)
    touched = dots > 0
    codes[touched] = ord(":") if plot.ascii_only else characters(dots[touched], ascii_only=False)
    styles[touched] = STYLES.index("band")


def _layers(curves: Sequence[_Curve], scale: Scale, plot: _Plot) -> list[_Layer]:
    """Return what is drawn over what: levels, what joins points, lines, and points on top."""
    _, height = plot.dots
    levels: list[_Layer] = []
    joins: list[_Layer] = []
    lines: list[_Layer] = []
    points: list[_Layer] = []
    for curve in curves:
        colour, dots = curve.series.colour, _dot_rows(curve.line, scale, height)
        if curve.series.kind == "level":
            mask = filled(dots, dots, height) & (np.arange(len(dots)) % 6 < 3)
            levels.append(_Layer(mask=mask, colour=colour, letter="="))
        elif curve.series.kind == "line":
            # In ASCII lines are told apart by their letters, and a dash would be a gap.
            drawn_dots, period = _DASHES[0 if plot.ascii_only else min(len(lines), len(_DASHES) - 1)]
            mask = dashed(*joined(dots), height, dots=drawn_dots, period=period)
            lines.append(_Layer(mask=mask, colour=colour, letter=_LETTERS[min(len(lines), len(_LETTERS) - 1)]))
        else:
            joins.append(_Layer(mask=dashed(*joined(dots), height, dots=1, period=3), colour=colour))
            mask = _points(np.where(curve.has_rows, dots, np.nan), height, ascii_only=plot.ascii_only)
            points.append(_Layer(mask=mask, colour=colour, letter="o"))
    return [*levels, *joins, *lines[::-1], *points]


def _points(dots: Floats, height: int, *, ascii_only: bool) -> Mask:
    """Return each point as four dots, thicker than any line; in ASCII as the one its letter stands for."""
    if ascii_only:
        return filled(dots, dots, height)
    top = np.maximum(dots - 1, 0)
    thick = filled(top, top + 1, height) & (dots < height)
    beside = np.zeros_like(thick)
    beside[:, 1:] = thick[:, :-1]
    return thick | beside


def _mark_beyond(codes: Codes, styles: npt.NDArray[np.uint16], plot: _Plot, curve: _Curve, scale: Scale) -> None:
    """Mark the columns whose greatest or least value is out of range, at the edge it is beyond."""
    above, below = (ord(c) for c in ("^v" if plot.ascii_only else "▲▼"))
    for row, mark, beyond in (
        (0, above, scale.shares(curve.high) > 1 + 1e-9),
        (plot.rows - 1, below, scale.shares(curve.low) < -1e-9),
    ):
        columns = beyond.reshape(plot.columns, -1).any(axis=1)
        codes[row, columns] = mark
        styles[row, columns] = STYLES.index(curve.series.colour)


def _draw_cursor(cells: Cells, plot: _Plot, view: ChartView) -> None:
    """Draw a line through the plot at the cursor, behind all that is there."""
    low, high = plot.window
    if view.cursor is None or not low <= view.cursor <= high:
        return
    codes, styles = _area(cells, plot)
    column = plot.column_of(view.cursor)
    blank = codes[:, column] == ord(" ")
    codes[blank, column] = ord("|" if plot.ascii_only else "│")
    styles[blank, column] = STYLES.index("cursor")


def _write_levels(cells: Cells, plot: _Plot, curves: Sequence[_Curve], scale: Scale) -> None:
    """Write each level's name at the right end just above it, or below, where there is room beside the curves."""
    codes, _ = _area(cells, plot)
    for curve in curves:
        if curve.series.kind != "level" or not np.isfinite(curve.line[-1]):
            continue
        width = cell_len(curve.series.label)
        row = _rows(curve.line[-1:], scale, plot)[0]
        for near in (row - 1, row + 1):
            if 0 <= near < plot.rows and width < plot.columns and (codes[near, -width:] == ord(" ")).all():
                cells.write(
                    plot.top + near, plot.left + plot.columns - width, curve.series.label, STYLES.index("muted")
                )
                break


def _write_values(cells: Cells, plot: _Plot, scale: Scale) -> None:
    """Write the labels of the values right-aligned in the gutter, and the axis."""
    if not plot.left:
        return
    tick, axis = "+|" if plot.ascii_only else "┤│"
    cells.codes[plot.top : plot.top + plot.rows, plot.left - 1] = ord(axis)
    cells.styles[plot.top : plot.top + plot.rows, plot.left - 1] = STYLES.index("axis")
    taken: set[int] = set()
    rows = _rows(np.array(scale.ticks, dtype=np.float64), scale, plot)
    for value, row in [*zip(scale.ticks, rows, strict=True)][::-1]:
        if row in taken:
            continue
        taken.add(row)
        cells.write(plot.top + row, 0, value_label(value, scale).rjust(plot.left - 1), STYLES.index("muted"))
        cells.write(plot.top + row, plot.left - 1, tick, STYLES.index("axis"))


def _write_places(cells: Cells, plot: _Plot, view: ChartView) -> None:
    """Write where along the run one is, each label under its place, as many as fit beside the cursor's."""
    row, muted = plot.top + plot.rows, STYLES.index("muted")
    if plot.left:
        cells.write(row, 0, view.axis.rjust(plot.left - 1), STYLES.index("axis"))
    most = plot.columns // (len(place(plot.window[1], view.axis)) + 6)
    labels = [(x, muted) for x in place_ticks(*plot.window, view.axis, most)]
    if view.cursor is not None and plot.window[0] <= view.cursor <= plot.window[1]:
        labels.insert(0, (view.cursor, STYLES.index("cursor")))
    taken = np.zeros(len(cells.codes[row]), dtype=np.bool_)
    for x, style in labels:
        label = place(x, view.axis)
        start = max(plot.left, plot.left + min(plot.column_of(x) - len(label) // 2, plot.columns - len(label)))
        stop = start + len(label)
        if not taken[start:stop].any():
            cells.write(row, start, label, style)
            taken[max(0, start - 2) : stop + 2] = True


Piece = tuple[str, str]
"""Text and the name of its style."""


def _write_title(cells: Cells, title: str, series: Sequence[Series], view: ChartView, *, ascii_only: bool) -> None:
    """Write the first row in the fullest form that fits."""
    columns = cells.codes.shape[1]
    marks = _marks(series, ascii_only=ascii_only)
    told = [_told(one, view) for one in series]
    head: list[Piece] = [(title, "title")]

    def legend(gap: str, *, labels: bool, mark_width: int, within: str = " ", digits: int = 4) -> list[Piece]:
        pieces: list[Piece] = []
        for one, mark, value in zip(series, marks, told, strict=True):
            label = f"{within}{one.label}" if labels else ""
            # Of one width, so that what stands behind a value stays where it is.
            words = f" {_in_digits(value, digits).ljust(LEAST_VALUE + digits - 4)}" if digits else ""
            pieces += [(gap, "plain"), (mark[:mark_width], one.colour), (label, "muted"), (words, "plain")]
        return pieces

    forms = (
        [*head, *legend("   ", labels=True, mark_width=2)],
        [*head, *legend("  ", labels=True, mark_width=1)],
        [*head, *legend(" ", labels=True, mark_width=1)],
        [*head, *legend(" ", labels=True, mark_width=1, within="")],
        [*head, *legend(" ", labels=True, mark_width=1, within="", digits=3)],
        [*head, *legend(" ", labels=True, mark_width=1, within="", digits=2)],
        [*head, *legend(" ", labels=True, mark_width=1, within="", digits=1)],
        [*head, *legend(" ", labels=False, mark_width=1)],
        [*head, *legend(" ", labels=True, mark_width=1, within="", digits=0)],
        [*head, *legend(" ", labels=False, mark_width=1)[:4]],
        legend(" ", labels=False, mark_width=1)[1:4],
    )
    fitting = next((form for form in forms if cell_len("".join(text for text, _ in form).rstrip()) <= columns), head)
    column = 0
    for text, style in fitting:
        column = cells.write(0, column, text, STYLES.index(style))


def _marks(series: Sequence[Series], *, ascii_only: bool) -> list[str]:
    """Return how each series looks, in two cells."""
    lines: tuple[str, ...] = ("--", "++", "xx", "~~") if ascii_only else ("━━", "╍╍", "┅┅", "┈┈")
    points, level = ("o.", "==") if ascii_only else ("•┈", "╌╌")
    marks = []
    for one in series:
        if one.kind == "line":
            marks.append(lines[0])
            lines = lines[1:] or lines
        else:
            marks.append(points if one.kind == "points" else level)
    return marks
