"""The table of actions and a person's key file: what is said of each, and what is done about conflicts."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widget import Widget

import distill_tui.screens
import distill_tui.widgets
from distill_tui.actions import ACTIONS, PLACES, TAKEN, conflicts, key_of
from distill_tui.app import DistillApp
from distill_tui.keys import load_keys
from distill_tui.screens.datasets import CorporaView
from distill_tui.widgets.line import Lines
from distill_tui.widgets.listing import Rows
from distill_tui.widgets.run_header import RunHeader
from tests.tui.visits import until, visit


def widgets_with_places() -> Iterator[type]:
    yield DistillApp
    for package in (distill_tui.screens, distill_tui.widgets):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, type) and issubclass(value, Widget) and "PLACE" in vars(value):
                    yield value


def test_no_key_means_two_things_and_none_is_one_that_terminals_take() -> None:
    assert list(conflicts({})) == []
    assert [action.name for action in ACTIONS if TAKEN & set(action.keys)] == []


def test_every_action_is_something_a_widget_of_its_place_does() -> None:
    by_place: dict[str, list[type]] = {}
    for widget in widgets_with_places():
        by_place.setdefault(widget.PLACE, []).append(widget)  # type: ignore[attr-defined]
    for action in ACTIONS:
        assert action.place in PLACES
        assert action.help.endswith(".")
        owners = [widget for widget in by_place[action.place] if hasattr(widget, f"action_{action.method}")]
        assert owners, f"{action.name} is done by nobody"


def test_a_key_file_changes_keys(home: Path) -> None:
    (home / "config").mkdir()
    (home / "config" / "keys.toml").write_text('"app.show_library" = "z"\n')

    shown: list[str] = []

    async def press(app: DistillApp, pilot: Pilot[None]) -> None:
        for key in ("4", "z"):
            await pilot.press(key)
            shown.append(app.pane)

    visit(press)
    assert shown == ["datasets", "library"]


def test_sentences_name_the_keys_that_a_key_file_gives(home: Path) -> None:
    changed = {
        "datasets.add": "z",
        "app.show_datasets": "7",
        "app.show_config": "right",
        "training.runs": "B",
        "runs.mark": "M",
        "library.import_file": "escape",
        "config.start": "plus",
    }
    (home / "config").mkdir()
    (home / "config" / "keys.toml").write_text("".join(f'"{name}" = "{key}"\n' for name, key in changed.items()))

    async def read(app: DistillApp, pilot: Pilot[None]) -> None:
        assert "  z  types the path of one" in app.query_one(CorporaView).head.text
        await app.show_pane("training")
        header = app.query_one(RunHeader)
        await until(pilot, lambda: "B lists runs" in header.text)
        assert "7 Datasets, then begin in right Config" in header.text
        await pilot.press("B")
        await until(pilot, lambda: bool(app.query("RunsView")))
        assert "recordings in 7, settings in right" in app.query_one("RunsView Rows", Rows).text
        await app.show_pane("library")
        hint = app.query_one("#library-hint", Lines).text
        assert "recordings in 7 Datasets, then start the run in right Config" in hint
        assert "esc imports a .distill file" in hint

    visit(read)
    assert key_of("config.start") == "+"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('"app.fly" = "z"', "there is no action 'app.fly'"),
        ('"app.leave" = 3', "app.leave needs a key or a list of keys"),
        ('"app.leave" = "1"', "1 means both app.leave and app.show_datasets"),
        ('"app.leave" = "ctrl+q"', "ctrl+q for app.leave is taken elsewhere"),
        ('"training.stop" = "s"', "s means both charts.smooth and training.stop"),
        ('"charts.smooth" = "/"', "/ means both charts.smooth and listing.filter"),
        ('"charts.smooth" = "]"', "] means both charts.next and charts.smooth"),
        ("what", "keys.toml can't be read"),
    ],
)
def test_what_is_wrong_with_a_key_file_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "keys.toml").write_text(text)
    assert complaint in " ".join(load_keys(tmp_path).complaints)


def test_no_key_file_is_no_complaint(tmp_path: Path) -> None:
    found = load_keys(tmp_path)
    assert (found.changed, found.complaints) == ({}, ())
