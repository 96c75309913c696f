"""The table of actions and a person's key file: what is said of each, and what is done about conflicts."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.widget import Widget

import distill_tui.screens
import distill_tui.widgets
from distill_tui.actions import ACTIONS, PLACES, TAKEN, conflicts
from distill_tui.app import DistillApp
from distill_tui.keys import load_keys


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

    async def visit() -> list[str]:
        app = DistillApp()
        async with app.run_test(size=(120, 36)) as pilot:
            while not app.changed_keys:
                await pilot.pause(0.05)
            shown = []
            for key in ("4", "z"):
                await pilot.press(key)
                await pilot.pause()
                shown.append(app.pane)
            return shown

    assert asyncio.run(visit()) == ["datasets", "library"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('"app.fly" = "z"', "there is no action 'app.fly'"),
        ('"app.leave" = 3', "app.leave needs a key or a list of keys"),
        ('"app.leave" = "1"', "1 means both app.show_datasets and app.leave"),
        ('"app.leave" = "ctrl+q"', "ctrl+q for app.leave is taken elsewhere"),
        ("what", "keys.toml can't be read"),
    ],
)
def test_what_is_wrong_with_a_key_file_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "keys.toml").write_text(text)
    assert complaint in " ".join(load_keys(tmp_path).complaints)


def test_no_key_file_is_no_complaint(tmp_path: Path) -> None:
    found = load_keys(tmp_path)
    assert (found.changed, found.complaints) == ({}, ())
