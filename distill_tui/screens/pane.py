"""What the four panes have in common: they stay mounted, know whether they are shown, and reach the app by name.

A pane draws nothing while another one is shown; `shown` is where it catches up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.containers import Container
from textual.widget import Widget

if TYPE_CHECKING:
    from distill_tui.app import DistillApp

NARROW = 100
"""Cells of width below which things stand above each other instead of side by side."""

REST_SECONDS = 0.12
"""How long one stands on something before its file is read: whoever goes through a list passes most of it over."""


class Pane(Container):
    """One of the four screens."""

    DEFAULT_CSS = """
    Pane { width: 1fr; height: 1fr; display: none; }
    """
    PLACE: ClassVar[str]
    """Where its actions stand in the table."""
    _last_focus: Widget | None = None

    @property
    def distill(self) -> DistillApp:
        """The app, with what all panes share."""
        return cast("DistillApp", self.app)

    @property
    def is_shown(self) -> bool:
        """Whether this is the pane that one sees."""
        return bool(self.display)

    def shown(self) -> None:
        """Catch up with what happened while another pane was shown."""

    def hidden(self) -> None:
        """Another pane is shown from now on; what has the focus gets it back with `focus_again`."""
        focused = self.screen.focused
        self._last_focus = focused if focused is not None and self in focused.ancestors_with_self else None

    def focus_again(self) -> None:
        """Give the focus to what had it in this pane, where that is still to be seen."""
        last = self._last_focus
        (last if last is not None and self._shows(last) else self.first_focus()).focus()

    def first_focus(self) -> Widget:
        """Return what has the focus when the pane is shown for the first time, or when what had it is gone."""
        return self

    def _shows(self, widget: Widget) -> bool:
        return (
            widget.focusable
            and self in widget.ancestors_with_self
            and all(one.display for one in widget.ancestors_with_self)
        )


def distill_of(widget: Widget) -> DistillApp:
    """Return the app of a view within a pane, with what all of them share."""
    return cast("DistillApp", widget.app)
