"""The charts of a run, as many side by side as fit, with one view for all of them.

Only those that are shown are drawn; the others catch up when they are paged to.
"""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container

from distill_tui.charts import curves
from distill_tui.charts.curves import PICTURES
from distill_tui.charts.view import ChartView
from distill_tui.live_run import RunView
from distill_tui.widgets.chart import Chart

TWO_ROWS, TWO_COLUMNS = 13, 76
"""From this height and width on, two charts stand below and beside each other."""


class ChartsGrid(Container):
    """A grid of charts that one pages through; `m` leaves one of them."""

    DEFAULT_CSS = """
    ChartsGrid { layout: grid; grid-size: 2 2; grid-gutter: 0 2; padding: 0 1; height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__(id="charts-grid")
        self._charts = [Chart(picture.title, id=f"chart-{picture.name}") for picture in PICTURES]
        for chart in self._charts:
            chart.display = False
        self._place = 0
        """Which chart one is at: the one that is read next, or that stands alone."""
        self._columns = self._rows = 2
        self._is_single = False
        self._view: RunView | None = None
        self._chart_view = ChartView()

    def compose(self) -> ComposeResult:
        """Lay out all charts, of which the page's are displayed."""
        yield from self._charts

    @property
    def _count(self) -> int:
        return 1 if self._is_single else self._columns * self._rows

    @property
    def shown_charts(self) -> list[Chart]:
        """The charts that are displayed now."""
        first = self._place // self._count * self._count
        return self._charts[first : first + self._count]

    @property
    def plot_columns(self) -> int:
        """How many columns of cells a chart's curves have, by which the cursor moves."""
        return self.shown_charts[0].plot_columns

    def show(self, view: RunView | None, chart_view: ChartView) -> None:
        """Draw the run as it is, in the way it is looked at."""
        self._view, self._chart_view = view, chart_view
        run = curves.told(view, chart_view.axis) if view else None
        if view is None or run is None:
            return
        end = curves.end_of(view, chart_view.axis)
        for chart, picture in zip(self._charts, PICTURES, strict=True):
            if chart.display:
                chart.show(picture.curves(run), chart_view, end=end)

    def turn(self, pages: int) -> None:
        """Show the next charts, or those before where `pages` is less than 0."""
        self._place = (self._place // self._count + pages) * self._count % len(self._charts)
        self._display()

    def toggle_single(self) -> None:
        """Show one chart alone, or as many as fit."""
        self._is_single = not self._is_single
        self._display()

    def close_single(self) -> bool:
        """Show as many as fit; tell whether there was one alone."""
        was_single = self._is_single
        if was_single:
            self.toggle_single()
        return was_single

    def read(self) -> str:
        """Return the chart one is at in a sentence, and go to the next of those shown."""
        shown = self.shown_charts
        chart = self._charts[self._place]
        words = f"{PICTURES[self._place].title}: {chart.sentence}"
        if not self._is_single:
            first = self._charts.index(shown[0])
            self._place = first + (self._place - first + 1) % len(shown)
        return words

    def on_mount(self) -> None:
        """Display the first page."""
        self._display()

    def on_resize(self) -> None:
        """Lay out as many as fit now."""
        columns, rows = 1 + (self.size.width >= TWO_COLUMNS), 1 + (self.size.height >= TWO_ROWS)
        if (columns, rows) != (self._columns, self._rows):
            self._columns, self._rows = columns, rows
            self._display()

    def _display(self) -> None:
        here = self.shown_charts
        self.styles.grid_size_columns = 1 if self._is_single else self._columns
        self.styles.grid_size_rows = 1 if self._is_single else self._rows
        for chart in self._charts:
            chart.display = chart in here  # a class would have Textual look up all styles of a chart anew
        self.show(self._view, self._chart_view)
