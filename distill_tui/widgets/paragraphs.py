"""Lines of words that depend on how wide they may be: made anew whenever that changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events

from distill_tui.widgets.line import Lines, Words


class Paragraphs(Lines):
    """Lines that are told how to be made for a width instead of being told themselves."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._made_for: Callable[[int], Sequence[Words]] = lambda _width: ()

    def write(self, made_for: Callable[[int], Sequence[Words]]) -> None:
        """Show what `made_for` returns for the width in cells, now and for every width to come."""
        self._made_for = made_for
        self._make()

    def on_resize(self, _event: events.Resize) -> None:
        """Make the lines for the new width."""
        self._make()

    def _make(self) -> None:
        if width := self.size.width:
            self.show(self._made_for(width))
