"""A dialog with a list: one of its rows is chosen, or none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from distill_tui.actions import key_of
from distill_tui.screens.dialogs import Dialog
from distill_tui.widgets.listing import Column, Listing, Row, Rows


class Choice(Dialog[str | None]):
    """A list under a question; returns the key of the row that was chosen, None after esc."""

    DEFAULT_CSS = "Choice > .dialog { height: 18; }"
    BINDINGS: ClassVar[list[BindingType]] = [("escape,q", "give_up", "Give up")]

    def __init__(
        self, question: str, columns: Sequence[Column], rows: Sequence[Row], *, empty: str, also: str = ""
    ) -> None:
        """`also` tells of further keys that a kind of choice has."""
        super().__init__()
        self._question, self._rows, self._also = question, rows, also
        self.listing = Listing(columns, empty=empty)

    def compose(self) -> ComposeResult:
        """Lay out the question, the list and the keys."""
        with Vertical(classes="dialog"):
            yield Static(self._question, markup=False)
            yield self.listing
            also = f", {self._also}" if self._also else ""
            yield Static(f"enter chooses, {key_of('listing.filter')} filters{also}, esc gives up", markup=False)

    def on_mount(self) -> None:
        """Fill the list."""
        self.listing.rows.show(self._rows)
        self.listing.rows.focus()

    @on(Rows.Chosen)
    def _choose(self, event: Rows.Chosen) -> None:
        event.stop()
        self.dismiss(event.key)

    def action_give_up(self) -> None:
        """Return nothing."""
        self.dismiss(None)
