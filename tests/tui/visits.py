"""A visit to the dashboard for tests: opened without a terminal, something done in it, left again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

from textual.pilot import Pilot

from distill_tui.actions import HINTS
from distill_tui.app import DistillApp
from distill_tui.remembered import Notebook

SIZES = [(120, 36), (80, 24)]
PATIENCE = 30.0

Visit = Callable[[DistillApp, Pilot[None]], Coroutine[None, None, None]]


def visit(what: Visit, size: tuple[int, int] = (120, 36), app: DistillApp | None = None) -> DistillApp:
    """Open the dashboard, wait until all of it is there, and do something in it."""
    opened = app or DistillApp()

    async def run() -> None:
        async with opened.run_test(size=size) as pilot:
            await until(pilot, lambda: opened.form is not None)
            await what(opened, pilot)

    asyncio.run(run())
    return opened


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        await pilot.pause(0.02)


def been_everywhere(home: Path) -> None:
    """Let the person have been on all screens before, so that none says what one does there."""
    notebook = Notebook(home / "state")
    notebook.note(hints=tuple(HINTS))
    notebook.write()
