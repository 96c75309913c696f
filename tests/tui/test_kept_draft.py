"""The draft is there again at the next visit, also where the link was lost."""

from __future__ import annotations

from pathlib import Path

from textual.pilot import Pilot

from distill_engine import api
from distill_tui.app import DistillApp
from distill_tui.drafts.forms import Form, with_dataset, with_preset, with_text
from distill_tui.drafts.kept import noted, recalled
from distill_tui.remembered import Draft
from tests.engine.runs import write_dataset
from tests.tui.visits import until, visit


def dataset(folder: Path) -> Path:
    folder.mkdir()
    return write_dataset(folder, 5)


def test_a_form_comes_back_as_it_was_noted(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "bells")
    form = with_dataset(with_text(with_preset(Form(), "balanced"), "max_epochs", "7"), folder, api.scan(folder))
    back = recalled(noted(form))
    assert (back.dataset, back.preset, dict(back.edits)) == (folder, "balanced", {"max_epochs": "7"})
    assert back.config == form.config


def test_what_is_gone_or_unknown_by_now_is_left_out(tmp_path: Path) -> None:
    draft = Draft(
        dataset=str(tmp_path / "gone"), preset="wild", edits={"flavour": "3", "seed": "x"}, model="/gone.distill"
    )
    back = recalled(draft)
    assert (back.dataset, back.scan, back.preset, back.model) == (tmp_path / "gone", None, "auto", None)
    assert dict(back.edits) == {"seed": "x"}


def test_the_next_visit_goes_on_with_the_draft_one_left(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "bells")

    async def edit(app: DistillApp, _pilot: Pilot[None]) -> None:
        assert app.form is not None
        app.form = with_dataset(with_text(app.form, "max_epochs", "7"), folder, api.scan(folder))

    async def look(app: DistillApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.form is not None and app.form.scan is not None)
        assert app.form is not None
        assert (app.form.dataset, app.form.config.max_epochs) == (folder, 7)

    visit(edit)
    visit(look)
