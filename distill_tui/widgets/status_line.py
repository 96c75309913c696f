"""The last lines but one: what was last said to the person, until something else is or a key tells that it was read."""

from __future__ import annotations

import textwrap
import time
from typing import Literal

from distill_tui.widgets.line import Lines

Severity = Literal["information", "warning", "error"]

MOST_LINES = 4
READ_SECONDS = 3.0
"""A key that comes so long after something was said is taken to mean that it was read."""

_MARKS = {"information": ("", ""), "warning": ("! ", "warn"), "error": ("!! ", "bad")}


class StatusLine(Lines):
    """A sentence, and a hint where there is one, each on as many lines as it takes."""

    DEFAULT_CSS = """
    StatusLine { display: none; background: $surface; padding: 0 1; }
    StatusLine.-says { display: block; }
    """

    def __init__(self) -> None:
        super().__init__(id="status-line")
        self._said: tuple[str, str, Severity] = ("", "", "information")
        self._since = 0.0

    def say(self, message: str, hint: str = "", severity: Severity = "information") -> None:
        """Show a sentence and a hint; nothing where both are empty."""
        self._said, self._since = (message, hint, severity), time.monotonic()
        self._draw()

    def key_pressed(self) -> None:
        """Show nothing any more, if what was said was there for long enough to be read."""
        if self._said[0] and time.monotonic() - self._since > READ_SECONDS:
            self.say("")

    def on_resize(self) -> None:
        """Break the lines anew."""
        self._draw()

    def _draw(self) -> None:
        message, hint, severity = self._said
        mark, tone = _MARKS[severity]
        # Its own width is 0 while it says nothing; the padding takes a cell at each side.
        width = self.app.size.width - 2
        lines = [
            [(text, one_tone)]
            for words, one_tone in ((mark + message if message else "", tone), (hint, "dim"))
            for part in words.splitlines()
            for text in textwrap.wrap(part, max(10, width))
        ]
        lines = lines[:MOST_LINES]
        self.styles.height = max(1, len(lines))
        self.set_class(bool(message), "-says")
        self.show(lines)
