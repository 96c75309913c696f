"""The dashboard's frame: where it opens, how one goes between screens, what it says and rings."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from distill_engine import api
from distill_tui.actions import ACTIONS, PLACES, WITHIN
from distill_tui.app import DistillApp
from distill_tui.remembered import Memory, Notebook, Seen
from distill_tui.screens.dialogs import Help
from distill_tui.widgets.key_line import KeyLine
from distill_tui.widgets.top_bar import PANES, TopBar
from tests.engine.test_replay import playing
from tests.recorded_runs import unpacked
from tests.tui.visits import PATIENCE, SIZES, until, visit


@pytest.mark.parametrize("size", SIZES)
def test_keys_lead_to_the_four_screens_each_titled_by_its_key(size: tuple[int, int]) -> None:
    async def go(app: DistillApp, pilot: Pilot[None]) -> None:
        for number, (name, title) in enumerate(PANES.items(), start=1):
            await pilot.press(str(number))
            assert app.pane == name
            assert f"[{number} {title}]" in app.query_one(TopBar).text
            assert [pane.id for pane in app.query("Pane").results() if pane.display] == [name]

    visit(go, size)


def test_q_leaves() -> None:
    async def go(_app: DistillApp, pilot: Pilot[None]) -> None:
        await pilot.press("q")

    assert visit(go).return_code == 0


def test_without_a_living_run_it_opens_on_datasets_and_with_one_on_training() -> None:
    opened: list[str] = []

    async def go(app: DistillApp, _pilot: Pilot[None]) -> None:
        opened.append(app.pane)

    visit(go)
    folder = unpacked("healthy")
    visit(go)
    with playing(folder, 60):
        visit(go)
    assert opened == ["datasets", "datasets", "training"]


def test_it_watches_the_run_that_was_named_though_it_is_over() -> None:
    unpacked("healthy")
    folder = unpacked("stopped")

    async def go(app: DistillApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.run_view is not None)
        assert app.pane == "training"
        assert app.run_view is not None
        assert app.run_view.folder == folder
        assert "stopped" in app.query_one(TopBar).text

    visit(go, app=DistillApp(run=str(folder.path)))


def test_leaving_a_living_run_says_that_it_goes_on_and_how_to_come_back() -> None:
    folder = unpacked("healthy")

    async def go(app: DistillApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.run_view is not None and not app.run_view.filling)
        await pilot.press("q")

    with playing(folder, 60):
        app = visit(go)
    assert app.farewell == (
        "run healthy goes on; distill-tui --run healthy comes back to it, "
        "distill-engine stop healthy ends it with a model"
    )


def test_the_end_of_a_watched_run_is_said_and_one_that_was_over_is_not() -> None:
    folder = unpacked("healthy")
    said: list[str] = []

    async def go(app: DistillApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.run_view is not None and not app.run_view.filling)
        if api.lock_holder(folder) is not None:
            await api.command(folder, api.Unpause, PATIENCE)
        await until(pilot, lambda: app.run_view is not None and app.run_view.state.is_over)
        said.append(app.said)

    with playing(folder, 40):
        asyncio.run(api.command(folder, api.Pause, PATIENCE))
        visit(go)
    visit(go)
    assert said == ["healthy: finished", ""]


def test_a_run_that_ended_while_one_was_away_is_told_at_the_next_visit(home: Path) -> None:
    folder = unpacked("healthy")
    notebook = Notebook(home / "state")
    notebook.note(last_run=str(folder.path), seen={folder.info().id: Seen(time=1_750_000_001.0, seq=30)})
    notebook.write()
    said: list[str] = []

    async def go(app: DistillApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.run_view is not None)
        said.append(app.said)
        await pilot.press("3")
        await until(pilot, lambda: app.run_view is not None and not app.run_view.filling)

    visit(go)
    visit(go)
    assert said == ["healthy: finished, while you were away\n3 shows what is new", ""]


def test_a_screen_says_once_what_one_does_there_with_the_keys_of_ones_own(home: Path) -> None:
    (home / "config").mkdir()
    (home / "config" / "keys.toml").write_text('"config.start" = "Z"\n')
    said: list[str] = []

    async def go(app: DistillApp, pilot: Pilot[None]) -> None:
        await pilot.press("2")
        said.append(app.said)

    visit(go)
    visit(go)
    assert said == ["e edits a field, space and left step through its values, Z starts the run", ""]


@pytest.mark.parametrize("size", SIZES)
def test_help_names_the_keys_of_the_screen_one_is_on(size: tuple[int, int]) -> None:
    async def go(app: DistillApp, pilot: Pilot[None]) -> None:
        for number in "1234":
            await pilot.press(number, "question_mark")
            assert isinstance(app.screen, Help)
            await pilot.press("escape")
            assert not isinstance(app.screen, Help)

    visit(go, size)


def test_the_key_line_is_the_same_after_a_dialog_as_before() -> None:
    async def go(app: DistillApp, pilot: Pilot[None]) -> None:
        before = app.query_one(KeyLine).text
        await pilot.press("question_mark", "escape")
        assert app.query_one(KeyLine).text == before

    visit(go)


def test_the_key_line_ends_in_a_sign_where_keys_are_left_out_and_only_there() -> None:
    lines: list[str] = []

    async def go(app: DistillApp, pilot: Pilot[None]) -> None:
        await pilot.press("3")
        await until(pilot, lambda: "filter" in app.query_one(KeyLine).text)
        lines.append(app.query_one(KeyLine).text)

    visit(go, (80, 24))
    visit(go, (240, 24))
    assert " … " in lines[0]
    assert len(lines[0]) <= 80
    assert "…" not in lines[1]
    assert lines[1].endswith("q leave ")


def test_help_begins_with_what_is_there_only_here_and_keys_stand_apart_from_words() -> None:
    async def go(app: DistillApp, pilot: Pilot[None]) -> None:
        await pilot.press("3", "question_mark")
        lines = str(app.screen.query_one("Help Static", Static).content).split("\n")
        assert [line for line in lines if line in PLACES.values()] == ["Charts", "Training", "Lists", "Everywhere"]
        assert any(line.split("Move the cursor back by")[0].endswith("H shift+left   ") for line in lines)

    visit(go)


def test_every_action_of_a_screen_or_a_view_of_a_run_is_in_the_palette() -> None:
    async def go(app: DistillApp, _pilot: Pilot[None]) -> None:
        offered = [command.title for command in app.get_system_commands(app.screen)]
        told = {place: words for place, words in PLACES.items() if place in PANES or WITHIN.get(place) == "training"}
        for action in ACTIONS:
            if action.place in told:
                assert f"{told[action.place]}: {action.label}" in offered
            elif action.place == "app":
                assert action.label in offered

    visit(go)


def test_the_palette_goes_to_where_an_action_works_and_does_it() -> None:
    unpacked("healthy")

    async def go(app: DistillApp, pilot: Pilot[None]) -> None:
        command = next(one for one in app.get_system_commands(app.screen) if one.title == "Runs: mark")
        command.callback()
        await until(pilot, lambda: app.pane == "training" and "runs" in app.actions_here())

    visit(go)


def test_a_terminal_that_is_too_small_is_told_so_and_a_larger_one_shows_all_again() -> None:
    async def go(app: DistillApp, pilot: Pilot[None]) -> None:
        shown = []
        for size in ((59, 24), (60, 17), (60, 18)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            shown.append((app.query_one("#too-small").display, app.query_one(TopBar).display))
        assert shown == [(True, False), (True, False), (False, True)]

    visit(go)


def test_an_error_that_a_person_can_do_something_about_is_said_and_ends_nothing() -> None:
    async def fail() -> None:
        raise api.DistillError("the cellar is flooded", "try the attic")

    async def go(app: DistillApp, pilot: Pilot[None]) -> None:
        app.run_worker(fail())
        await until(pilot, lambda: "cellar" in app.said)
        assert app.said == "!! the cellar is flooded\ntry the attic"
        await pilot.press("2")
        assert app.pane == "config"

    visit(go)


def test_a_memory_that_cannot_be_read_is_forgotten(home: Path) -> None:
    (home / "state").mkdir()
    (home / "state" / "dashboard.json").write_text('{"training_view": 3}')

    async def go(app: DistillApp, _pilot: Pilot[None]) -> None:
        assert app.memory == Memory()

    visit(go)
