"""Lines of words that are broken to a width, and so can't be made before there is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from distill_tui.format import Words
from distill_tui.widgets.line import Lines


class Paragraphs(Lines):
    """Lines that are told how to be made for a width."""

    def write(self, made_for: Callable[[int], Sequence[Words]]) -> None:
        """Draw what `made_for` returns for the width in cells, which is never 0, now and for every width to come."""
        super().write(lambda width: made_for(width) if width else ())
