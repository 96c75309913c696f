"""Charts: what they show in characters, what they refresh, and what they say."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt
import pytest
from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.containers import Grid
from textual.geometry import Region

from distill_tui.charts.drawing import drawn, sentence
from distill_tui.charts.pyramid import Pyramid
from distill_tui.charts.view import ChartView
from distill_tui.widgets.chart import Chart, Series

Numbers = npt.NDArray[np.float64]
SMALL, LARGE = (38, 8), (118, 20)

X = np.arange(1.0, 61.0)
FALLING = 2 * np.exp(-X / 15) + 0.4


def train(y: Numbers = FALLING, *, low: Numbers | None = None, high: Numbers | None = None) -> Series:
    return Series(name="train", label="train", x=X[: len(y)], y=y, low=low, high=high)


def validation(y: Numbers = FALLING[9::10] + 0.2) -> Series:
    return Series(
        name="validation",
        label="validation",
        x=X[9::10],
        y=y,
        kind="points",
        colour="validation",
        best="least",
    )


FLOOR = Series(name="floor", label="floor", x=X[:1], y=np.array([0.3]), kind="level", colour="level")


def picture(
    series: Sequence[Series], size: tuple[int, int], *, view: ChartView | None = None, ascii_only: bool = False
) -> list[str]:
    """Return the rows of a chart of the run's 60 steps."""
    pyramids = {}
    for one in series:
        pyramids[one.name] = Pyramid()
        pyramids[one.name].update(one.y, one.revision, low=one.low, high=one.high)
    drawing = drawn(
        title="loss",
        series=series,
        pyramids=pyramids,
        view=view or ChartView(),
        end=60,
        columns=size[0],
        rows=size[1],
        ascii_only=ascii_only,
    )
    assert drawing.cells.codes.shape == (size[1], size[0])
    return drawing.cells.text().split("\n")


def test_a_small_chart_has_its_values_in_the_title_and_its_labels_at_both_axes() -> None:
    assert picture([train(), validation(), FLOOR], SMALL) == [
        "loss ━ 0.4366 • 0.6366 ╌ 0.3000",
        "      3┤",
        "       │⢄⡀",
        "      2┤ ⠈⠢⢄⢠⡄",
        "      1┤    ⠉⠒⠣⢔⡀⠶⢀   ⣀",
        "       │        ⠈⠉⠑⠒⠓⠬⠭⠦⢔⣀⣚⣓⣀⣄⣠⣶⣄⠠ ⠄⠶",
        "      0┤⠒⠂ ⠒⠂ ⠒⠂ ⠒⠂ ⠒⠂ ⠒⠂ ⠒⠂ ⠒⠂ ⠒⠋⠉⠛⠃",
        "   step 0         25          50",
    ]


def test_the_same_chart_in_ascii_tells_curves_apart_by_letters() -> None:
    assert picture([train(), validation(), FLOOR], SMALL, ascii_only=True) == [
        "loss - 0.4366 o 0.6366 = 0.3000",
        "      3+",
        "       |;",
        "      2+ '-.o",
        "      1+    ''-:.o.",
        "       |         ''--!o-:.o;..;o.;. o",
        "      0+===   ===   ===   ===   ===''",
        "   step 0         25          50",
    ]


def test_a_cursor_stands_behind_the_curves_with_its_step_below_and_its_values_above() -> None:
    assert picture([train(), validation(), FLOOR], SMALL, view=ChartView(cursor=22.0, log_y=True)) == [
        "loss ━ 0.8614 • 1.127  ╌ 0.3000",
        "      5┤          │",
        "       │⠤⢄⡀ ⢀⡀    │",
        "       │  ⠈⠉⠚⠣⠦⣠⡀⣤⢀   ⣀",
        "      1┤        ⠈⠉⠒⠒⠥⠬⢍⣂⣐ ⠴⠦ ⠄⠠⠶⠄⢀ ⡀⣤",
        "       │          │      ⠉⠉⠉⠉⠑⠒⠒⠒⠒⠒⠒⠂",
        "    0.2┤⠉⠁ ⠉⠁ ⠉⠁ ⠉⠁ ⠉⠁ ⠉⠁ ⠉⠁ ⠉⠁ ⠉⠁ ⠉⠁",
        "   step 0        22           50",
    ]


