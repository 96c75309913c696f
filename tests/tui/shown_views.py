"""The views beside the charts, opened in the real dashboard by their keys; shared by their tests."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

from textual.pilot import Pilot
from textual.widget import Widget

from distill_engine.run_folder import RunFolder
from distill_tui.app import DistillApp
from distill_tui.widgets.status_line import StatusLine

SIZES = [(120, 36), (80, 24)]

V = TypeVar("V", bound=Widget)


class Shown(Generic[V]):
    """A view that is shown, as a person sees and works it."""

    def __init__(self, app: DistillApp, pilot: Pilot[None], view: V) -> None:
        self.app, self.pilot, self.view = app, pilot, view

    @property
    def said(self) -> str:
        """What stands in the status line."""
        return self.app.query_one(StatusLine).text

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something is so; a test in which it never is fails."""
        deadline = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < deadline, self.said
            await self.pilot.pause(0.02)

    async def press(self, *keys: str) -> None:
        """Press keys, and let them have their effect as far as no thread is in it."""
        await self.pilot.press(*keys)
        await self.pilot.pause()


@contextlib.asynccontextmanager
async def opened(
    run: RunFolder | None, key: str, kind: type[V], size: tuple[int, int] = (120, 36), *, ascii_only: bool = False
) -> AsyncIterator[Shown[V]]:
    """Open the dashboard on a run and press the key of a view."""
    app = DistillApp(run=str(run.path) if run else "", ascii_only=ascii_only)
    async with app.run_test(size=size) as pilot:
        waiting: Shown[Widget] = Shown(app, pilot, app)  # type: ignore[arg-type]
        if run is not None:
            await waiting.until(lambda: app.run_view is not None and not app.run_view.filling)
        await waiting.until(lambda: "training" in app._panes)
        await pilot.press("3", key)
        await waiting.until(lambda: app.query(kind))
        view = app.query_one(kind)
        await waiting.until(lambda: view.has_focus or view.has_focus_within)
        yield Shown(app, pilot, view)
