"""The Training screen: recorded runs as one sees them, keys that look at them otherwise, and orders with a receipt."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from distill_engine import api, home
from distill_engine.events import Checkpoint, GpuSample, SystemSample, encode
from distill_engine.run_folder import RunFolder
from distill_engine.start import Wishes, plan_run
from distill_tui.app import DistillApp
from distill_tui.remembered import Notebook, Seen
from distill_tui.runs import receipts
from distill_tui.runs.run_summary import LISTED
from distill_tui.screens.dialogs import Question
from distill_tui.screens.runs import RunsView
from distill_tui.screens.training import TrainingPane
from distill_tui.widgets.key_line import KeyLine
from distill_tui.widgets.status_line import StatusLine
from tests.engine.run_logs import prepared, saved, started, write_log
from tests.engine.runs import SMALL, write_dataset
from tests.engine.writer import Writer, new_run
from tests.recorded_runs import unpacked

SIZES = [(120, 36), (80, 24)]


class Screen:
    """The Training screen of an app that runs, as a person reads it."""

    def __init__(self, app: DistillApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def pane(self) -> TrainingPane:
        return self.app.query_one(TrainingPane)

    @property
    def header(self) -> str:
        return self.pane.charts.header.text

    @property
    def events(self) -> str:
        return self.pane.charts.events.rows.text

    @property
    def details(self) -> str:
        return self.pane.charts.events.details.text

    @property
    def receipt(self) -> str:
        return self.pane.receipt.text

    @property
    def said(self) -> str:
        return self.app.query_one(StatusLine).text

    @property
    def charts(self) -> list[str]:
        grid = self.pane.charts.grid
        assert grid is not None
        return [chart.text for chart in grid.shown_charts]

    @property
    def titles(self) -> list[str]:
        return [text.split()[0] for text in self.charts]

    @property
    def all_words(self) -> str:
        """All that the charts' view says."""
        view = self.pane.charts
        events = [*view.events.rows.keys, view.events.details.text]
        return "\n".join([view.header.text, view.tiles.text, *events, *self.charts])

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something is so; a test in which it never is fails."""
        deadline = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < deadline, f"{self.header}\n{self.events}\n{self.receipt}"
            await self.pilot.pause(0.02)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()


@contextlib.asynccontextmanager
async def training(
    run: RunFolder | None, size: tuple[int, int] = (120, 36), *, ascii_only: bool = False
) -> AsyncIterator[Screen]:
    app = DistillApp(run=str(run.path) if run else "", ascii_only=ascii_only)
    async with app.run_test(size=size) as pilot:
        screen = Screen(app, pilot)
        await screen.until(lambda: "training" in app._panes)
        await app.show_pane("training")
        if run is not None:
            await screen.until(
                lambda: screen.pane.chart_view is not None and app.run_view is not None and not app.run_view.filling
            )
            await screen.until(lambda: screen.pane.charts.events.rows.keys)
            await pilot.pause()
        yield screen


@pytest.mark.parametrize("size", SIZES)
def test_a_run_that_finished_is_shown_as_it_ended(size: tuple[int, int]) -> None:
    async def visit() -> None:
        async with training(unpacked("healthy"), size) as screen:
            assert "15 of 15 epochs · 90 of 90 steps" in screen.header
            assert "all epochs done" in screen.header
            assert "finished: all epochs done" in screen.events
            assert "model /home/anna/distill/data/models/healthy.distill" in screen.details
            assert "validation 0.144" in screen.charts[0]
            assert len(screen.charts) == (4 if size[0] == 120 else 2)
            assert "783.2 MB" in screen.pane.charts.tiles.text
            assert screen.pane.charts.tiles.text.startswith("at its end  cpu ")
            assert len(screen.pane.charts.tiles.text) <= size[0] - 2

    asyncio.run(visit())


@pytest.mark.parametrize("size", SIZES)
def test_where_there_is_no_run_the_screen_says_how_to_begin_one(size: tuple[int, int]) -> None:
    async def visit() -> None:
        async with training(None, size) as screen:
            await screen.until(lambda: "No run yet" in screen.header)
            assert "1 Datasets" in screen.header
            await screen.press("S")
            assert "there is no run to be stopped" in screen.said

    asyncio.run(visit())


def test_in_ascii_nothing_of_the_screen_is_more_than_ascii() -> None:
    async def visit() -> None:
        async with training(unpacked("healthy"), (80, 24), ascii_only=True) as screen:
            await screen.press("left", "e")
            for text in (screen.header, screen.details, screen.pane.charts.tiles.text, *screen.charts):
                assert text.isascii(), text

    asyncio.run(visit())


def test_brackets_page_through_all_charts_and_m_leaves_one() -> None:
    async def visit() -> None:
        async with training(unpacked("healthy")) as screen:
            assert screen.titles == ["loss", "parts", "distance,", "gradient"]
            await screen.press("]")
            assert screen.titles[0] == "learning"
            await screen.press("]", "]")
            assert screen.titles[0] == "loss"
            await screen.press("[")
            assert screen.titles[-1] == "KL"
            await screen.press("]", "m", "]")
            assert screen.titles == ["parts"]
            await screen.press("escape")
            assert screen.titles == ["loss", "parts", "distance,", "gradient"]

    asyncio.run(visit())


def test_one_cursor_goes_through_charts_and_events_both_ways() -> None:
    async def visit() -> None:
        async with training(unpacked("healthy")) as screen:
            await screen.press("left", *["H"] * 4)
            view = screen.pane.chart_view
            assert view is not None
            assert view.cursor is not None
            assert 30 < view.cursor < 60
            at_or_before = [row for row in (18, 30, 36, 54) if row <= view.cursor][-1]
            assert f"step-000000{at_or_before}" in screen.details
            await screen.press("g", "j", "j", "enter")
            assert screen.pane.chart_view is not None
            assert screen.pane.chart_view.cursor == 18
            assert all("18" in text for text in screen.charts)
            await screen.press("escape")
            assert screen.pane.chart_view.cursor is None

    asyncio.run(visit())


def test_keys_zoom_pan_hold_reset_and_change_axes_and_smoothing_and_these_are_remembered() -> None:
    async def visit() -> None:
        async with training(unpacked("healthy")) as screen:
            pane = screen.pane

            def looked() -> tuple[object, ...]:
                view = pane.chart_view
                assert view is not None
                return view.window, view.follows, view.axis, view.log_y, view.smoothing

            first = looked()
            await screen.press("+")
            zoomed = looked()
            assert zoomed[0] is not None
            await screen.press("<")
            assert looked()[0] != zoomed[0]
            assert looked()[1] is False
            await screen.press("f")
            assert looked()[1] is True
            await screen.press("-", "-")
            assert looked() == first
            await screen.press("t", "a", "s")
            assert looked() == (None, True, "time", True, 0.6)
            await screen.press("+", "0")
            assert looked() == (None, True, "time", True, 0.6)
            kept = screen.app.memory.charts
            assert (kept.axis, kept.log, kept.smoothing) == ("time", True, 1)

    asyncio.run(visit())


def test_a_chart_is_read_as_a_sentence_and_the_next_key_reads_the_next() -> None:
    async def visit() -> None:
        async with training(unpacked("healthy")) as screen:
            await screen.press("e")
            assert screen.said.startswith("loss: validation 0.1440 at step 90")
            await screen.press("e")
            assert screen.said.startswith("parts: mag 0.02")

    asyncio.run(visit())


@pytest.mark.parametrize("size", SIZES)
def test_a_warning_under_the_cursor_shows_its_evidence_and_suggestion(size: tuple[int, int]) -> None:
    async def visit() -> None:
        async with training(unpacked("diverged"), size) as screen:
            while "went back to step-00000018" not in screen.details:
                assert screen.pane.charts.events.rows.key != screen.pane.charts.events.rows.keys[0]
                await screen.press("k")
                if "10 steps in a row, up to 30, were not finite" in screen.details:
                    break
            assert "lower learning_rate helps" in screen.details.replace("\n   ", " ")

    asyncio.run(visit())


def test_what_is_new_stands_above_the_events_once_and_enter_jumps_there() -> None:
    run = unpacked("restarted")
    seen = {run.info().id: Seen(time=1_750_000_001.6, seq=29)}
    notebook = Notebook(home.state_folder())
    notebook.note(seen=seen)
    notebook.write()

    async def visit() -> None:
        async with training(run) as screen:
            await screen.until(lambda: "while you were away" in screen.events)
            assert "78 steps and 13 epochs more, from step 12" in screen.events
            await screen.press("j", "enter")
            assert screen.pane.chart_view is not None
            assert screen.pane.chart_view.cursor == 18
            await screen.press("escape")
            assert "while you were away" not in screen.events
            await screen.press("g")
            assert "resumed after step 18" in screen.events
            await screen.press("1", "3")
            assert "while you were away" not in screen.events
        async with training(run) as screen:
            await screen.press("1", "3")
            assert "while you were away" not in screen.events

    asyncio.run(visit())


def test_enter_stays_on_the_event_it_was_pressed_on_though_others_have_its_step() -> None:
    async def visit() -> None:
        async with training(unpacked("healthy")) as screen:
            await screen.press("G", "k", "enter")
            assert screen.pane.chart_view is not None
            assert screen.pane.chart_view.cursor == 90
            assert "checkpoints/step-00000090" in screen.details

    asyncio.run(visit())


def test_another_run_brings_its_own_events() -> None:
    async def visit() -> None:
        async with training(unpacked("healthy")) as screen:
            screen.app.attach(unpacked("stopped"))
            await screen.until(lambda: "stopped by anna@box" in screen.events)
            assert "finished" not in screen.events

    asyncio.run(visit())


def test_nothing_is_drawn_while_another_screen_is_shown() -> None:
    async def visit() -> None:
        async with training(unpacked("healthy")) as screen:
            await screen.press("1")
            before = screen.all_words
            assert screen.details in before
            other = unpacked("stopped")
            screen.app.attach(other)
            await screen.until(lambda: screen.app.run_view is not None and screen.app.run_view.folder == other)
            await screen.until(lambda: screen.app.run_view is not None and not screen.app.run_view.filling)
            await screen.pilot.pause()
            assert screen.all_words == before
            await screen.press("3")
            assert "stopped by anna@box" in screen.header
            await screen.until(lambda: "stopped by anna@box" in screen.events)

    asyncio.run(visit())


def test_an_order_to_a_run_that_is_over_says_what_to_press_instead() -> None:
    async def visit() -> None:
        async with training(unpacked("healthy")) as screen:
            await screen.press("p")
            assert "nothing is left to be paused" in screen.said
            assert "t in 4 Library trains on from its model" in screen.said
            assert screen.receipt == ""
        async with training(unpacked("stopped")) as screen:
            await screen.press("p")
            assert "R resumes it" in screen.said

    asyncio.run(visit())


def test_a_run_that_has_done_all_it_was_meant_to_refuses_to_go_on_and_says_what_is_possible() -> None:
    run = unpacked("healthy")
    spaced = RunFolder(run.path.rename(run.path.with_name("two bells")))

    async def visit() -> None:
        async with training(spaced) as screen:
            await screen.press("R")
            await screen.until(lambda: "→ refused" in screen.receipt)
            told = screen.receipt.replace("\n", " ")
            assert "distill-engine resume 'two bells' --set max_epochs=30 trains on" in told
            assert "t in 4 Library trains on from its model" in told

    asyncio.run(visit())


def test_a_run_whose_folder_is_gone_may_still_train_and_r_says_that_it_cannot_go_on() -> None:
    run = new_run("bells")

    async def visit() -> None:
        with Writer(run) as writer:
            writer.do("start")
            async with training(run, (80, 24)) as screen:
                run.path.rename(run.path.with_name("elsewhere"))
                await screen.until(lambda: "its folder is gone; it may still train" in screen.header)
                assert "died" not in screen.header
                assert "R " not in screen.header
                assert "log" not in screen.header
                await screen.press("p")
                assert "its folder is gone; it may still train" in screen.said
                await screen.press("R")
                await screen.until(lambda: "→ failed" in screen.receipt)
                assert "run bells can't go on: its folder is gone" in screen.receipt

    asyncio.run(visit())


def test_the_receipt_of_a_run_goes_with_it_and_when_it_goes_on_again() -> None:
    run = new_run("bells")

    async def visit() -> None:
        with Writer(run) as writer:
            writer.do("start")
            async with training(run) as screen:
                writer.ask("hear", "done saved at step 8", "finish")
                await screen.press("w")
                await screen.until(lambda: "→ done" in screen.receipt and "finished" in screen.header)
                writer.do("restart 0")
                await screen.until(lambda: screen.receipt == "")
                await screen.press("w")
                await screen.until(lambda: screen.receipt.startswith("checkpoint bells"))
                screen.app.attach(unpacked("stopped"))
                await screen.until(lambda: "stopped by anna@box" in screen.header)
                assert screen.receipt == ""

    asyncio.run(visit())


@pytest.mark.parametrize("size", SIZES)
def test_what_is_unusual_about_the_charts_is_told_below_them_and_nothing_otherwise(size: tuple[int, int]) -> None:
    async def visit() -> None:
        async with training(unpacked("healthy"), size) as screen:
            line = screen.pane.charts.look_line
            assert (line.text, line.size.height) == ("", 0)
            await screen.press("s", "s", "a", "f")
            assert (line.text, line.size.height) == ("charts smoothed 0.9, log, held", 1)
            await screen.press("s", "s", "a", "f")
            assert (line.text, line.size.height) == ("", 0)

    asyncio.run(visit())


def test_in_a_small_terminal_curves_keep_their_names() -> None:
    async def visit() -> None:
        async with training(unpacked("healthy"), (80, 24)) as screen:
            for name in ("mag", "freq", "stft"):
                assert name in screen.charts[1].split("\n")[0]

    asyncio.run(visit())


def test_the_key_line_names_only_orders_that_make_sense_now() -> None:
    run = new_run("bells")

    async def visit() -> None:
        with Writer(run) as writer:
            writer.do("start")
            async with training(run, (160, 36)) as screen:
                keys = screen.app.query_one(KeyLine)
                assert " S stop  p pause  l log " in keys.text
                assert "R resume" not in keys.text
                writer.do("finish")
                await screen.until(lambda: "S stop" not in keys.text)
                assert "p pause" not in keys.text
                assert "R resume" not in keys.text
        async with training(unpacked("stopped"), (160, 36)) as screen:
            assert "R resume" in screen.app.query_one(KeyLine).text

    asyncio.run(visit())


def test_a_run_that_is_named_is_shown_by_its_charts_whatever_one_looked_at_last() -> None:
    notebook = Notebook(home.state_folder())
    notebook.note(training_view="log")
    notebook.write()

    async def visit() -> None:
        async with training(unpacked("healthy")) as screen:
            assert screen.pane.view == "charts"
            await screen.pilot.pause(0.3)
            assert screen.pane.view == "charts"

    asyncio.run(visit())


def test_the_run_that_is_chosen_in_the_list_is_shown_by_its_charts_and_so_the_next_time() -> None:
    run = unpacked("healthy")

    async def visit() -> None:
        async with training(run) as screen:
            await screen.press("l")
            await screen.until(lambda: screen.pane.view == "log")
            await screen.press("r")
            await screen.until(lambda: screen.pane.view == "runs" and screen.app.query_one(RunsView).listing.rows.keys)
            await screen.press("enter")
            await screen.until(lambda: screen.pane.view == "charts")
            assert screen.app.memory.training_view == "charts"

    asyncio.run(visit())


def test_esc_first_takes_back_a_filter_and_what_is_told_below_follows_the_rows() -> None:
    async def visit() -> None:
        async with training(unpacked("healthy")) as screen:
            rows = screen.pane.charts.events.rows
            before = rows.keys
            assert "model" in screen.details
            await screen.press("left", "G", "/", *"checkpoint", "enter")
            assert "checkpoints/step-" in screen.details
            await screen.press("escape")
            assert rows.keys == before
            assert screen.pane.chart_view is not None
            assert screen.pane.chart_view.cursor is not None
            await screen.press("escape")
            assert screen.pane.chart_view.cursor is None
            await screen.press("/", *"zzz", "enter")
            assert "nothing matches 'zzz'; esc shows all" in screen.events
            assert screen.details == ""

    asyncio.run(visit())


def test_the_other_views_open_by_their_keys_and_esc_goes_back_to_the_charts() -> None:
    async def visit() -> None:
        async with training(unpacked("healthy")) as screen:
            for key, name in (("l", "log"), ("v", "previews"), ("r", "runs"), ("c", "charts")):
                await screen.press(key)
                await screen.until(lambda name=name: screen.pane.view == name)  # type: ignore[misc]
                assert next(iter(screen.app.actions_here())) in (name, "listing")
            assert screen.app.memory.training_view == "charts"
            await screen.press("v")
            await screen.until(lambda: screen.pane.view == "previews")
            await screen.press("1", "3", "escape")
            await screen.until(lambda: screen.pane.view == "charts")

    asyncio.run(visit())


def test_the_previews_share_the_cursor_of_the_charts() -> None:
    async def visit() -> None:
        async with training(unpacked("healthy")) as screen:
            await screen.press("v")
            await screen.until(lambda: screen.pane.view == "previews")
            await screen.press("j", "j")
            await screen.until(lambda: screen.pane.chart_view is not None and screen.pane.chart_view.cursor == 30)
            await screen.press("escape")
            await screen.until(lambda: screen.pane.view == "charts")
            assert "preview" in screen.details

    asyncio.run(visit())


def test_an_order_is_asked_heard_and_done_and_its_receipt_stays_until_esc() -> None:
    run = new_run("bells")

    async def visit() -> None:
        with Writer(run) as writer:
            writer.do("start")
            async with training(run) as screen:
                writer.ask("hear")
                await screen.press("w")
                await screen.until(lambda: "→ heard" in screen.receipt)
                assert screen.receipt.startswith("checkpoint bells  asked ")
                assert "→ saving …" in screen.receipt
                assert "answer within 60 s, " in screen.receipt
                await screen.press("1", "escape", "3", "escape")
                assert "→ saving …" in screen.receipt
                writer.ask("done saved at step 8")
                await screen.until(lambda: "→ done" in screen.receipt)
                assert screen.receipt.splitlines()[1] == "saved at step 8"
                await screen.until(lambda: "checkpoint done: saved at step 8" in screen.events)
                await screen.press("escape")
                assert screen.receipt == ""

    asyncio.run(visit())


def test_an_answer_that_comes_after_its_time_still_fills_the_receipt() -> None:
    run = new_run("bells")

    async def visit() -> None:
        with Writer(run) as writer:
            writer.do("start")
            async with training(run) as screen:
                asked = receipts.asked("bells", "checkpoint", time.time() - 61, holder=None)
                late = receipts.failed(
                    asked, api.DistillError("after 60 s run bells has not heard it yet"), time.time()
                )
                screen.pane.receipt.show_receipt(late)
                assert "→ no answer" in screen.receipt
                run.commands_file.write_bytes(encode(Checkpoint(id="a", time=asked.asked, sender="me")))
                writer.do("hear", "done saved at step 8")
                await screen.until(lambda: "→ done" in screen.receipt)
                assert screen.receipt.splitlines()[1] == "saved at step 8"

    asyncio.run(visit())


def test_events_are_filtered_by_what_one_types_and_letters_typed_are_no_orders() -> None:
    async def visit() -> None:
        async with training(unpacked("healthy")) as screen:
            await screen.press("/", *"Save", "down")
            assert screen.receipt == ""
            shown = screen.events.splitlines()
            assert [line for line in shown[1:] if line and "saved" not in line] == []
            assert "checkpoint saved, 51.1 MB" in screen.events

    asyncio.run(visit())


def test_what_the_first_screen_needs_of_this_one_loads_no_numpy() -> None:
    script = "import sys, distill_tui.screens.training; sys.exit('numpy' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("size", "count", "told"), [((120, 36), 1, "NVIDIA"), ((80, 24), 1, "61 C"), ((80, 24), 8, "more")]
)
def test_the_machine_is_told_with_its_gpus_as_many_as_fit(size: tuple[int, int], count: int, told: str) -> None:
    run = new_run("bells")
    gpus = [
        GpuSample(
            index=one,
            name="NVIDIA",
            load=95.0,
            memory_used=4 * 10**10,
            memory_total=8 * 10**10,
            power=350.0,
            temperature=61.0,
        )
        for one in range(count)
    ]
    sample = SystemSample(
        seq=2,
        time=1.0,
        cpu=50.0,
        memory_used=3 * 10**9,
        memory_total=10**10,
        worker_cpu=99.0,
        worker_memory=10**9,
        gpus=gpus,
    )

    async def visit() -> None:
        with Writer(run) as writer:
            writer.do("start", "line " + encode(sample).decode().strip())
            async with training(run, size) as screen:
                await screen.until(lambda: "gpu" in screen.pane.charts.tiles.text)
                machine, graphics = screen.pane.charts.tiles.text.splitlines()
                assert machine.startswith("cpu ")
                assert "3.0 of 10.0 GB" in machine
                assert "40.0 of 80.0 GB" in graphics
                assert told in graphics
                assert max(len(machine), len(graphics)) <= size[0] - 2

    asyncio.run(visit())


def test_a_stop_asks_first_and_a_refusal_is_told() -> None:
    run = new_run("bells")

    async def visit() -> None:
        with Writer(run) as writer:
            writer.do("start")
            async with training(run, (80, 24)) as screen:
                await screen.press("S", "n")
                assert screen.receipt == ""
                writer.ask("hear", "refused the run has ended")
                await screen.press("S")
                await screen.until(lambda: isinstance(screen.app.screen, Question))
                await screen.press("y")
                await screen.until(lambda: "→ refused" in screen.receipt)
                assert screen.receipt.startswith("stop bells")
                assert "the run has ended" in screen.receipt

    asyncio.run(visit())


def test_one_key_pauses_a_run_and_lets_it_go_on() -> None:
    run = new_run("bells")
    paused = '{"type":"RunPaused","seq":%d,"time":1.0,"step":8,"epoch":1,"reason":"anna@box"}'

    async def visit() -> None:
        with Writer(run) as writer:
            writer.do("start")
            async with training(run) as screen:
                writer.ask("hear", "done paused after step 8", "line " + paused % 4)
                await screen.press("p")
                await screen.until(lambda: "pause bells" in screen.receipt and "→ done" in screen.receipt)
                await screen.until(lambda: "paused by anna@box" in screen.header)
                writer.ask("hear", "done goes on after step 8")
                await screen.press("p")
                await screen.until(lambda: "unpause bells" in screen.receipt and "→ done" in screen.receipt)

    asyncio.run(visit())


def test_a_worker_that_dies_before_it_answers_is_told_in_receipt_and_header() -> None:
    run = new_run("bells")

    async def visit() -> None:
        with Writer(run) as writer:
            writer.do("start")
            async with training(run) as screen:
                writer.ask("hear")
                await screen.press("h")
                await screen.until(lambda: "→ heard" in screen.receipt)
                writer.kill()
                await screen.until(lambda: "→ no answer" in screen.receipt)
                assert "ended before it answered preview" in screen.receipt
                await screen.until(lambda: "it died without a word" in screen.header)
                assert "R goes on from the beginning" in screen.header

    asyncio.run(visit())


def test_a_real_run_is_stopped_with_a_receipt_and_goes_on(tmp_path: Path) -> None:
    settings = [f"{key}={value}" for key, value in {**SMALL, "max_epochs": 10_000}.items()]
    plan = plan_run(write_dataset(tmp_path / "bells"), Wishes(settings=settings))

    async def visit() -> None:
        run = await api.start_run(plan)
        async with training(run) as screen:
            await screen.until(lambda: "pieces a second" in screen.header)
            await screen.press("S")
            await screen.until(lambda: isinstance(screen.app.screen, Question))
            await screen.press("y")
            await screen.until(lambda: "→ done" in screen.receipt)
            assert "and the model" in screen.receipt.replace("\n", " ")
            await screen.until(lambda: "stopped by" in screen.header)
            assert "R goes on after step" in screen.header
            await screen.press("R")
            await screen.until(lambda: "resume bells" in screen.receipt and "→ done" in screen.receipt)
            await screen.until(lambda: "resumed after step" in screen.events)
            await screen.press("X")
            await screen.until(lambda: isinstance(screen.app.screen, Question))
            await screen.press("y")
            await screen.until(lambda: "stop-now bells" in screen.receipt and "→ done" in screen.receipt)
            await screen.until(lambda: api.lock_holder(run) is None)

    asyncio.run(visit())


def test_a_view_that_comes_when_another_screen_is_shown_takes_no_keys_from_it() -> None:
    notebook = Notebook(home.state_folder())
    notebook.note(training_view="runs")
    notebook.write()

    async def visit() -> None:
        unpacked("healthy")
        app = DistillApp()
        async with app.run_test(size=(120, 36)) as pilot:
            screen = Screen(app, pilot)
            await screen.until(lambda: app.form is not None)
            await app.show_pane("training")  # the view is being imported and mounted by now
            await app.show_pane("config")
            await screen.until(lambda: screen.pane.view == "runs")
            await screen.press("x")
            assert app.pane == "config"
            assert list(app.actions_here()) == ["form", "config", "app"]
            assert not isinstance(app.screen, Question)
            await screen.press("3")
            assert list(app.actions_here())[:2] == ["listing", "runs"]
            await screen.until(lambda: app.query_one(RunsView).listing.rows.keys)

    asyncio.run(visit())


def test_a_receipt_stands_still_while_another_screen_is_shown_and_is_right_afterwards() -> None:
    run = new_run("bells")

    async def visit() -> None:
        with Writer(run) as writer:
            writer.do("start")
            async with training(run) as screen:
                await screen.press("w")
                await screen.until(lambda: "59 left" in screen.receipt)
                await screen.press("1")
                before, asked = screen.receipt, screen.pane.receipt.receipt
                assert asked is not None
                await screen.until(lambda: time.time() > asked.asked + 4)
                assert screen.receipt == before
                await screen.press("3")
                assert " left; if none comes" in screen.receipt
                assert screen.receipt != before
                counted = screen.receipt
                await screen.until(lambda: screen.receipt != counted)

    asyncio.run(visit())


def test_of_very_many_events_the_list_says_that_there_are_more() -> None:
    run = new_run("bells")
    write_log(run, [started(), prepared(), *(saved(number) for number in range(1, LISTED + 10))])

    async def visit() -> None:
        async with training(run) as screen:
            await screen.until(lambda: "what happened, the newest 1,000: there are more" in screen.events)
            assert len(screen.pane.charts.events.rows.keys) == LISTED
            assert "10,090" in screen.events
            screen.app.attach(unpacked("healthy"))
            await screen.until(lambda: "finished" in screen.events)
            assert "there are more" not in screen.events

    asyncio.run(visit())
