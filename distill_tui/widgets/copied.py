"""A line that was copied, shown whole below words that say how: it can be selected where copying didn't work."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static


class CopiedLine(Static):
    """Hidden until there is a line to show; then as many rows as that takes, from edge to edge."""

    DEFAULT_CSS = """
    CopiedLine { dock: bottom; height: auto; width: 1fr; display: none; background: $surface; }
    CopiedLine.-open { display: block; }
    """

    def show(self, words: str, line: str) -> None:
        """Show the line below the words."""
        self.update(Content.assemble((words, "$text-muted"), "\n", line))
        self.add_class("-open")

    def close(self) -> bool:
        """Take it away; return whether it was there."""
        was_open = self.has_class("-open")
        self.remove_class("-open")
        return was_open