def test_a_gap_is_drawn_as_a_gap_and_nowhere_else_is_one() -> None:
    y = FALLING.copy()
    y[30:34] = np.nan
    assert picture([train(y)], SMALL)[1:-1] == [
        "      3┤",
        "       │⢄⡀",
        "      2┤ ⠈⠢⢄",
        "      1┤    ⠉⠒⠢⢄⡀",
        "       │        ⠈⠉⠑⠒⠒⠤⠄ ⢄⣀⣀⣀⣀⣀⣀⣀⣀",
        "      0┤                         ⠉⠉⠉⠁",
    ]


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_spike_that_would_flatten_the_curve_leaves_the_plot_under_a_mark(size: tuple[int, int]) -> None:
    y = FALLING.copy()
    y[40] = 30
    rows = picture([train(y)], size)
    assert rows[1].count("▲") >= 1
    assert float(rows[1].split("┤")[0]) < 4
    assert rows[1].index("▲") == pytest.approx(8 + (size[0] - 8) * 41 / 64, abs=2)
    assert "^" in picture([train(y)], size, ascii_only=True)[1]


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_spike_of_one_row_among_many_is_seen_in_the_band(size: tuple[int, int]) -> None:
    x, y = np.arange(100_000.0), np.full(100_000, 1.0)
    y[50_000:] = 0.5
    y[33_333] = 1.4
    series = Series(name="train", label="train", x=x, y=y)
    rows = picture_of_long(series, size)
    column = 8 + int(33_333 / 100_000 * (size[0] - 8))
    spiked = [row for row in rows if row[column] in "⢐⢀"]
    assert len(spiked) >= size[1] // 3
    assert all(not row[column + 1 :].strip() for row in spiked)


def picture_of_long(series: Series, size: tuple[int, int]) -> list[str]:
    pyramid = Pyramid()
    pyramid.update(series.y, series.revision)
    drawing = drawn(
        title="loss",
        series=[series],
        pyramids={series.name: pyramid},
        view=ChartView(),
        end=100_000,
        columns=size[0],
        rows=size[1],
    )
    return [row.ljust(size[0]) for row in drawing.cells.text().split("\n")]


@pytest.mark.parametrize("size", [SMALL, LARGE, (20, 4), (12, 2), (3, 1)])
@pytest.mark.parametrize("view", [ChartView(), ChartView(cursor=22.0, log_y=True, smoothing=0.9)])
def test_ascii_is_ascii_alone_at_any_size_whatever_a_label_holds(size: tuple[int, int], view: ChartView) -> None:
    foreign = Series(name="r", label="Geräusch 音", x=X, y=FALLING * 40, colour="run-1")
    rows = picture([train(), foreign, validation(), FLOOR], size, view=view, ascii_only=True)
    assert "".join(rows).isascii()


@pytest.mark.parametrize("size", [(1, 1), (8, 1), (9, 2), (20, 4), (21, 3)])
def test_a_chart_too_small_for_all_still_shows_what_it_has_room_for(size: tuple[int, int]) -> None:
    for view in (ChartView(), ChartView(axis="time", cursor=22.0, window=(15.0, 30.0), follows=False)):
        picture([train(), validation(), FLOOR], size, view=view)
        picture([], size, view=view)


def test_smoothing_hears_what_lies_left_of_the_window() -> None:
    y = np.tile([1.0, 3.0], 30)
    close = ChartView(window=(40.0, 60.0), follows=False, smoothing=0.98)
    rows = picture([train(y)], LARGE, view=close)
    drawn_rows = [index for index, row in enumerate(rows[1:-1]) if row[8:].strip()]
    assert drawn_rows[0] == 0  # the rows themselves, faint, at 3 and at 1
    assert drawn_rows[-1] == len(rows) - 3
    assert len(drawn_rows[1:-1]) <= 4  # their average, which doesn't begin anew at the window's edge


