"""A line to hear a sound by, shown whole below words on it: it can be selected where copying didn't work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from textual import work

from distill_engine import api
from distill_tui import clipboard
from distill_tui.format import Words
from distill_tui.widgets.paragraphs import Paragraphs


class CopiedLine(Paragraphs):
    """Hidden until there is a line to show; then as many rows as that takes, from edge to edge."""

    DEFAULT_CSS = """
    CopiedLine { dock: bottom; display: none; background: $surface; }
    CopiedLine.-open { display: block; }
    """

    @work(group="copy", exclusive=True)
    async def copy(self, path: Path | None, line_for: Callable[[Path], str]) -> None:
        """Copy the line for a file, where there is one, and show it below words on how that was done."""
        if path is not None:
            line = line_for(path)
            self.show_line(await clipboard.copy(self.app, line), line)

    def show_line(self, words: str, line: str) -> None:
        """Show a line below words, of which there may be none."""
        above: list[Words] = [[(words, "dim")]] if words else []
        self.add_class("-open")
        self.write(lambda width: [*above, *([(piece, "")] for piece in pieces(api.shown(line), width))])
        self.on_resize()

    def on_resize(self) -> None:
        """Take as many rows as the line does at this width."""
        if self.size.width:
            self.styles.height = len(self._lines)

    def close(self) -> bool:
        """Take it away; return whether it was there."""
        was_open = self.has_class("-open")
        self.remove_class("-open")
        return was_open


def pieces(line: str, width: int) -> list[str]:
    """Return a line in pieces that put together are exactly it, so that it can be copied by hand."""
    pieces = []
    while line:
        pieces.append(api.cut(line, width) or line[0])
        line = line[len(pieces[-1]) :]
    return pieces
