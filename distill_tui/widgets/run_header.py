"""The first lines of the Training screen: how the run goes, or how it ended and what to do; whether it is enough."""

from __future__ import annotations

import time

from distill_tui.live_run import RunView
from distill_tui.runs import run_summary
from distill_tui.widgets.line import Lines

ROWS = 4


class RunHeader(Lines):
    """Three lines about the run that is watched, and one for the verdict on its curves."""

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
        view, width = self._view, self.size.width
        lines = run_summary.no_run()
        if view is not None:
            lines = [*run_summary.header(view, time.time(), width), run_summary.verdict_line(view, width)]
        self.show([run_summary.plain(line, ascii_only=self._ascii_only) for line in lines])

    def on_resize(self) -> None:
        """Lay it out for another width."""
        if self._view is not None:
            self.tick()
