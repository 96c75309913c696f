"""What shows a drawing made of cells: it refreshes the cells that changed and nowhere else.

Textual sends a refreshed region whether or not it differs from what the terminal shows; so what was drawn is kept and
compared with what is drawn next. Textual takes longer to look a style up than to draw a row: it is asked once a theme.
"""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from distill_tui.charts.canvas import Cells


class CellsView(Widget):
    """A widget that draws `Cells` of its own size."""

    ALLOW_SELECT: ClassVar[bool] = False
    DEFAULT_CSS = "CellsView { height: 1fr; }"

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._cells: Cells | None = None
        self._strips: dict[int, Strip] = {}
        self._rich_styles: dict[int, Style] = {}

    def drawn(self, columns: int, rows: int) -> Cells:
        """Return the drawing as it should be now, in so many cells, both over 0."""
        raise NotImplementedError

    def style_numbered(self, number: int) -> Style:
        """Return the look of a style's number; asked once a theme."""
        raise NotImplementedError

    @property
    def ascii_only(self) -> bool:
        """Whether only characters that every terminal has may be shown."""
        return bool(getattr(self.app, "ascii_only", False))

    @property
    def text(self) -> str:
        """What is shown, as lines of text without styles."""
        return "" if self._cells is None else self._cells.text()

    def redraw(self) -> None:
        """Draw again, and let the terminal have what changed; while it isn't shown, draw when it next is."""
        before = self._cells
        if before is None:
            return  # the next painting draws it
        columns, rows = self.size
        if before.codes.shape != (rows, columns):  # as while it is hidden, when it has none
            self._cells = None
            self.refresh()
            return
        self._cells = self.drawn(columns, rows)
        spans = self._cells.changed(before)
        for span in spans:
            self._strips.pop(span.row, None)
        if spans:
            self.refresh(*(Region(span.start, span.row, span.stop - span.start, 1) for span in spans))

    def render_line(self, y: int) -> Strip:
        """Return a row of the drawing, made from its characters when it is first asked for."""
        cells, (columns, rows) = self._cells, self.size
        if cells is None or cells.codes.shape != (rows, columns):
            self._strips.clear()
            cells = self._cells = self.drawn(columns, rows)
        strip = self._strips.get(y)
        if strip is None:
            segments = [Segment(text, self._style(number)) for text, number in cells.runs(y)]
            strip = self._strips[y] = Strip(segments, columns)
        return strip

    def get_content_width(self, container: Size, viewport: Size) -> int:  # noqa: ARG002
        """Take all the width there is."""
        return container.width

    def notify_style_update(self) -> None:
        """Forget the looks of another theme."""
        super().notify_style_update()
        self._rich_styles.clear()
        self._strips.clear()

    def _style(self, number: int) -> Style:
        style = self._rich_styles.get(number)
        if style is None:
            style = self._rich_styles[number] = self.style_numbered(number)
        return style
