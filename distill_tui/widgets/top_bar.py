"""The first line: the four screens by their keys, which one is shown, and how the run goes."""

from __future__ import annotations

from rich.cells import cell_len

from distill_tui.format import Words
from distill_tui.widgets.line import Lines, fitted

PANES = {"datasets": "Datasets", "config": "Config", "training": "Training", "library": "Library"}
"""The four screens in the order of their keys, and their titles."""


class TopBar(Lines):
    """One line: titles at the left, the run at the right."""

    DEFAULT_CSS = """
    TopBar { background: $panel; color: $text; }
    """

    def __init__(self, pane: str, *, demo: bool, ascii_only: bool) -> None:
        super().__init__(id="top-bar")
        self._cut_mark = "~" if ascii_only else "…"
        self._pane = pane
        self._title = " Distill demo " if demo else " Distill "
        self._run: tuple[str, str] = ("", "")
        self._link = ""
        self._draw()

    def show_pane(self, pane: str) -> None:
        """Mark the screen that is shown."""
        self._pane = pane
        self._draw()

    def show_run(self, words: str, tone: str) -> None:
        """Say in a few words how the run goes."""
        self._run = (words, tone)
        self._draw()

    def show_link(self, words: str) -> None:
        """Say in a few words that the link doesn't keep up; nothing where it does."""
        self._link = words
        self._draw()

    def _draw(self) -> None:
        self.write(self._words)

    def _words(self, width: int) -> list[Words]:
        words: list[tuple[str, str]] = [(self._title, "strong")]
        for number, (name, title) in enumerate(PANES.items(), start=1):
            here = name == self._pane
            # Brackets too: which screen it is must show without colour.
            words.append((f"[{number} {title}]" if here else f" {number} {title} ", "here" if here else ""))
        left = sum(cell_len(text) for text, _ in words)
        room = width - left - 1
        text, tone = self._run
        link = f"{self._link}  " if self._link and text else self._link
        if room > 4 and (text or link):
            link = link if cell_len(link) <= room else ""
            room -= cell_len(link)
            if cell_len(text) > room:  # what it does matters more than its name
                text = text.rpartition(": ")[2]
                text = fitted(text, min(cell_len(text), room), self._cut_mark)
            words += [(" " * (room - cell_len(text)), ""), (link, "warn"), (text, tone)]
        return [words]
