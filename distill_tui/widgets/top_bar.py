"""The first line: the four screens by their keys, which one is shown, and how the run goes."""

from __future__ import annotations

from rich.cells import cell_len

from distill_tui.widgets.line import Lines

PANES = {"datasets": "Datasets", "config": "Config", "training": "Training", "library": "Library"}
"""The four screens in the order of their keys, and their titles."""


class TopBar(Lines):
    """One line: titles at the left, the run at the right."""

    DEFAULT_CSS = """
    TopBar { background: $panel; color: $text; }
    """

    def __init__(self, pane: str) -> None:
        super().__init__(id="top-bar")
        self._pane = pane
        self._run: tuple[str, str] = ("", "")

    def show_pane(self, pane: str) -> None:
        """Mark the screen that is shown."""
        self._pane = pane
        self._draw()

    def show_run(self, words: str, tone: str) -> None:
        """Say in a few words how the run goes."""
        self._run = (words, tone)
        self._draw()

    def on_resize(self) -> None:
        """Move the run's words to the new end."""
        self._draw()

    def _draw(self) -> None:
        words: list[tuple[str, str]] = [(" Distill ", "strong")]
        for number, (name, title) in enumerate(PANES.items(), start=1):
            here = name == self._pane
            # Brackets too: which screen it is must show without colour.
            words.append((f"[{number} {title}]" if here else f" {number} {title} ", "here" if here else ""))
        left = sum(cell_len(text) for text, _ in words)
        room = self.size.width - left - 1
        text, tone = self._run
        if room > 4 and text:
            text = text if cell_len(text) <= room else text[: room - 1] + "…"
            words += [(" " * (room - cell_len(text)), ""), (text, tone)]
        self.show([words])
