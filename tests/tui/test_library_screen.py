"""The Library screen as a person uses it: keys alone, at both sizes, and what they see after each."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import soundfile
from textual.events import Paste
from textual.pilot import Pilot
from textual.widgets import Input, Static
from textual.worker import Worker

from distill_engine import home
from distill_engine.audio.tags import SoundTags, read_tags, write_tags
from distill_engine.datasets import scan
from distill_engine.library import find_model, list_models
from distill_tui.app import DistillApp
from distill_tui.library.model_story import story_of
from distill_tui.library.shelf import sounds_folder
from distill_tui.remembered import Corpus
from distill_tui.screens.choice import Choice
from distill_tui.screens.dialogs import Prompt, Question
from distill_tui.screens.generate_dialog import GenerateDialog
from distill_tui.screens.library import LibraryPane
from distill_tui.screens.sounds_view import SoundsView
from distill_tui.widgets.chart import Chart
from distill_tui.widgets.line import Lines
from distill_tui.widgets.listing import Rows
from distill_tui.widgets.picture import MelPicture, Waveform
from distill_tui.widgets.status_line import StatusLine
from tests.engine.recordings import good
from tests.recorded_runs import unpacked
from tests.tui.models_made import SUMMARY, model_id, write_model, write_sounding_model
from tests.tui.visits import been_everywhere

WIDE, SMALL_SIZE = (120, 36), (80, 24)
PATIENCE = 60.0


class Visit:
    """A dashboard on its Library screen, and what is to be seen of it."""

    def __init__(self, app: DistillApp, pilot: Pilot[None], pane: LibraryPane) -> None:
        self.app, self.pilot, self.pane = app, pilot, pane

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def fill(self, text: str) -> None:
        """Type in place of what stands in the line."""
        await self.press("end", "ctrl+u", *text)

    async def paste(self, text: str) -> None:
        """Put a long text in place of what stands in the line, as terminals do with what is pasted."""
        await self.press("end", "ctrl+u")
        assert self.app.focused is not None
        self.app.focused.post_message(Paste(text))
        await self.pilot.pause()

    async def until(self, condition: Callable[[], bool]) -> None:
        begun = time.monotonic()
        while not condition():
            assert time.monotonic() - begun < PATIENCE, f"{self.rows}\n{self.beside}\n{self.status}\n{self.app.screen}"
            await self.pilot.pause(0.02)

    async def until_asked(self, kind: type[Question | Prompt | GenerateDialog]) -> str:
        """Return the words of the dialog that comes."""
        await self.until(lambda: isinstance(self.app.screen, kind) and self.app.screen.is_current)
        await self.pilot.pause()
        return self.asked

    def workers(self, group: str) -> list[Worker[object]]:
        """Return what is being done of a kind."""
        return [worker for worker in self.app.workers if worker.group == group]

    @property
    def asked(self) -> str:
        said = [str(words.content) for words in self.app.screen.query(Static)]
        return "\n".join([*said, *(lines.text for lines in self.app.screen.query(Lines))])

    @property
    def rows(self) -> str:
        return self.pane.listing.rows.text

    @property
    def here(self) -> str:
        """The name of the model one stands on."""
        return Path(self.pane.listing.rows.key).stem

    @property
    def beside(self) -> str:
        return self.pane.detail.text if self.pane.detail.is_on_screen else ""

    @property
    def status(self) -> str:
        return self.app.query_one(StatusLine).text


@asynccontextmanager
async def library(size: tuple[int, int] = WIDE) -> AsyncIterator[Visit]:
    app = DistillApp()
    async with app.run_test(size=size) as pilot:
        await pilot.press("4")
        pane = app.query_one(LibraryPane)
        visit = Visit(app, pilot, pane)
        await visit.until(lambda: pane.is_shown and app.form is not None)
        await visit.until(lambda: pane.has_class("-empty") or bool(pane.listing.rows.keys))
        yield visit


def names() -> list[str]:
    return [entry.name for entry in list_models()]


@pytest.mark.parametrize("size", [WIDE, SMALL_SIZE])
def test_every_model_is_listed_and_one_that_cannot_be_used_with_its_problem(size: tuple[int, int]) -> None:
    async def visit() -> None:
        write_model("rain", "abc1")
        write_model("bare", "abc2", msgspec.structs.replace(SUMMARY, preview=None, epochs=3))
        (home.models_folder() / "broken.distill").write_bytes(b"no model")
        async with library(size) as seen:
            bare, broken, rain = seen.rows.splitlines()[1:4]
            assert "not measured" in bare
            assert "can't be used" in broken
            assert "40" in rain
            assert "7.8 dB (3.5)" in rain
            await seen.press("j")
            if size == SMALL_SIZE:
                await seen.press("enter")
            await seen.until(lambda: "it has only 8 bytes" in " ".join(seen.beside.split()))
            await seen.press("m")
            await seen.until(lambda: "broken can't be used" in seen.status)

    asyncio.run(visit())


@pytest.mark.parametrize("size", [WIDE, SMALL_SIZE])
def test_an_empty_library_says_what_leads_to_a_model(size: tuple[int, int]) -> None:
    async def visit() -> None:
        async with library(size) as seen:
            hint = seen.pane.query_one("#library-hint", Lines)
            assert hint.is_on_screen
            assert "No model is here yet." in hint.text
            write_model("rain", "abc1")
            await seen.press("1", "4")
            await seen.until(lambda: not hint.is_on_screen and "rain" in seen.rows)

    asyncio.run(visit())


def test_keys_for_a_model_say_that_there_is_none() -> None:
    async def visit() -> None:
        async with library() as seen:
            await seen.until(lambda: seen.pane.has_class("-empty"))
            for key in (*"mtvdresa", "enter"):
                await seen.press("ctrl+c")  # which says something else
                await seen.press(key)
                await seen.until(lambda: "there is no model yet" in seen.status)
                assert not seen.app.screen.is_modal

    asyncio.run(visit())


@pytest.mark.parametrize("size", [WIDE, SMALL_SIZE])
def test_the_detail_tells_what_the_model_is_and_draws_the_curve_of_its_run(size: tuple[int, int]) -> None:
    async def visit() -> None:
        run = unpacked("healthy")
        write_model("bells", run.info().id[:32], trained_as="healthy")
        write_model("other", "abc1")
        async with library(size) as seen:
            if size == SMALL_SIZE:
                assert not seen.beside
                await seen.press("enter")
            await seen.until(lambda: "made by run healthy" in seen.beside)
            said = " ".join(seen.beside.split())
            for words in (
                run.info().id,
                "trained as healthy",
                "12 recordings of strings, 1 min 35 s",
                "40 epochs (best: 37), 2,000 steps",
                "0.4123",
                "7.84 dB LSD, and 3.52 at the least",
                "distill 0.1.0, torch 2.11.0",
            ):
                assert words in said
            chart = seen.pane.query_one(Chart)
            await seen.until(lambda: chart.is_on_screen and "loss" in chart.text)
            assert "validation" in chart.sentence
            await seen.press("j")
            await seen.until(lambda: "The run that made it is gone" in seen.beside)
            assert not chart.visible
            assert "trained as" not in seen.beside

    asyncio.run(visit())


def test_a_story_that_is_still_being_read_when_one_leaves_ends_nothing() -> None:
    async def visit() -> None:
        run = unpacked("healthy")
        write_model("bells", run.info().id[:32])
        async with library() as seen:
            assert seen.pane.entry is not None
            await seen.pane.detail.query("*").remove()
            await seen.pane.detail.tell(story_of(seen.pane.entry))

    asyncio.run(visit())


def test_enter_shows_the_list_alone_with_more_columns_and_the_detail_again() -> None:
    async def visit() -> None:
        write_model("rain", "abc1")
        async with library() as seen:
            await seen.until(lambda: model_id("abc1") in seen.beside)
            assert "1 min 35 s" not in seen.rows
            await seen.press("enter")
            await seen.until(lambda: not seen.beside and "1 min 35 s" in seen.rows)
            assert "strings" in seen.rows
            await seen.press("v")
            await seen.until(lambda: model_id("abc1") in seen.beside)

    asyncio.run(visit())


@pytest.mark.parametrize("size", [WIDE, SMALL_SIZE])
def test_settings_that_differ_are_told_first_and_a_key_shows_all(size: tuple[int, int]) -> None:
    async def visit() -> None:
        write_model("rain", "abc1")
        async with library(size) as seen:
            if size == WIDE:
                await seen.until(lambda: "augmentation.copies = 7  usually 2" in seen.beside)
                assert "batch_size" not in seen.beside
            await seen.press("a")
            settings = seen.pane.query_one("#settings Rows", Rows)
            await seen.until(lambda: seen.app.focused is settings and "batch_size" in settings.text)
            assert [line.split() for line in settings.text.splitlines()[1:4]] == [
                ["max_epochs", "40", "200"],
                ["augmentation.copies", "7", "2"],
                ["batch_size", "32"],
            ]
            await seen.press("escape")
            await seen.until(lambda: seen.app.focused is seen.pane.listing.rows)

    asyncio.run(visit())


def test_models_are_filtered_and_sorted_by_what_their_numbers_are() -> None:
    async def visit() -> None:
        for number, epochs in (("1", 9), ("2", 100), ("3", 20)):
            write_model(f"m{number}", f"abc{number}", msgspec.structs.replace(SUMMARY, epochs=epochs))
        async with library() as seen:
            await seen.press(*"ooooo")
            assert [line.split()[0] for line in seen.rows.splitlines()[1:4]] == ["m1", "m3", "m2"]
            await seen.press("slash", *"m3", "enter")
            await seen.until(lambda: [Path(key).stem for key in seen.pane.listing.rows.keys] == ["m3"])
            assert seen.here == "m3"

    asyncio.run(visit())


def test_a_thousand_models_are_listed_and_gone_through_by_keys() -> None:
    async def visit() -> None:
        for number in range(1000):
            write_model(f"m{number:03}", f"{number:04x}")
        async with library() as seen:
            await seen.press("G")
            assert seen.here == "m999"
            await seen.press("pageup", "k")
            assert "m999" not in seen.rows
            await seen.until(lambda: model_id(f"{int(seen.here[1:]):04x}") in seen.beside)

    asyncio.run(visit())


def test_a_model_is_renamed_and_names_that_cannot_be_are_complained_of_while_typing() -> None:
    async def visit() -> None:
        write_model("rain", "abc1")
        write_model("snow", "abc2")
        async with library() as seen:
            await seen.press("r")
            assert "rain" in await seen.until_asked(Prompt)
            await seen.fill("snow")
            assert "there is a model snow already" in seen.asked
            await seen.press("enter")
            assert names() == ["rain", "snow"]
            await seen.fill(".snow")
            assert "must not start with a dot" in seen.asked
            await seen.fill("zephyr")
            await seen.press("enter")
            await seen.until(lambda: "rain is now zephyr" in seen.status and seen.here == "zephyr")
        assert names() == ["snow", "zephyr"]

    asyncio.run(visit())


def test_a_name_that_another_process_took_meanwhile_is_told_and_what_was_typed_stays() -> None:
    async def visit() -> None:
        write_model("rain", "abc1")
        async with library() as seen:
            await seen.press("r")
            await seen.until_asked(Prompt)
            await seen.fill("snow")
            write_model("snow", "abc2")
            await seen.press("enter")
            await seen.until(lambda: "there is a model 'snow' already" in seen.asked)
            assert seen.app.screen.query_one(Input).value == "snow"
            await seen.press("escape")
            await seen.until(lambda: "snow" in seen.rows)
        assert names() == ["rain", "snow"]

    asyncio.run(visit())


def test_a_model_is_deleted_after_a_question_that_names_it_and_its_size() -> None:
    async def visit() -> None:
        path = write_model("rain", "abc1")
        write_model("snow", "abc2")
        async with library() as seen:
            await seen.press("d")
            asked = await seen.until_asked(Question)
            assert "Delete the model rain?" in asked
            assert f"file of {path.stat().st_size} bytes" in asked
            await seen.press("n")
            assert names() == ["rain", "snow"]
            await seen.press("d")
            await seen.until_asked(Question)
            await seen.press("y")
            await seen.until(lambda: "deleted rain" in seen.status and seen.here == "snow")
        assert names() == ["snow"]

    asyncio.run(visit())


def test_deleting_follows_the_model_that_was_shown_and_spares_what_took_its_name() -> None:
    async def visit() -> None:
        path = write_model("rain", "abc1")
        async with library() as seen:
            await seen.press("d")
            await seen.until_asked(Question)
            path.rename(path.with_name("drizzle.distill"))
            write_model("rain", "fff1")
            await seen.press("y")
            await seen.until(lambda: "deleted rain, which was called drizzle by then" in seen.status)
        assert [(entry.name, entry.id) for entry in list_models()] == [("rain", model_id("fff1"))]

    asyncio.run(visit())


def test_a_model_that_is_gone_is_said_to_be_and_nothing_is_deleted() -> None:
    async def visit() -> None:
        path = write_model("rain", "abc1")
        async with library() as seen:
            await seen.press("d")
            await seen.until_asked(Question)
            path.unlink()
            write_model("rain", "fff1")
            await seen.press("y")
            await seen.until(lambda: "rain that was shown is no longer there" in seen.status)
            await seen.until(lambda: seen.pane.entry is not None and seen.pane.entry.id == model_id("fff1"))
        assert names() == ["rain"]

    asyncio.run(visit())


def test_a_model_is_exported_and_a_file_that_is_there_replaced_only_when_agreed(tmp_path: Path) -> None:
    async def visit() -> None:
        path = write_model("rain", "abc1")
        there = tmp_path / "rain.distill"
        there.write_bytes(b"something else")
        async with library() as seen:
            for answer, content in (("n", b"something else"), ("y", path.read_bytes())):
                await seen.press("e")
                await seen.until_asked(Prompt)
                assert seen.app.screen.query_one(Input).value == str(Path.cwd())
                await seen.paste(str(tmp_path))
                await seen.press("enter")
                assert f"{there} is there already" in await seen.until_asked(Question)
                await seen.press(answer)
                await seen.until(lambda content=content: there.read_bytes() == content)  # type: ignore[misc]
            await seen.until(lambda: f"rain is copied to {there}" in seen.status)
            await seen.press("e")
            await seen.until_asked(Prompt)
            await seen.paste(str(tmp_path / "nowhere" / "x"))
            await seen.press("enter")
            await seen.until(lambda: "there is no folder" in seen.asked)
            assert seen.app.screen.query_one(Input).value == str(tmp_path / "nowhere" / "x")

    asyncio.run(visit())


def test_a_path_that_no_file_can_have_is_told_where_it_was_typed_and_ends_nothing(tmp_path: Path) -> None:
    long = str(tmp_path / ("x" * 300))

    async def visit() -> None:
        write_model("rain", "abc1")
        async with library() as seen:
            for key, text, told in (
                ("e", long, "too long"),
                ("e", f"{long}/y", "there is no folder"),
                ("i", long, "too long"),
                ("i", "~nosuch/x.distill", "there is no file"),
            ):
                await seen.press(key)
                await seen.until_asked(Prompt)
                await seen.paste(text)
                await seen.press("enter")
                await seen.until(lambda told=told: told in seen.asked)  # type: ignore[misc]
                assert seen.app.screen.query_one(Input).value == text
                await seen.press("escape")
                await seen.until(lambda: not isinstance(seen.app.screen, Prompt))

    asyncio.run(visit())


def test_what_is_typed_while_a_target_is_refused_goes_on_in_its_line(tmp_path: Path) -> None:
    async def visit() -> None:
        write_model("rain", "abc1")
        (tmp_path / "folder.distill").mkdir()
        (tmp_path / "folder.distill" / "rain.distill").mkdir()
        async with library() as seen:
            await seen.press("e")
            await seen.until_asked(Prompt)
            for text in ("/proc/rain", str(tmp_path / "folder.distill")):
                await seen.paste(text)
                dialog = seen.app.screen
                await seen.pilot.press("enter", "d", "x")
                await seen.until(lambda: bool(seen.app.screen.query(".dialog--complaint")))
                assert seen.app.screen is dialog
                assert seen.app.screen.query_one(Input).value == f"{text}dx"
            await seen.paste(str(tmp_path / "folder.distill"))
            await seen.press("enter")
            await seen.until(lambda: "is a folder" in seen.asked)
            await seen.paste("/proc")
            await seen.press("enter")
            await seen.until(lambda: "that can't be" in seen.asked)

    asyncio.run(visit())


def test_sounds_of_a_model_with_a_long_name_show_the_ends_in_which_they_differ() -> None:
    name = "a model that was given a name far longer than any list of sounds is wide, for it was fun to do"

    async def visit() -> None:
        write_model(name, "abc1")
        for seed in (3, 4):
            good(sounds_folder(name) / f"{name}-{seed}.wav")
        async with library() as seen:
            await seen.press("s")
            await seen.until(lambda: bool(seen.app.query(SoundsView)))
            rows = seen.app.query_one(SoundsView).listing.rows
            await seen.until(lambda: all(f"do-{seed}.wav" in rows.text for seed in (3, 4)))

    asyncio.run(visit())


def test_sounds_can_be_asked_for_in_a_folder_that_cannot_be_and_nothing_ends(tmp_path: Path) -> None:
    async def visit() -> None:
        write_model("rain", "abc1")
        async with library() as seen:
            await seen.press("m")
            await seen.until_asked(GenerateDialog)
            await seen.press("up")
            await seen.paste(str(tmp_path / ("x" * 300)))
            await seen.press("enter")
            await seen.until(lambda: "making sounds of rain" in seen.status)
            await seen.press("x")
            await seen.until(lambda: "was cancelled" in seen.status)

    asyncio.run(visit())


def test_a_file_is_imported_and_the_name_it_got_is_said(tmp_path: Path) -> None:
    async def visit() -> None:
        write_model("rain", "abc1")
        write_model("rain", "fff1", folder=tmp_path)
        (tmp_path / "bad.distill").write_bytes(b"no model")
        async with library() as seen:
            await seen.press("i")
            await seen.until_asked(Prompt)
            await seen.paste(str(tmp_path / "bad.distill"))
            await seen.press("enter")
            await seen.until(lambda: "is not a whole model" in seen.asked)
            await seen.paste(str(tmp_path / "rain.distill"))
            await seen.press("enter")
            await seen.until(lambda: "imported as rain-2" in seen.status and seen.here == "rain-2")
        assert find_model("rain-2").id == model_id("fff1")

    asyncio.run(visit())


@pytest.mark.parametrize("has_dataset", [False, True])
def test_training_on_makes_a_draft_of_the_model_and_goes_to_what_is_missing(has_dataset: bool, tmp_path: Path) -> None:
    async def visit() -> None:
        write_model("rain", "abc1")
        async with library() as seen:
            assert seen.app.form is not None
            if has_dataset:
                from distill_tui.drafts import forms

                seen.app.form = forms.with_dataset(seen.app.form, tmp_path, None)
            await seen.press("t")
            await seen.until(lambda: seen.app.pane == ("config" if has_dataset else "datasets"))
            await seen.until(lambda: "the next run goes on from rain" in seen.status)
            assert seen.app.form.model == find_model("rain")

    asyncio.run(visit())


def test_a_run_that_ends_while_one_looks_adds_its_model_to_the_list() -> None:
    async def visit() -> None:
        write_model("rain", "abc1")
        run = unpacked("healthy")
        async with library() as seen:
            write_model("healthy", "abc2")
            seen.app.attach(run)
            await seen.until(lambda: "healthy" in seen.rows)

    asyncio.run(visit())


def test_sounds_are_made_while_other_keys_work_and_then_shown() -> None:
    async def visit() -> None:
        write_sounding_model("rain")
        folder = sounds_folder("rain")
        good(folder / "rain-4.flac")
        async with library() as seen:
            await seen.press("m")
            await seen.until_asked(GenerateDialog)
            assert seen.app.screen.query_one("#folder", Input).value == str(folder)
            await seen.fill("0.5x")
            assert "seconds each must be a number" in seen.asked
            await seen.press("enter")
            assert isinstance(seen.app.screen, GenerateDialog)
            await seen.fill("0.5")
            await seen.press("down")
            await seen.fill("2")
            await seen.press("down", "down", "right")
            assert "rain-5.flac to rain-6.flac, 1.0 s of sound" in seen.asked
            await seen.press("enter")
            await seen.until(lambda: "making sounds of rain" in seen.status)
            await seen.press("3")
            await seen.until(lambda: seen.app.pane == "training")
            await seen.press("4")
            await seen.until(lambda: "made rain-5.flac to rain-6.flac" in seen.status)
            await seen.until(lambda: bool(seen.pane.query(SoundsView)))
            sounds = seen.pane.query_one(SoundsView)
            await seen.until(lambda: seen.app.focused is sounds.listing.rows and sounds.path == folder / "rain-6.flac")
            assert [soundfile.info(folder / f"rain-{seed}.flac").duration for seed in (5, 6)] == [0.5, 0.5]
            mel, waveform = sounds.query_one(MelPicture), sounds.query_one(Waveform)
            await seen.until(lambda: mel.seconds == waveform.seconds == 0.5)
            await seen.press("escape")
            await seen.until(lambda: seen.app.focused is seen.pane.listing.rows)
            await seen.press("m")
            await seen.until_asked(GenerateDialog)
            assert "rain-7.flac to rain-8.flac, 1.0 s of sound" in seen.asked

    asyncio.run(visit())


def test_sounds_that_are_made_while_one_is_elsewhere_are_shown_when_one_comes_back() -> None:
    async def visit() -> None:
        write_sounding_model("rain")
        async with library() as seen:
            await seen.press("m")
            await seen.until_asked(GenerateDialog)
            await seen.fill("0.5")
            await seen.press("enter")
            await seen.until(lambda: seen.pane._is_generating)
            await seen.press("3")
            await seen.until(lambda: "made rain-0.wav" in seen.status and not seen.pane._is_generating)
            assert not seen.pane.query(SoundsView)
            await seen.press("4")
            await seen.until(lambda: bool(seen.pane.query(SoundsView)))
            sounds = seen.pane.query_one(SoundsView)
            await seen.until(lambda: seen.app.focused is sounds.listing.rows)
            assert sounds.path == sounds_folder("rain") / "rain-0.wav"

    asyncio.run(visit())


def test_making_sounds_is_cancelled_by_a_key_and_a_refusal_is_told() -> None:
    async def visit() -> None:
        write_sounding_model("rain")
        write_model("weightless", "abc1")
        async with library() as seen:
            await seen.press("m")
            await seen.until_asked(GenerateDialog)
            await seen.press("down")
            await seen.fill("1000")
            await seen.press("enter")
            await seen.until(lambda: " of 1000" in seen.status)
            await seen.press("m")
            await seen.until(lambda: "sounds are being made already" in seen.status)
            await seen.press("x")
            await seen.until(lambda: "was cancelled" in seen.status)
            await seen.press("j", "m")
            await seen.until_asked(GenerateDialog)
            await seen.press("enter")
            await seen.until(lambda: seen.status.startswith("!!"))
            assert "weightless.distill" in seen.status
        assert len([*sounds_folder("rain").iterdir()]) < 1000

    asyncio.run(visit())


def test_a_sound_that_is_there_is_replaced_only_when_agreed(home: Path) -> None:
    been_everywhere(home)

    async def visit() -> None:
        write_model("rain", "abc1")
        there = good(sounds_folder("rain") / "rain-0.wav")
        before = there.read_bytes()
        async with library() as seen:
            await seen.press("m")
            await seen.until_asked(GenerateDialog)
            assert "rain-1.wav" in seen.asked
            await seen.press("down", "down")
            await seen.fill("0")
            await seen.press("enter")
            assert f"{there} is there already" in await seen.until_asked(Question)
            await seen.press("n")
            await seen.until(lambda: not seen.app.screen.is_modal)
            await seen.until(lambda: all(worker.is_finished for worker in seen.workers("library-generate")))
            assert not seen.workers("generate")
            assert there.read_bytes() == before
            assert not seen.status

    asyncio.run(visit())


@pytest.mark.parametrize("size", [WIDE, SMALL_SIZE])
def test_the_sounds_of_a_model_are_pictured_and_a_key_copies_the_line_that_plays_them(size: tuple[int, int]) -> None:
    async def visit() -> None:
        write_model("rain", "abc1")
        write_model("snow", "abc2")
        torn = sounds_folder("rain") / "torn.wav"
        good(sounds_folder("rain") / "rain-0.wav", frames=48_000)
        torn.write_bytes(b"RIFF")
        os.utime(torn, (1, 1))
        async with library(size) as seen:
            await seen.press("s")
            await seen.until(lambda: isinstance(seen.app.focused, Rows) and seen.app.focused.text.startswith("file"))
            sounds = seen.pane.query_one(SoundsView)
            mel, waveform = sounds.query_one(MelPicture), sounds.query_one(Waveform)
            await seen.until(lambda: mel.seconds == waveform.seconds == 1.0)
            assert "dB" in waveform.text
            assert "kHz" in mel.text
            said = sounds.query_one("#sounds-said", Lines)
            assert max(map(len, said.text.splitlines())) > 20
            for key, command in (("y", "ffplay"), ("Y", str(sounds_folder("rain")))):
                await seen.press(key)
                await seen.until(lambda command=command: command in sounds.text.replace("\n", ""))  # type: ignore[misc]
                assert "copied by OSC 52" in sounds.text
                assert str(sounds_folder("rain") / "rain-0.wav") in sounds.text.replace("\n", "")
            await seen.press("G")
            await seen.until(lambda: "can't be shown" in sounds.text)
            assert str(torn) in sounds.text.replace("\n", "")
            await seen.press("escape", "j", "s")
            await seen.until(lambda: "no sounds were made of snow yet" in seen.status)

    asyncio.run(visit())


def test_marked_sounds_are_copied_into_a_known_folder_and_stay_where_they_are(tmp_path: Path) -> None:
    corpus = tmp_path / "strings"
    good(corpus / "a.wav")

    async def visit() -> None:
        write_model("rain", "abc1")
        folder = sounds_folder("rain")
        good(folder / "rain-0.wav")
        for seed in (1, 2, 3):
            path = folder / f"rain-{seed}.wav"
            with soundfile.SoundFile(path, "w", 48_000, 1) as file:
                write_tags(file, SoundTags(model="rain", model_id=model_id("abc1"), seed=seed, seconds=0.1))
                file.write([0.1] * 4800)
            os.utime(path, (seed, seed))
        os.utime(folder / "rain-0.wav", (9, 9))
        async with library() as seen:
            seen.app.remember(corpora=(Corpus(path=str(corpus), used=1.0),))
            await seen.press("s")
            await seen.until(lambda: bool(seen.app.query(SoundsView)))
            sounds = seen.app.query_one(SoundsView)
            await seen.until(lambda: seen.app.focused is sounds.listing.rows)
            await seen.press("j", "space", "j", "space", "a")
            await seen.until(lambda: isinstance(seen.app.screen, Choice))
            assert "Copy 2 sounds to which folder of recordings?" in seen.asked
            await seen.press("enter")
            await seen.until(lambda: f"2 sounds copied to {corpus}" in seen.status)
            assert {path.name for path in corpus.iterdir()} == {"a.wav", "rain-1.wav", "rain-3.wav"}
            assert read_tags(corpus / "rain-1.wav") is not None
            assert [recording.generated for recording in scan(corpus).recordings] == ["", "rain", "rain"]
            assert len([*folder.iterdir()]) == 4
            await seen.press("g", "space", "j", "space", "a")
            await seen.until(lambda: isinstance(seen.app.screen, Choice))
            await seen.press("enter")
            await seen.until(lambda: "1 copied, 1 not: rain-0.wav doesn't say that a model made it" in seen.status)
            assert {path.name for path in corpus.iterdir()} == {"a.wav", *(f"rain-{seed}.wav" for seed in (1, 2, 3))}

    asyncio.run(visit())
