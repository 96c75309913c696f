"""A widget of one line, or of few, that draws itself from toned words and refreshes only the lines that changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from distill_tui.format import Words
from distill_tui.widgets.tones import Tones


class Lines(Widget):
    """Lines of toned words, cut at the widget's width; `show` and `write` replace them."""

    DEFAULT_CSS = "Lines { width: 1fr; height: 1; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._made_for: Callable[[int], Sequence[Words]] = lambda _width: ()
        self._made: Sequence[Words] = ()
        self._width = -1
        self.tones = Tones(self)

    @property
    def text(self) -> str:
        """What it says, without tones."""
        return "\n".join("".join(words for words, _ in line) for line in self._lines)

    def show(self, lines: Sequence[Words]) -> None:
        """Draw these lines."""
        kept = list(lines)
        self.write(lambda _width: kept)

    def write(self, made_for: Callable[[int], Sequence[Words]]) -> None:
        """Draw what `made_for` returns for the width in cells, now and whenever the width is another."""
        before = self._lines
        self._made_for, self._width = made_for, -1
        lines = self._lines
        for row in range(max(len(before), len(lines))):
            old = before[row] if row < len(before) else []
            new = lines[row] if row < len(lines) else []
            if old != new:
                self.refresh(Region(0, row, max(1, self.size.width), 1))

    @property
    def _lines(self) -> Sequence[Words]:
        width = self.size.width
        if width != self._width:
            self._made, self._width = self._made_for(width), width
        return self._made

    def render_line(self, y: int) -> Strip:
        """Return one line as wide as the widget."""
        base = self.rich_style
        words = self._lines[y] if y < len(self._lines) else ()
        segments = [Segment(text, base + self.tones[tone] if tone else base) for text, tone in words]
        return Strip(segments).adjust_cell_length(self.size.width, base)


def fitted(text: str, width: int, mark: str, *, right: bool = False, keep_end: bool = False) -> str:
    """Return `text` in exactly `width` cells, at the right of them if asked.

    Where it is too long `mark`, of one cell, stands in place of its end; of its beginning where the end matters most.
    """
    taken = cell_len(text)
    if taken <= width:
        blank = " " * (width - taken)
        return blank + text if right else text + blank
    if width <= 1:
        return set_cell_size(text, max(0, width))
    if not keep_end:
        return set_cell_size(text, width - 1) + mark
    while cell_len(text) >= width:
        text = text[1:]
    return set_cell_size(mark + text, width)
