"""What happened to a run as a list, more of the event one stands on below it; once, what is new since one looked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from distill_engine import api
from distill_tui.actions import key_of
from distill_tui.format import moment
from distill_tui.runs.run_summary import LISTED, Change, Happening, in_rows, plain
from distill_tui.widgets.line import Lines
from distill_tui.widgets.listing import Cell, Column, Listing, Row, Rows

if TYPE_CHECKING:
    from distill_tui.charts.view import Axis

COLUMNS = (Column(title="step", width=9, right=True), Column(title="time", width=12), Column(title="what happened"))
_NEWEST = Column(title=f"what happened, the newest {LISTED:,}: there are more")

COLUMNS_BEFORE = 25
"""Cells before what happened: an event that is cut there is told whole below."""

DETAIL_ROWS, LEAST_LIST = 3, 5


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where in a run something lies: after a step, and at a time in seconds since the epoch."""

    step: int
    time: float


class EventList(Vertical):
    """Events in their order, the newest last and followed unless one moved away from it."""

    DEFAULT_CSS = """
    EventList { height: 1fr; min-height: 3; padding: 0 1;
        & > Lines { height: 0; }
        & > #away { display: none; }
        &.-away { & > #away { display: block; } & > #events, & > Lines { display: none; } }
    }
    """

    class Jump(Message):
        """Enter was pressed on something that lies at `place`."""

        def __init__(self, place: Place) -> None:
            super().__init__()
            self.place = place

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__(id="event-list")
        self._ascii_only = ascii_only
        self._happenings: dict[str, Happening] = {}
        self._changes: dict[str, Change] = {}
        self._order: list[Happening] = []
        self.listing = Listing(COLUMNS, empty="", id="events")
        self.away = Listing([Column(title="")], empty="", id="away")
        self.details = Lines(id="event-details")

    def compose(self) -> ComposeResult:
        """Lay out the list, what is new in its place for once, and the details."""
        yield self.away
        yield self.listing
        yield self.details

    @property
    def rows(self) -> Rows:
        """The list that is shown."""
        return self.away.rows if self.has_class("-away") else self.listing.rows

    def show_events(self, happenings: Sequence[Happening]) -> None:
        """Show these, in this order; the newest `LISTED` of more, and say so."""
        rows = self.listing.rows
        follows = not rows.keys or rows.key == rows.keys[-1]
        self._order = list(happenings[-LISTED:])
        self._happenings = {one.key: one for one in self._order}
        rows.columns = COLUMNS if len(happenings) <= LISTED else (*COLUMNS[:-1], _NEWEST)
        today = time.strftime("%j %Y")
        rows.show([_row(one, today, ascii_only=self._ascii_only) for one in self._order])
        if follows:
            rows.action_last()
        self._detail()

    def mark(self, x: float, axis: Axis, started: float) -> None:
        """Go to the last event at or before a step, or a time since the run began."""

        def place(one: Happening) -> float:
            return one.step if axis == "step" else one.time - started

        before = [one for one in self._order if place(one) <= x]
        here = self._happenings.get(self.listing.rows.key)
        if before and (here is None or place(here) != place(before[-1])):  # several may have happened after one step
            self.listing.rows.go_to(before[-1].key)

    def show_away(self, title: str, changes: Sequence[Change]) -> None:
        """Show what is new in place of the events until it is closed."""
        self._changes = {str(place): change for place, change in enumerate(changes)}
        self.away.rows.columns = (
            Column(title=f"{title}: enter jumps there, {key_of('training.back')} shows all events"),
        )
        self.away.rows.show(
            [
                Row(key=key, cells=(Cell(text=_plain(change.words, self._ascii_only)),), tone=change.tone)
                for key, change in self._changes.items()
            ]
        )
        self.add_class("-away")
        self._detail()

    def close_away(self) -> bool:
        """Show the events again; tell whether they weren't."""
        was_away = self.has_class("-away")
        self.remove_class("-away")
        if was_away:
            self._detail()
        return was_away

    def on_resize(self) -> None:
        """Give the details what the list can do without, and lay them out anew."""
        self.details.styles.height = self._detail_rows
        self._detail()

    @on(Rows.Moved)
    def _on_moved(self, event: Rows.Moved) -> None:
        event.stop()
        self._detail()

    @on(Rows.Chosen)
    def _on_chosen(self, event: Rows.Chosen) -> None:
        event.stop()
        chosen = self._changes[event.key] if event.rows is self.away.rows else self._happenings.get(event.key)
        if chosen is not None:
            self.post_message(self.Jump(Place(step=chosen.step, time=chosen.time)))

    @property
    def _detail_rows(self) -> int:
        return max(0, min(DETAIL_ROWS, self.size.height - LEAST_LIST))

    def _detail(self) -> None:
        """Say more of the event one stands on."""
        one = None if self.has_class("-away") else self._happenings.get(self.listing.rows.key)
        width = self.size.width - 2
        is_cut = one is not None and api.cells(one.words) > width - COLUMNS_BEFORE
        told = ((one.words, *one.details) if is_cut else one.details) if one else ()
        texts = in_rows(told, width, self._detail_rows)
        self.details.show([plain([(f"  {text}", "dim")], ascii_only=self._ascii_only) for text in texts])


def _row(one: Happening, today: str, *, ascii_only: bool) -> Row:
    then = time.localtime(one.time)
    when = moment(one.time) if time.strftime("%j %Y", then) == today else time.strftime("%d %b %H:%M", then)
    return Row(
        key=one.key,
        tone=one.tone,
        cells=(
            Cell(text=f"{one.step:,}", order=one.step),
            Cell(text=when, order=one.time),
            Cell(text=_plain(one.words, ascii_only)),
        ),
    )


def _plain(words: str, ascii_only: bool) -> str:
    return plain([(words, "")], ascii_only=ascii_only)[0][0]