def test_between_two_rows_the_line_passes_straight_through_the_window() -> None:
    y = np.array([1.0, 2.0])
    series = Series(name="train", label="train", x=np.array([0.0, 1000.0]), y=y)
    pyramid = Pyramid()
    pyramid.update(y, 0)
    drawing = drawn(
        title="loss",
        series=[series],
        pyramids={"train": pyramid},
        view=ChartView(window=(400.0, 600.0), follows=False),
        end=1000,
        columns=38,
        rows=8,
    )
    assert all(row[8:].strip() for row in drawing.cells.text().split("\n")[1:-1])
    assert (drawing.scale.low, drawing.scale.high) == (1.4, 1.6)


def read_out(series: Sequence[Series], view: ChartView) -> tuple[str, list[str]]:
    """Return the values in a chart's title, and the places that stand below it."""
    rows = picture(series, LARGE, view=view)
    return " ".join(rows[0].split()), rows[-1].split("  ")


def test_the_read_out_is_exact_at_the_cursor_and_the_latest_without_one() -> None:
    series = [train(np.arange(1.0, 61.0) / 8), validation(np.array([9.0, 8.0, 7.0, 6.0, 5.0, 4.0])), FLOOR]
    values, _ = read_out(series, ChartView())
    assert values == "loss ━━ train 7.500 •┈ validation 4.000 ╌╌ floor 0.3000"
    for step in (10, 11, 59):
        values, places = read_out(series, ChartView(cursor=float(step)))
        assert values == f"loss ━━ train {step / 8:.3f} •┈ validation {10 - step // 10:.3f} ╌╌ floor 0.3000"
        assert str(step) in map(str.strip, places)
    values, _ = read_out(series, ChartView(cursor=0.0))
    assert values == "loss ━━ train - •┈ validation - ╌╌ floor 0.3000"


def test_times_of_day_are_read_from_where_the_run_began() -> None:
    began = 1_764_000_000.0
    series = Series(name="t", label="train", x=began + X * 60, y=X, origin=began)
    values, places = read_out([series], ChartView(axis="time", cursor=600.0, window=(0.0, 3600.0), follows=False))
    assert values == "loss ━━ train 10.00"
    assert "10 min" in map(str.strip, places)


def test_a_chart_says_where_its_curve_is_where_it_goes_and_how_good_it_got() -> None:
    x = np.arange(1_000.0, 49_000.0, 100.0)
    y = np.linspace(0.9, 0.412, len(x))
    y[450] = 0.409
    series = Series(name="v", label="validation", x=x, y=y, kind="points", best="least")
    step = "validation 0.4120 at step 48,900, down 11 % in 4,900 steps, best 0.4090 at 46,000"
    assert sentence([train(), series], "step") == step
    timed = "validation 0.4120 after 13 h 35 min, down 8 % in an hour, best 0.4090 after 12 h 46 min"
    assert sentence([series], "time") == timed
    assert sentence([FLOOR], "step") == "nothing to show yet"
    assert sentence([train(np.full(3, math.nan))], "step") == "train: no value yet"


class Watched(Chart):
    """A chart that remembers what it asked to have painted."""

    def __init__(self) -> None:
        super().__init__("loss")
        self.painted: list[Region] = []
        self.whole = 0

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        self.painted += regions
        self.whole += not regions
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)


