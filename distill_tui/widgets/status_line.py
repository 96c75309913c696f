"""The last line but one: what was last said to the person, until something else is or a key says it was read."""

from __future__ import annotations

from typing import Literal

from distill_tui.widgets.line import Lines

Severity = Literal["information", "warning", "error"]

_MARKS = {"information": ("", ""), "warning": ("! ", "warn"), "error": ("!! ", "bad")}


class StatusLine(Lines):
    """Up to two lines: a sentence, and a hint where there is one."""

    DEFAULT_CSS = """
    StatusLine { display: none; background: $surface; padding: 0 1; }
    StatusLine.-says { display: block; }
    """

    def say(self, message: str, hint: str = "", severity: Severity = "information") -> None:
        """Show a sentence and a hint; nothing where both are empty."""
        mark, tone = _MARKS[severity]
        lines = [[(mark + message, tone)], *([[(hint, "dim")]] if hint else [])]
        self.styles.height = len(lines)
        self.set_class(bool(message), "-says")
        self.show(lines)

    def clear(self) -> None:
        """Say nothing."""
        self.say("")
