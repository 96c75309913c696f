"""The main view of the Training screen: header, charts, the machine, and the events.

One cursor goes through all charts and the events. What is looked at is held by the pane; here keys ask to change it.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.message import Message
from textual.widget import Widget

from distill_tui.bindings import bindings
from distill_tui.runs import run_summary
from distill_tui.screens.pane import distill_of
from distill_tui.widgets.event_list import EventList
from distill_tui.widgets.line import Lines
from distill_tui.widgets.run_header import RunHeader
from distill_tui.widgets.system_tiles import SystemTiles

if TYPE_CHECKING:
    from distill_engine.api import RunFolder
    from distill_tui.charts.view import ChartView
    from distill_tui.live_run import RunView
    from distill_tui.remembered import Seen
    from distill_tui.widgets.charts_grid import ChartsGrid

TICK_SECONDS = 5.0
"""How often what depends on the time alone is brought up to now, when nothing else comes."""

NONE_SECONDS = 0.3
"""How long a run is waited for before it is said that there is none: at the start one may be read just now."""

TALL = 34
"""From this height on there is an empty line above and below the charts."""


class ChartsView(Container):
    """How the run goes, in numbers, curves and events."""

    PLACE: ClassVar[str] = "charts"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("charts")]
    DEFAULT_CSS = """
    ChartsView { width: 1fr; height: 1fr; layout: vertical;
        & > #charts-room { height: 9; }
        & > #charts-look { height: 0; padding: 0 1; &.-told { height: 1; } }
        &.-tall > #charts-room { margin: 1 0; }
    }
    """

    class Looked(Message):
        """One wants to look at the charts in another way."""

        def __init__(self, chart_view: ChartView) -> None:
            super().__init__()
            self.chart_view = chart_view

    class Ready(Message):
        """The charts are there, and can be told how to be looked at."""

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__(id="charts-view")
        self.header = RunHeader(ascii_only=ascii_only)
        self.look_line = Lines(id="charts-look")
        self.tiles = SystemTiles(ascii_only=ascii_only)
        self.events = EventList(ascii_only=ascii_only)
        self.grid: ChartsGrid | None = None
        self._is_loading = False
        self._view: RunView | None = None
        self._chart_view: ChartView | None = None
        self._counted: tuple[object, ...] = ()
        self._events_of: RunFolder | None = None
        self._is_seen = False

    def compose(self) -> ComposeResult:
        """Lay out everything but the charts, which need numpy and come with the first numbers."""
        yield self.header
        yield Container(id="charts-room")
        yield self.look_line
        yield self.tiles
        yield self.events

    def on_mount(self) -> None:
        """Keep the time left going while nothing comes."""
        self.set_interval(TICK_SECONDS, self._tick)

    def on_resize(self) -> None:
        """Give the charts about half of the height: fixed, so that a receipt never makes them draw anew."""
        height = self.app.size.height
        self.query_one("#charts-room").styles.height = max(7, round(height * 0.75) - 9)
        self.set_class(height >= TALL, "-tall")

    def first_focus(self) -> Widget:
        """Return the list that is shown."""
        return self.events.rows

    def shown(self) -> None:
        """Draw what came meanwhile."""
        self._is_seen = True
        self._draw()
        self._mark_event()

    def hidden(self) -> None:
        """Draw nothing until it is shown again."""
        self._is_seen = False

    def show_run(self, view: RunView | None) -> None:
        """Show this run as it is now."""
        self._view = view
        if self._is_seen:
            self._draw()

    def look(self, chart_view: ChartView) -> None:
        """Look at the charts in this way."""
        moved = self._chart_view is None or self._chart_view.cursor != chart_view.cursor
        self._chart_view = chart_view
        self._say_how(chart_view)
        if self.grid is None or not self._is_seen:
            return
        self.grid.show(self._view, chart_view)
        if moved:
            self._mark_event()

    def _say_how(self, chart_view: ChartView) -> None:
        """Say below the charts in what they aren't shown as usual: a line that is only there where they aren't."""
        from distill_tui.charts.view import unusual  # noqa: PLC0415 - needs numpy

        told = unusual(chart_view)
        self.look_line.set_class(bool(told), "-told")
        self.look_line.show([[("charts ", "dim"), (told, "accent")]] if told else [])

    def _mark_event(self) -> None:
        """Go to the event at the cursor."""
        looked = self._chart_view
        if looked is not None and looked.cursor is not None and self._view is not None:
            self.events.mark(looked.cursor, looked.axis, self._view.state.started)

    def show_away(self, seen: Seen, now: float) -> None:
        """Show what is new since the run was last seen, if anything is."""
        if self._view is None:
            return
        changes = run_summary.changes_since(self._view, seen)
        if changes:
            had_focus = self.events.rows.has_focus
            self.events.show_away(run_summary.away_title(seen, now), changes)
            if had_focus:
                self.events.rows.focus()

    def back(self) -> bool:
        """Close what is open here; tell whether anything was."""
        had_focus = self.events.rows.has_focus
        if self.events.close_away():
            if had_focus:
                self.events.rows.focus()
            return True
        if self.grid is not None and self.grid.close_single():
            return True
        if self._chart_view is not None and self._chart_view.cursor is not None:
            self._look(lambda room, view: room.cursor_cleared(view))
            return True
        return False

    # Drawing.

    def _tick(self) -> None:
        if self._is_seen and distill_of(self).pane == "training":
            self.header.tick()

    def _draw(self) -> None:
        view = self._view
        if view is None:
            self.set_timer(NONE_SECONDS, self._say_there_is_none)
            return
        if view.folder != self._events_of:
            self._events_of = view.folder
            self.events.close_away()
            self.events.show_events([])
        self.header.show_run(view)
        self.tiles.show_run(view)
        if view.history is None:
            return
        if self.grid is None:
            self._load_grid()
        elif self._chart_view is not None:
            self.grid.show(view, self._chart_view)
        self._draw_events(view)

    def _say_there_is_none(self) -> None:
        if self._view is None:
            self.header.show_run(None)

    def _draw_events(self, view: RunView) -> None:
        """Make the list anew where there is more of anything: once a minute or so, and this is asked each time."""
        history, state = view.history, view.state
        assert history is not None
        lists = (history.previews, history.checkpoints, history.verdicts, history.warnings, history.pauses)
        others = (history.old_recordings, history.analyses, history.answers, history.restarts, history.endings)
        counted = (view.folder, state.prepared, history.steps.revision, *(len(one) for one in (*lists, *others)))
        if counted != self._counted and not view.filling:
            self._counted = counted
            self.events.show_events(run_summary.happenings(view))

    def _load_grid(self) -> None:
        if not self._is_loading:
            self._is_loading = True
            self.run_worker(self._mount_grid(), group="charts")

    async def _mount_grid(self) -> None:
        """Import the charts in a thread, so that no key waits for it."""
        room = await asyncio.to_thread(importlib.import_module, "distill_tui.widgets.charts_grid")
        grid: ChartsGrid = room.ChartsGrid()
        await self.query_one("#charts-room").mount(grid)
        self.grid = grid
        self.post_message(self.Ready())

    # Keys.

    def _look(self, change: Callable[..., ChartView]) -> None:
        """Ask for another way to look: `change` is given the room of such changes, and the present way."""
        from distill_tui.charts import view as chart_view  # noqa: PLC0415 - needs numpy

        if self._chart_view is not None and self.grid is not None and self._view is not None:
            self.post_message(self.Looked(change(chart_view, self._chart_view)))

    @property
    def _end(self) -> float:
        from distill_tui.charts.curves import end_of  # noqa: PLC0415 - needs numpy

        return end_of(self._view, self._chart_view.axis) if self._view and self._chart_view else 0.0

    @property
    def _columns(self) -> int:
        return self.grid.plot_columns if self.grid else 1

    @on(EventList.Jump)
    def _jump(self, event: EventList.Jump) -> None:
        event.stop()
        self.point_at(event.place.step, event.place.time)

    def point_at(self, step: int, moment: float) -> None:
        """Put the cursor of all charts to something that happened at a step, and at a moment in seconds since 1970."""
        view = self._view
        if view is None or self._chart_view is None:
            return
        x = float(step) if self._chart_view.axis == "step" else moment - view.state.started
        self._look(lambda room, looked: room.cursor_at(looked, self._end, x))

    def action_next(self) -> None:
        """Show the next charts."""
        if self.grid:
            self.grid.turn(1)

    def action_previous(self) -> None:
        """Show the charts before."""
        if self.grid:
            self.grid.turn(-1)

    def action_maximise(self) -> None:
        """Show one chart, or as many as fit."""
        if self.grid:
            self.grid.toggle_single()

    def action_smooth(self) -> None:
        """Smooth the curves more."""
        self._look(lambda room, view: room.smoothed_more(view))

    def action_log_axis(self) -> None:
        """Show values by their logarithm, or as they are."""
        self._look(lambda room, view: room.log_toggled(view))

    def action_switch_axis(self) -> None:
        """Show curves against time, or against steps."""
        if self._view is not None and self._view.history is not None:
            told = self._view.history.steps
            steps, seconds = told.column("step"), told.column("time") - self._view.state.started
            self._look(
                lambda room, view: (
                    room.along(view, "time", steps, seconds)
                    if view.axis == "step"
                    else room.along(view, "step", seconds, steps)
                )
            )

    def action_zoom_in(self) -> None:
        """Show half as much of the run."""
        self._look(lambda room, view: room.zoomed_in(view, self._end))

    def action_zoom_out(self) -> None:
        """Show twice as much of the run."""
        self._look(lambda room, view: room.zoomed_out(view, self._end))

    def action_pan_left(self) -> None:
        """Move the window back."""
        self._look(lambda room, view: room.panned(view, self._end, -0.25))

    def action_pan_right(self) -> None:
        """Move the window on."""
        self._look(lambda room, view: room.panned(view, self._end, 0.25))

    def action_reset(self) -> None:
        """Show the whole run."""
        self._look(lambda room, view: room.reset(view))

    def action_follow(self) -> None:
        """Let the window follow the run, or hold it."""
        self._look(lambda room, view: room.follow_toggled(view, self._end))

    def action_cursor_left(self) -> None:
        """Move the cursor back."""
        self._move(-1)

    def action_cursor_right(self) -> None:
        """Move the cursor on."""
        self._move(1)

    def action_jump_left(self) -> None:
        """Move the cursor back by a tenth."""
        self._move(-max(1, self._columns // 10))

    def action_jump_right(self) -> None:
        """Move the cursor on by a tenth."""
        self._move(max(1, self._columns // 10))

    def _move(self, columns: int) -> None:
        self._look(lambda room, view: room.cursor_moved(view, self._end, columns, self._columns))

    def action_read(self) -> None:
        """Say the next chart in a sentence."""
        if self.grid:
            distill_of(self).say(self.grid.read())
