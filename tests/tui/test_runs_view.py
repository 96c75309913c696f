"""The list of runs as one sees it, and what one does with them."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from pathlib import Path

import msgspec
import pytest

from distill_engine import run_folder
from distill_engine.run_folder import RunFolder
from distill_tui.drafts.forms import Form
from distill_tui.screens.dialogs import Question
from distill_tui.screens.runs import RunsView
from tests.engine.writer import Writer, new_run
from tests.recorded_runs import Recorded, unpacked
from tests.tui.shown_views import SIZES, Shown, opened

NAMES: tuple[Recorded, ...] = ("stopped", "diverged", "healthy")


def several() -> list[RunFolder]:
    return [unpacked(name) for name in NAMES]


def row(shown: Shown[RunsView], name: str) -> str:
    """Return a run's line of the list, empty where it isn't there."""
    lines = shown.view.listing.rows.text.split("\n")
    return next((line for line in lines if name in line), "")


async def go_to(shown: Shown[RunsView], folder: RunFolder) -> None:
    await shown.until(lambda: str(folder.path) in shown.view.listing.rows.keys)
    await shown.press("g")
    while shown.view.listing.rows.key != str(folder.path):
        await shown.press("j")


@pytest.mark.parametrize("size", SIZES)
def test_every_run_is_listed_with_state_progress_and_best_loss(size: tuple[int, int]) -> None:
    async def visit() -> None:
        runs = several()
        async with opened(runs[0], "r", RunsView, size) as shown:
            await shown.until(lambda: row(shown, "healthy"))
            assert "finished" in row(shown, "healthy")
            assert "15/15" in row(shown, "healthy")
            assert "0.1392" in row(shown, "healthy")
            assert "failed" in row(shown, "diverged")
            assert "> " in row(shown, "stopped")[:4]
            assert "> " not in row(shown, "healthy")[:4]

    asyncio.run(visit())


def test_a_run_that_goes_on_and_a_new_one_are_shown_without_a_key() -> None:
    async def visit() -> None:
        living = new_run("living")
        with Writer(living) as writer:
            writer.do("start")
            async with opened(living, "r", RunsView) as shown:
                await shown.until(lambda: "starting" in row(shown, "living"))
                writer.do("finish")
                await shown.until(lambda: "finished" in row(shown, "living"))
                new_run("another")
                await shown.until(lambda: "starting" in row(shown, "another"))

    asyncio.run(visit())


def test_enter_watches_a_run_and_goes_to_its_charts() -> None:
    async def visit() -> None:
        stopped, _, healthy = several()
        async with opened(stopped, "r", RunsView) as shown:
            await go_to(shown, healthy)
            await shown.press("enter")
            await shown.until(lambda: shown.app.run_view and shown.app.run_view.folder == healthy)
            await shown.until(lambda: not shown.view.display)

    asyncio.run(visit())


@pytest.mark.parametrize("size", SIZES)
def test_the_curve_of_the_run_one_stands_on_is_drawn_and_those_of_marked_ones_over_each_other(
    size: tuple[int, int],
) -> None:
    async def visit() -> None:
        stopped, _, healthy = several()
        async with opened(stopped, "r", RunsView, size) as shown:
            await go_to(shown, healthy)
            await shown.until(lambda: "healthy 0.144" in shown.view.chart.text)
            await shown.press("space")
            await go_to(shown, stopped)
            await shown.press("space")
            await shown.until(lambda: "1 healthy" in shown.view.chart.text and "2 stopped" in shown.view.chart.text)
            assert row(shown, "healthy").startswith("1")
            assert row(shown, "stopped").startswith("2>")
            await shown.press("t")
            await shown.until(lambda: "time" in shown.view.chart.text)
            await shown.press("space")
            await shown.until(lambda: "2 stopped" not in shown.view.chart.text)

    asyncio.run(visit())


def test_no_more_than_four_runs_are_marked() -> None:
    async def visit() -> None:
        folders = [*several(), unpacked("killed"), unpacked("restarted")]
        async with opened(folders[0], "r", RunsView) as shown:
            await shown.until(lambda: len(shown.view.listing.rows.keys) == 5)
            for _ in range(5):
                await shown.press("space", "j")
            assert "4 runs are marked already" in shown.said

    asyncio.run(visit())


@pytest.mark.parametrize("size", SIZES)
def test_only_what_differs_between_the_marked_runs_is_shown(size: tuple[int, int]) -> None:
    async def visit() -> None:
        stopped, _, healthy = several()
        async with opened(stopped, "r", RunsView, size) as shown:
            await go_to(shown, healthy)
            await shown.press("space")
            await go_to(shown, stopped)
            await shown.press("space", "d")
            rows = shown.view.differences.rows
            await shown.until(lambda: "max_epochs" in rows.keys)
            assert "latent_dim" not in rows.keys
            line = next(line for line in rows.text.split("\n") if line.startswith("max_epochs"))
            assert line.split() == ["max_epochs", "15", "10000"]
            assert "1 healthy" in rows.text.split("\n")[0]

    asyncio.run(visit())


def test_a_run_alone_is_compared_with_the_usual_settings() -> None:
    async def visit() -> None:
        healthy = unpacked("healthy")
        async with opened(healthy, "r", RunsView) as shown:
            await go_to(shown, healthy)
            await shown.press("d")
            rows = shown.view.differences.rows
            await shown.until(lambda: "latent_dim" in rows.keys)
            line = next(line for line in rows.text.split("\n") if line.startswith("latent_dim"))
            assert line.split() == ["latent_dim", "8", "128"]
            assert "usual" in rows.text.split("\n")[0]

    asyncio.run(visit())


def test_a_configuration_that_cant_be_read_is_said_to_be_so() -> None:
    async def visit() -> None:
        healthy = unpacked("healthy")
        healthy.config_file.write_text("max_epochs = \n")
        async with opened(healthy, "r", RunsView) as shown:
            await go_to(shown, healthy)
            await shown.press("d")
            await shown.until(lambda: "can't be read" in shown.view.differences.rows.keys)

    asyncio.run(visit())


def test_the_next_run_may_have_the_settings_of_an_earlier_one() -> None:
    async def visit() -> None:
        healthy = unpacked("healthy")
        async with opened(healthy, "r", RunsView) as shown:
            await shown.until(lambda: shown.app.form is not None)
            await go_to(shown, healthy)
            await shown.press("u")
            await shown.until(lambda: shown.app.pane == "config")
            form = shown.app.form
            assert isinstance(form, Form)
            assert form.config.latent_dim == 8
            assert form.file is None

    asyncio.run(visit())


def test_a_run_that_is_over_is_deleted_after_a_question_that_names_it() -> None:
    async def visit() -> None:
        stopped, _, healthy = several()
        async with opened(stopped, "r", RunsView) as shown:
            await go_to(shown, healthy)
            await shown.press("x")
            await shown.until(lambda: isinstance(shown.app.screen, Question))
            await shown.press("enter")
            await shown.until(lambda: not isinstance(shown.app.screen, Question))
            assert healthy.path.exists()
            await shown.press("x")
            await shown.until(lambda: isinstance(shown.app.screen, Question))
            question = shown.app.screen
            assert isinstance(question, Question)
            assert question._question == "Delete the run healthy?"
            assert "kB" in question._consequence
            await shown.press("y")
            await shown.until(lambda: not healthy.path.exists())
            await shown.until(lambda: not row(shown, "healthy"))
            assert "the run healthy is deleted" in shown.said
            assert stopped.path.exists()

    asyncio.run(visit())


def test_another_run_that_has_the_name_by_now_is_not_deleted() -> None:
    async def visit() -> None:
        stopped, _, healthy = several()
        async with opened(stopped, "r", RunsView) as shown:
            await go_to(shown, healthy)
            await shown.press("x")
            await shown.until(lambda: isinstance(shown.app.screen, Question))
            healthy.write_info(msgspec.structs.replace(healthy.info(), id=run_folder.new_id()))
            await shown.press("y")
            await shown.until(lambda: "healthy is another run by now" in shown.said)
            assert healthy.path.exists()

    asyncio.run(visit())


def test_a_run_that_is_trained_is_not_deleted() -> None:
    async def visit() -> None:
        living = new_run("living")
        with Writer(living) as writer:
            writer.do("start")
            async with opened(living, "r", RunsView) as shown:
                await go_to(shown, living)
                await shown.press("x")
                await shown.until(lambda: "living is being trained" in shown.said)
            assert living.path.exists()

    asyncio.run(visit())


def test_where_there_is_no_run_one_is_told_how_to_begin() -> None:
    async def visit() -> None:
        async with opened(None, "r", RunsView) as shown:
            await shown.until(lambda: "no run yet" in shown.view.listing.rows.text)
            await shown.press("space", "d", "enter", "u", "x")

    asyncio.run(visit())


def test_where_no_run_matches_the_filter_one_is_told_so_and_esc_shows_all() -> None:
    async def visit() -> None:
        async with opened(unpacked("healthy"), "r", RunsView) as shown:
            await shown.until(lambda: row(shown, "healthy"))
            await shown.press("/", *"zzz", "enter")
            assert "nothing matches 'zzz'; esc shows all" in shown.view.listing.rows.text
            await shown.press("escape")
            assert row(shown, "healthy")
            assert shown.view.display

    asyncio.run(visit())


def test_in_ascii_nothing_of_it_is_more_than_ascii() -> None:
    async def visit() -> None:
        stopped, _, healthy = several()
        async with opened(stopped, "r", RunsView, (80, 24), ascii_only=True) as shown:
            await go_to(shown, healthy)
            await shown.until(lambda: "healthy 0.144" in shown.view.chart.text)
            assert shown.view.listing.rows.text.isascii()
            assert shown.view.chart.text.isascii()

    asyncio.run(visit())


def test_a_marked_run_that_is_deleted_while_others_are_read_is_no_longer_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk_answers, open_file = threading.Event(), os.open

    async def visit() -> None:
        stopped, _, healthy = several()
        async with opened(stopped, "r", RunsView) as shown:
            for folder in (healthy, stopped):
                await go_to(shown, folder)
                await shown.press("space")

            def slowly(path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
                if path == healthy.config_file:
                    disk_answers.wait()
                return open_file(path, flags, mode, dir_fd=dir_fd)

            monkeypatch.setattr(os, "open", slowly)
            await shown.press("d", "x")
            await shown.until(lambda: isinstance(shown.app.screen, Question))
            await shown.press("y")
            await shown.until(lambda: not row(shown, "stopped"))
            disk_answers.set()
            rows = shown.view.differences.rows
            await shown.until(lambda: "latent_dim" in rows.keys and "usual" in rows.text.split("\n")[0])
            assert "stopped" not in rows.text

    asyncio.run(visit())


def test_settings_that_differ_by_little_are_shown_exactly() -> None:
    async def visit() -> None:
        stopped, _, healthy = several()
        for folder, rate in ((healthy, "0.0003000001"), (stopped, "0.0003000002")):
            text = folder.config_file.read_text()
            folder.config_file.write_text(re.sub("(?m)^learning_rate = .*$", f"learning_rate = {rate}", text))
        async with opened(stopped, "r", RunsView) as shown:
            for folder in (healthy, stopped):
                await go_to(shown, folder)
                await shown.press("space")
            await shown.press("d")
            rows = shown.view.differences.rows
            await shown.until(lambda: "learning_rate" in rows.keys)
            line = next(line for line in rows.text.split("\n") if line.startswith("learning_rate"))
            assert line.split() == ["learning_rate", "0.0003000001", "0.0003000002"]

    asyncio.run(visit())
