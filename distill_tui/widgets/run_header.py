"""The first lines of the Training screen: how the run goes, or how it ended and what to do."""

from __future__ import annotations

import time

from distill_tui.live_run import RunView
from distill_tui.runs import run_summary
from distill_tui.widgets.line import Lines

ROWS = 3


class RunHeader(Lines):
    """Three lines about the run that is watched."""

    DEFAULT_CSS = f"RunHeader {{ height: {ROWS}; padding: 0 1; }}"

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__(id="run-header")
        self._ascii_only = ascii_only
        self._view: RunView | None = None

    def show_run(self, view: RunView | None) -> None:
        """Say how this run goes; that there is none, for None."""
        self._view = view
        self.tick()

    def tick(self) -> None:
        """Bring what depends on the time up to now."""
        lines = run_summary.header(self._view, time.time(), self.size.width) if self._view else run_summary.no_run()
        self.show([run_summary.plain(line, ascii_only=self._ascii_only) for line in lines])

    def on_resize(self) -> None:
        """Lay it out for another width."""
        if self._view is not None:
            self.tick()
