"""A few screens as a whole, as text. DISTILL_UPDATE_SNAPSHOTS=1 writes them anew, to be looked at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot

from distill_tui.app import DistillApp
from tests.recorded_runs import unpacked
from tests.tui.visits import SIZES, been_everywhere, until, visit

SNAPSHOTS = Path(__file__).parent / "snapshots"


def screen_text(app: App[None]) -> str:
    """Return what is on the screen, without what stands empty at the ends of lines."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"


def compare(name: str, size: tuple[int, int], text: str) -> None:
    kept = SNAPSHOTS / f"{name}-{size[0]}x{size[1]}.txt"
    if os.environ.get("DISTILL_UPDATE_SNAPSHOTS"):
        kept.write_text(text, encoding="utf-8")
    assert text == kept.read_text(encoding="utf-8")


@pytest.mark.parametrize("size", SIZES)
def test_the_first_screens_of_a_new_person(size: tuple[int, int], home: Path) -> None:
    been_everywhere(home)

    async def look(app: DistillApp, pilot: Pilot[None]) -> None:
        for key, name in (("1", "datasets"), ("2", "config"), ("3", "training"), ("4", "library")):
            await pilot.press(key)
            await until(pilot, lambda: not app.workers._workers or all(one.is_finished for one in app.workers))
            await pilot.pause()
            compare(name, size, screen_text(app))

    visit(look, size)


@pytest.mark.parametrize("size", SIZES)
def test_the_curves_of_a_recorded_run(size: tuple[int, int]) -> None:
    folder = unpacked("healthy")

    async def look(app: DistillApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.run_view is not None and not app.run_view.filling)
        await pilot.pause()
        curves = app.query("ChartsGrid").first()
        rows = screen_text(app).split("\n")[curves.region.y : curves.region.bottom]
        compare("curves", size, "\n".join(rows) + "\n")

    visit(look, size, DistillApp(run=str(folder.path)))
