"""A widget of one line, or of few, that draws itself from toned words and refreshes only the lines that changed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from distill_tui.widgets.tones import Tones

Words = Sequence[tuple[str, str]]
"""Pieces of a line, each with its tone."""


class Lines(Widget):
    """Lines of toned words, cut at the widget's width; `show` replaces them."""

    DEFAULT_CSS = "Lines { width: 1fr; height: 1; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._lines: list[Words] = []
        self.tones = Tones(self)

    @property
    def text(self) -> str:
        """What it says, without tones."""
        return "\n".join("".join(words for words, _ in line) for line in self._lines)

    def show(self, lines: Sequence[Words]) -> None:
        """Draw these lines."""
        before = self._lines
        self._lines = list(lines)
        for row in range(max(len(before), len(lines))):
            old = before[row] if row < len(before) else ()
            new = lines[row] if row < len(lines) else ()
            if list(old) != list(new):
                self.refresh(Region(0, row, max(1, self.size.width), 1))

    def render_line(self, y: int) -> Strip:
        """Return one line as wide as the widget."""
        base = self.rich_style
        words = self._lines[y] if y < len(self._lines) else ()
        segments = [Segment(text, base + self.tones[tone] if tone else base) for text, tone in words]
        return Strip(segments).adjust_cell_length(self.size.width, base)