class ChartApp(App[None]):
    """A screen full of one chart."""

    CSS = "Grid.hidden { display: none; }"

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__()
        self.ascii_only = ascii_only
        self.chart = Watched()

    def compose(self) -> ComposeResult:
        with Grid():
            yield self.chart

    def forget(self) -> None:
        self.chart.painted.clear()
        self.chart.whole = 0


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_nothing_is_painted_when_nothing_changed_and_little_when_little_did(size: tuple[int, int]) -> None:
    async def visit() -> None:
        app = ChartApp()
        async with app.run_test(size=size) as pilot:
            app.chart.show([train(FALLING[:52])], ChartView(), end=52)
            await pilot.pause()
            app.forget()
            app.chart.show([train(FALLING[:52].copy())], ChartView(), end=52)
            assert (app.chart.painted, app.chart.whole) == ([], 0)

            before = app.chart.text.split("\n")
            app.chart.show([train(FALLING[:54])], ChartView(), end=54)
            after = app.chart.text.split("\n")
            changed = [row for row, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
            assert app.chart.whole == 0
            assert [region.y for region in app.chart.painted] == changed
            assert 1 <= len(changed) <= 4
            for region in app.chart.painted:
                one, other = (rows[region.y].ljust(size[0]) for rows in (before, after))
                differs = [x for x in range(size[0]) if one[x] != other[x]]
                assert (region.x, region.right, region.height) == (differs[0], differs[-1] + 1, 1)
            await pilot.pause()
            assert screen_rows(app)[: len(after)] == after

    asyncio.run(visit())


def screen_rows(app: ChartApp) -> list[str]:
    """Return what Textual has composed for the terminal."""
    strips = app.screen._compositor.render_strips()
    return [strip.text.rstrip() for strip in strips]


def test_a_chart_that_is_not_shown_paints_nothing_and_is_up_to_date_when_it_is_again() -> None:
    async def visit() -> None:
        app = ChartApp()
        async with app.run_test(size=SMALL) as pilot:
            app.chart.show([train(FALLING[:20])], ChartView(), end=20)
            await pilot.pause()
            app.query_one(Grid).add_class("hidden")
            await pilot.pause()
            app.chart.show([train(FALLING[:40])], ChartView(), end=40)
            await pilot.pause()
            app.forget()
            app.chart.show([train(FALLING[:50])], ChartView(), end=50)
            await pilot.pause()
            assert (app.chart.painted, app.chart.whole) == ([], 0)
            app.query_one(Grid).remove_class("hidden")
            await pilot.pause()
            assert "0.471" in screen_rows(app)[0]

    asyncio.run(visit())


def test_a_chart_is_drawn_anew_at_another_size_and_recoloured_in_another_theme() -> None:
    async def visit() -> None:
        app = ChartApp()
        async with app.run_test(size=SMALL) as pilot:
            app.chart.show([train()], ChartView(), end=60)
            await pilot.pause()
            colours = {segment.style.color for strip in strips(app) for segment in strip if segment.style}
            text = app.chart.text
            app.theme = "textual-light"
            await pilot.pause()
            assert colours.isdisjoint(
                {segment.style.color for strip in strips(app) for segment in strip if segment.style}
            )
            assert app.chart.text == text
            await pilot.resize_terminal(*LARGE)
            await pilot.pause()
            assert max(map(len, screen_rows(app))) > SMALL[0]
            assert screen_rows(app)[-1].strip().startswith("step")

    asyncio.run(visit())


def strips(app: ChartApp) -> list[list[Segment]]:
    return [list(app.chart.render_line(row)) for row in range(app.chart.size.height)]


def test_the_range_does_not_jump_while_a_run_is_watched_and_is_taken_anew_for_another() -> None:
    async def visit() -> None:
        app = ChartApp()
        random = np.random.default_rng(3)
        y = 0.5 + 0.08 * random.normal(size=60)
        async with app.run_test(size=SMALL) as pilot:
            app.chart.show([train(y[:20])], ChartView(), end=20)
            await pilot.pause()
            seen = []
            for rows in range(21, 61):
                app.chart.show([train(y[:rows])], ChartView(), end=rows)
                seen.append("".join(row[:8] for row in app.chart.text.split("\n")[1:-1]))
            assert sum(one != other for one, other in itertools.pairwise(seen)) <= 2
            other = [train(0.57 + 0.6 * (y - 0.5))]
            app.chart.show(other, ChartView(), end=60)
            assert app.chart.text.split("\n") != picture(other, SMALL)
            another_run = [dataclasses.replace(other[0], revision="another run")]
            app.chart.show(another_run, ChartView(), end=60)
            assert app.chart.text.split("\n") == picture(another_run, SMALL)

    asyncio.run(visit())


def test_an_app_for_plain_terminals_gets_plain_charts() -> None:
    async def visit() -> str:
        app = ChartApp(ascii_only=True)
        async with app.run_test(size=SMALL) as pilot:
            app.chart.show([train(), validation()], ChartView(), end=60)
            await pilot.pause()
            assert app.chart.sentence.startswith("validation 0.6366 at step 60")
            assert app.chart.plot_columns == 30
            return "".join(screen_rows(app))

    assert asyncio.run(visit()).isascii()
