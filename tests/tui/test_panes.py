"""What the four panes have in common: the focus that one had in a pane comes back with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from distill_engine.home import state_folder
from distill_tui.app import DistillApp
from distill_tui.remembered import Corpus, Notebook
from distill_tui.screens.dataset_view import DatasetView
from distill_tui.screens.datasets import DatasetsPane
from distill_tui.screens.library import LibraryPane
from distill_tui.widgets.listing import Rows
from tests.engine.recordings import good
from tests.tui.models_made import write_model
from tests.tui.visits import SIZES, until, visit


@pytest.mark.parametrize("size", SIZES)
def test_what_had_the_focus_has_it_again_when_its_screen_is_shown_again(size: tuple[int, int]) -> None:
    async def what(app: DistillApp, pilot: Pilot[None]) -> None:
        pane = app.query_one(LibraryPane)
        models, settings = pane.listing.rows, pane.query_one("#settings Rows", Rows)
        await pilot.press("4")
        await until(pilot, lambda: bool(models.keys))
        await pilot.press("a")
        await until(pilot, lambda: app.focused is settings)
        await pilot.press("shift+tab")
        await until(pilot, lambda: app.focused is models)
        await pilot.press("2")
        await until(pilot, lambda: app.focused is not None and pane not in app.focused.ancestors)
        await pilot.press("4")
        await until(pilot, lambda: app.focused is models)

    write_model("rain", "abc1")
    visit(what, size)


def test_what_is_no_longer_to_be_seen_does_not_get_the_focus_back(tmp_path: Path) -> None:
    async def what(app: DistillApp, pilot: Pilot[None]) -> None:
        pane = app.query_one(DatasetsPane)
        await until(pilot, lambda: bool(pane.corpora.listing.rows.keys))
        await pilot.press("enter")
        await until(pilot, lambda: pane.dataset is not None and app.focused is pane.dataset.listing.rows)
        await pilot.press("2")
        assert pane.dataset is not None
        pane.dataset.post_message(DatasetView.Left(tmp_path / "bells"))
        await until(pilot, lambda: pane.dataset is not None and not pane.dataset.display)
        await pilot.press("1")
        await until(pilot, lambda: app.focused is pane.corpora.listing.rows)

    good(tmp_path / "bells" / "a.wav")
    notebook = Notebook(state_folder())
    notebook.note(corpora=(Corpus(path=str(tmp_path / "bells"), used=1.0),))
    notebook.write()
    visit(what)
