"""Views of recorded runs as the dashboard makes them, without an app; shared by tests of the pure parts."""

from __future__ import annotations

from distill_engine.event_reader import missing_ending
from distill_engine.events import Event, decode
from distill_engine.run_folder import RunFolder
from distill_engine.run_history import History
from distill_engine.run_state import fold
from distill_tui.live_run import RunView
from tests.recorded_runs import Recorded, unpacked


def view_of(name: Recorded, until: int = 0) -> RunView:
    """Return a recorded run as it was after the event numbered `until`, or at its end for 0."""
    folder = unpacked(name)
    lines = folder.events_file.read_bytes().splitlines(keepends=True)
    events: list[Event] = [event for line in lines if line.endswith(b"\n") and (event := decode(line)) is not None]
    if until:
        events = [event for event in events if event.seq <= until]
    else:
        events += missing_ending(folder, events[-1])  # type: ignore[arg-type]
    return made_of(folder, events)


def made_of(folder: RunFolder, events: list[Event]) -> RunView:
    """Return the view of a run in which this happened."""
    history = History()
    history.append(events)
    return RunView(folder=folder, info=folder.info(), state=fold(events), history=history, filling=False, holder=None)
