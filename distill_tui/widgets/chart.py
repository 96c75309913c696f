"""A chart of a run's numbers: curves, their legend with the values at the cursor, else the latest, and the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style

from distill_tui.charts import drawing as chart_drawing
from distill_tui.charts.canvas import Cells
from distill_tui.charts.drawing import STYLES, Colour, Kind, Series
from distill_tui.charts.pyramid import Pyramid
from distill_tui.charts.view import ChartView, Scale
from distill_tui.widgets.cells_view import CellsView

__all__ = ["Chart", "Colour", "Kind", "Series"]


class Chart(CellsView):
    """A chart that is told what to show, and sends the terminal what differs from before."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"chart--{style}" for style in STYLES}
    DEFAULT_CSS = """
    Chart {
        min-width: 20;
        min-height: 4;
        & .chart--title { color: $foreground; text-style: bold; }
        & .chart--muted { color: $foreground 70%; }
        & .chart--axis { color: $foreground 45%; }
        & .chart--cursor { color: $accent; }
        & .chart--band { color: $foreground 35%; }
        & .chart--train { color: $primary; }
        & .chart--validation { color: $accent; }
        & .chart--magnitude { color: $secondary; }
        & .chart--frequency { color: $success; }
        & .chart--stft { color: $warning; }
        & .chart--kl { color: $error; }
        & .chart--level { color: $foreground 70%; }
        & .chart--run-1 { color: $accent; }
        & .chart--run-2 { color: $secondary; }
        & .chart--run-3 { color: $success; }
        & .chart--run-4 { color: $warning; }
    }
    """

    def __init__(
        self,
        title: str,
        *,
        has_places: bool = True,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        """Make an empty chart; without places it lacks the row that says where along the run one is."""
        super().__init__(name=name, id=id, classes=classes)
        self._title = title
        self._has_places = has_places
        self._series: tuple[Series, ...] = ()
        self._view = ChartView()
        self._end = 0.0
        self._pyramids: dict[str, Pyramid] = {}
        self._scale: Scale | None = None

    @property
    def plot_columns(self) -> int:
        """How many columns of cells the curves have, by which a cursor moves."""
        return max(1, chart_drawing.plot_columns(self.size.width))

    @property
    def sentence(self) -> str:
        """The chart's main curve in words."""
        return chart_drawing.sentence(self._series, self._view.axis)

    def show(self, series: Sequence[Series], view: ChartView, *, end: float) -> None:
        """Show these curves; `end` is how far the run has come, in the units of the view's axis.

        The arrays are kept until the next call and must stay as they are until then.
        """
        revisions = [(one.name, one.revision) for one in series]
        if revisions != [(one.name, one.revision) for one in self._series]:
            self._scale = None
        self._series, self._view, self._end = tuple(series), view, end
        self._pyramids = {one.name: self._pyramids.get(one.name) or Pyramid() for one in series}
        for one in series:
            self._pyramids[one.name].update(one.y, one.revision, low=one.low, high=one.high)
        self.redraw()

    def drawn(self, columns: int, rows: int) -> Cells:
        """Draw the curves as they are now."""
        drawing = chart_drawing.drawn(
            title=self._title,
            series=self._series,
            pyramids=self._pyramids,
            view=self._view,
            end=self._end,
            columns=columns,
            rows=rows,
            ascii_only=self.ascii_only,
            has_places=self._has_places,
            last_scale=self._scale,
        )
        self._scale = drawing.scale
        return drawing.cells

    def style_numbered(self, number: int) -> Style:
        """Return the look of one of the chart's styles in this theme."""
        return self.get_component_rich_style(f"chart--{STYLES[number]}")
