"""What the four panes have in common: they stay mounted, know whether they are shown, and reach the app by name.

A pane draws nothing while another one is shown; `shown` is where it catches up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.containers import Container
from textual.widget import Widget

if TYPE_CHECKING:
    from distill_tui.app import DistillApp


class Pane(Container):
    """One of the four screens."""

    DEFAULT_CSS = """
    Pane { width: 1fr; height: 1fr; display: none; }
    """
    PLACE: ClassVar[str]
    """Where its actions stand in the table."""

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
        """Another pane is shown from now on."""

    def first_focus(self) -> Widget:
        """Return what has the focus when the pane is shown for the first time, or has lost it."""
        return self


def distill_of(widget: Widget) -> DistillApp:
    """Return the app of a view within a pane, with what all of them share."""
    return cast("DistillApp", widget.app)
