"""The Explore view as a person uses it: keys alone, what they see after each, and what comes of it on disk."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import soundfile
from textual.pilot import Pilot
from textual.widgets import Static

from distill_engine import api
from distill_engine.audio.tags import SoundTags, read_tags, write_tags
from distill_engine.library import LibraryEntry, find_model
from distill_engine.slider_presets import SliderPreset, load_presets, save_preset
from distill_tui.app import DistillApp
from distill_tui.explore.sliders import Settings
from distill_tui.explore.vote import Candidate, Pair
from distill_tui.library.shelf import sounds_folder
from distill_tui.screens.choice import Choice
from distill_tui.screens.dialogs import Help, Prompt, Question
from distill_tui.screens.explore import ExploreView
from distill_tui.screens.explore_dialogs import BlindVote, PresetChoice, Revealed
from distill_tui.screens.generate_dialog import GenerateDialog
from distill_tui.screens.library import LibraryPane
from distill_tui.screens.sounds_view import SoundsView
from distill_tui.widgets.key_line import KeyLine
from distill_tui.widgets.line import Lines
from distill_tui.widgets.listing import Rows
from distill_tui.widgets.picture import MelPicture
from distill_tui.widgets.status_line import StatusLine
from tests.engine.recordings import good
from tests.tui.models_made import model_id, write_model, write_sounding_model
from tests.tui.test_snapshots import compare, screen_text
from tests.tui.visits import been_everywhere

SIZES = [(120, 36), (80, 24), (60, 18)]
PATIENCE = 60.0


class Visit:
    """A dashboard on its Explore view, and what is to be seen of it."""

    def __init__(self, app: DistillApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def pane(self) -> LibraryPane:
        return self.app.query_one(LibraryPane)

    @property
    def view(self) -> ExploreView:
        return self.app.query_one(ExploreView)

    @property
    def settings(self) -> Settings:
        return self.view.draft.settings

    @property
    def status(self) -> str:
        return self.app.query_one(StatusLine).text

    @property
    def asked(self) -> str:
        said = [str(words.content) for words in self.app.screen.query(Static)]
        said += [lines.text for lines in self.app.screen.query(Lines)]
        return "\n".join([*said, *(rows.text for rows in self.app.screen.query(Rows))])

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def fill(self, text: str) -> None:
        await self.press("end", "ctrl+u", *text)

    async def until(self, condition: Callable[[], bool]) -> None:
        begun = time.monotonic()
        while not condition():
            assert time.monotonic() - begun < PATIENCE, f"{screen_text(self.app)}"
            await self.pilot.pause(0.02)

    async def until_asked(self, kind: type[Choice | Prompt | Question | BlindVote | Revealed | GenerateDialog]) -> None:
        await self.until(lambda: isinstance(self.app.screen, kind) and self.app.screen.is_current)
        await self.pilot.pause()


@asynccontextmanager
async def exploring(size: tuple[int, int] = (120, 36), *, ascii_only: bool = False) -> AsyncIterator[Visit]:
    app = DistillApp(ascii_only=ascii_only)
    async with app.run_test(size=size) as pilot:
        await pilot.press("4")
        visit = Visit(app, pilot)
        await visit.until(lambda: app.form is not None and bool(visit.pane.listing.rows.keys))
        await visit.press("p")
        await visit.until(lambda: bool(app.query(ExploreView)) and visit.view.rows.has_focus)
        await visit.until(lambda: visit.view.rows.count > 0)
        yield visit


@pytest.fixture
def no_helper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no process be started: there are no pictures then, and all else works."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))


@pytest.mark.usefixtures("no_helper")
@pytest.mark.parametrize("size", SIZES)
def test_the_sliders_are_all_there_with_what_they_stand_at(size: tuple[int, int], home: Path) -> None:
    been_everywhere(home)

    async def visit() -> None:
        write_model("rain", "abc1", is_analysed=True)
        async with exploring(size) as seen:
            await seen.until(lambda: "no picture: the helper process can't be started" in seen.status)
            await seen.press("ctrl+c", "right", "right", "right", "L", "space", "down", "left", "G", "g")
            assert seen.settings == Settings(sliders={"brightness": 1.6, "axis 2": -0.5})
            compare("explore", size, screen_text(seen.app))

    asyncio.run(visit())


@pytest.mark.usefixtures("no_helper")
def test_in_ascii_nothing_else_is_shown(home: Path) -> None:
    been_everywhere(home)

    async def visit() -> None:
        write_model("rain", "abc1", is_analysed=True)
        async with exploring((80, 24), ascii_only=True) as seen:
            await seen.press("right", "space")
            assert screen_text(seen.app).isascii()
            assert "=|=O=" in seen.view.text

    asyncio.run(visit())


@pytest.mark.usefixtures("no_helper")
def test_keys_move_lock_randomise_reset_and_undo_and_the_help_names_them() -> None:
    async def visit() -> None:
        write_model("rain", "abc1", is_analysed=True)
        async with exploring() as seen:
            await seen.press("left", "H", "space", "r")
            assert seen.settings.sliders["brightness"] == pytest.approx(-0.6)
            assert "locked" in seen.view.text
            await seen.press("u", "0")
            assert seen.settings == Settings()
            await seen.press("down", "l", "n", "X")
            assert seen.settings.sliders == {}
            assert seen.settings.seed > 0
            await seen.press("U", "u", "u")
            assert seen.settings == Settings(sliders={"axis 2": 0.5})
            await seen.press("G", "space")
            assert "chance leaves the seed alone" in seen.status
            await seen.press("enter")
            await seen.until_asked(Prompt)
            await seen.fill("1.5")
            assert "must be a whole number" in seen.asked
            await seen.fill("77")
            await seen.press("enter")
            await seen.until(lambda: seen.settings.seed == 77)
            await seen.press("y")
            assert "nothing was made here yet" in seen.status
            await seen.press("question_mark")
            assert isinstance(seen.app.screen, Help)
            for words in ("A model's sliders", "Draw every axis that isn't locked", "Go to the next slider"):
                assert words in seen.asked
            assert "Give the model another name" not in seen.asked, "keys of the list beside it, which do nothing here"

    asyncio.run(visit())


@pytest.mark.usefixtures("no_helper")
def test_what_sliders_stand_at_stays_when_one_leaves_the_view_and_the_dashboard() -> None:
    async def visit() -> None:
        write_model("rain", "abc1", is_analysed=True)
        async with exploring() as seen:
            await seen.press("right", "space", "escape")
            await seen.until(lambda: seen.pane.listing.rows.has_focus)
            await seen.press("p")
            await seen.until(lambda: seen.view.rows.has_focus)
            assert seen.settings.sliders == {"brightness": 0.5}
            await seen.press("u")
            assert seen.settings == Settings()
            await seen.press("right", "right")
        async with exploring() as seen:
            assert seen.settings.sliders == {"brightness": 1.0}
            assert seen.view.draft.locked == {"axis brightness"}

    asyncio.run(visit())


@pytest.mark.usefixtures("no_helper")
def test_a_model_without_axes_says_what_finds_them() -> None:
    async def visit() -> None:
        write_model("soft rain", "abc1")
        async with exploring((60, 18)) as seen:
            lines = [line.strip() for line in screen_text(seen.app).splitlines()]
            assert "distill-engine analyze 'soft rain'" in lines
            assert "(with --recordings FOLDER where its run is gone)" in lines
            assert "0 stays where it begins, 1 wanders" in " ".join(lines)
            await seen.press("left")
            assert seen.settings.evolution == pytest.approx(api.USUAL_EVOLUTION - 0.1)
            await seen.press("r")
            assert "no axes that chance could move" in seen.status

    asyncio.run(visit())


@pytest.mark.usefixtures("no_helper")
def test_the_model_is_followed_when_it_is_analysed_and_left_when_it_is_gone() -> None:
    async def visit() -> None:
        path = write_model("rain", "abc1")
        async with exploring() as seen:
            path.unlink()
            write_model("rain", "abc1", is_analysed=True)
            await seen.press("1", "4")
            await seen.until(lambda: "brightness" in seen.view.rows.text)
            path.unlink()
            await seen.press("1", "4")
            await seen.until(lambda: not seen.view.display and "rain is no longer there" in seen.status)

    asyncio.run(visit())


@pytest.mark.usefixtures("no_helper")
def test_keys_are_for_the_model_that_is_explored_and_none_for_one_that_is_not_seen() -> None:
    async def visit() -> None:
        path = write_model("rain", "abc1", is_analysed=True)
        write_model("snow", "fff1")
        good(sounds_folder("zebra") / "zebra-0.wav")
        async with exploring() as seen:
            path.rename(path.with_name("zebra.distill"))
            write_model("rain", "fff1")
            await seen.press("1", "4")
            await seen.until(lambda: "Explore zebra" in seen.view.text)
            for key in "dtiavp":
                await seen.press("ctrl+c")  # which says something
                said = seen.status
                await seen.press(key)
                assert (seen.app.screen.is_modal, seen.app.pane, seen.status) == (False, "library", said)
                assert seen.view.rows.has_focus
            await seen.press("s")
            await seen.until(lambda: bool(seen.app.query(SoundsView)))
            sounds = seen.app.query_one(SoundsView)
            await seen.until(lambda: seen.app.focused is sounds.listing.rows)
            assert "sounds of zebra" in sounds.text
            await seen.press("escape")
            await seen.until(lambda: seen.view.display and seen.view.rows.has_focus)
            await seen.press("escape")
            await seen.until(lambda: seen.pane.listing.rows.has_focus)
            assert seen.pane.entry == find_model("zebra")

    asyncio.run(visit())


@pytest.mark.usefixtures("no_helper")
def test_the_key_line_says_what_the_view_is_for() -> None:
    async def visit() -> None:
        write_model("rain", "abc1", is_analysed=True)
        async with exploring() as seen:
            shown = " ".join(seen.app.query_one(KeyLine).text.split())
            most = "→ more m make r random c compare o presets w save b made u undo esc back"
            assert shown.startswith(f"{most} …")
            assert "train on" not in shown

    asyncio.run(visit())


@pytest.fixture
def silent_helper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the helper process be one that listens and never answers: all that is asked of it stays under way."""
    helper = tmp_path / "silent-python"
    helper.write_text("#!/bin/sh\ncat > /dev/null\n")  # no exec: its own output must stay open
    helper.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(helper))


async def have_two_sounds_made(seen: Visit) -> None:
    """Compare what the sliders stand at with what chance makes of them."""
    await seen.press("c")
    await seen.until_asked(Choice)
    await seen.press("enter")
    await seen.until(lambda: "making two sounds" in seen.status)
    assert "x cancels" in seen.status


@pytest.mark.usefixtures("silent_helper")
def test_two_sounds_are_made_while_other_keys_work_until_one_stops_it() -> None:
    async def visit() -> None:
        write_model("rain", "abc1", is_analysed=True)
        async with exploring() as seen:
            for key in ("x", "escape"):
                await have_two_sounds_made(seen)
                for other, asked in (("e", Prompt), ("o", PresetChoice), ("w", Prompt), ("b", Choice)):
                    await seen.press(other)
                    await seen.until_asked(asked)
                    await seen.press("escape")
                await seen.press("c")
                await seen.until(lambda: "being made already" in seen.status)
                assert seen.view._is_comparing
                await seen.press(key)
                assert "making two sounds to compare was cancelled" in seen.status
                await seen.until(lambda: not seen.view._is_comparing)
                assert seen.view.rows.has_focus

    asyncio.run(visit())


@pytest.mark.usefixtures("silent_helper")
@pytest.mark.parametrize("leaves", [("s",), ("3", "4", "escape")])
def test_a_vote_ends_when_one_leaves_its_model(leaves: tuple[str, ...]) -> None:
    async def visit() -> None:
        write_model("rain", "abc1", is_analysed=True)
        write_model("snow", "fff1", is_analysed=True)
        good(sounds_folder("rain") / "rain-0.wav")
        async with exploring() as seen:
            await have_two_sounds_made(seen)
            await seen.press(*leaves)
            await seen.until(lambda: not seen.view._is_comparing and not seen.view.display)
            assert "making two sounds to compare was cancelled" in seen.status
            assert not seen.app.screen.is_modal

    asyncio.run(visit())


@pytest.mark.usefixtures("no_helper")
def test_settings_are_taken_back_from_a_sound_that_was_made_under_another_name_of_the_model() -> None:
    async def visit() -> None:
        write_model("rain", "abc1", is_analysed=True)
        path = good(sounds_folder("drizzle") / "recording.wav").with_name("drizzle-7.wav")
        with soundfile.SoundFile(path, "w", 48_000, 1) as file:
            write_tags(file, SoundTags(model="drizzle", model_id=model_id("abc1"), seed=7, seconds=0.1))
            file.write([0.1] * 4800)
        async with exploring() as seen:
            await seen.press("b")
            await seen.until_asked(Choice)
            await seen.press("enter")
            await seen.until(lambda: seen.settings.seed == 7)
            assert "as they were for drizzle-7.wav" in seen.status

    asyncio.run(visit())


@pytest.mark.usefixtures("silent_helper")
def test_a_picture_that_waits_for_sounds_says_so() -> None:
    async def visit() -> None:
        write_model("rain", "abc1", is_analysed=True)
        app = DistillApp()
        async with app.run_test(size=SIZES[0]) as pilot:
            seen = Visit(app, pilot)
            await seen.press("4")
            await seen.until(lambda: app.form is not None and bool(seen.pane.listing.rows.keys))
            await seen.press("m")
            await seen.until_asked(GenerateDialog)
            await seen.press("enter")
            await seen.until(lambda: "making sounds of rain" in seen.status)
            assert "x cancels" in seen.status
            await seen.press("p")
            await seen.until(lambda: bool(app.query(ExploreView)))
            await seen.until(lambda: "the picture waits for the sound being made" in seen.view.text)

    asyncio.run(visit())


@pytest.mark.usefixtures("silent_helper")
def test_explore_says_the_first_time_what_one_does_there() -> None:
    async def visit() -> None:
        write_model("rain", "abc1", is_analysed=True)
        async with exploring((60, 18)) as seen:
            await seen.until(lambda: "compare two blindly" in " ".join(seen.status.split()))
            assert "trains on" not in seen.status

    asyncio.run(visit())


def test_what_a_vote_was_about_leaves_room_for_the_keys_on_the_smallest_screen() -> None:
    names = [f"a long name {number}" for number in range(16)]
    pair = Pair(
        a=Candidate(title="what the sliders stand at", settings=Settings()),
        b=Candidate(title="a random setting", settings=Settings(sliders=dict.fromkeys(names, 1.0)), is_secret=True),
    )

    async def visit() -> None:
        app = DistillApp()
        async with app.run_test(size=SIZES[-1]) as pilot:
            seen = Visit(app, pilot)
            await seen.until(lambda: app.form is not None)
            app.push_screen(Revealed(pair, "B"))
            await seen.until_asked(Revealed)
            await seen.until(lambda: "esc leaves all as it is" in screen_text(app))
            assert "A was what the sliders stand at" in screen_text(app)
            assert "name 15 +1.0" not in screen_text(app)
            await seen.press(*["j"] * 30)
            await seen.until(lambda: "name 15 +1.0" in screen_text(app))
            assert "esc leaves all as it is" in screen_text(app)

    asyncio.run(visit())


@pytest.mark.usefixtures("no_helper")
def test_presets_are_saved_under_a_name_replaced_when_agreed_loaded_and_deleted() -> None:
    async def visit() -> None:
        write_model("rain", "abc1", is_analysed=True)
        async with exploring() as seen:
            await seen.press("right", "w")
            await seen.until_asked(Prompt)
            await seen.fill("-warm")
            assert "must not start with a dot or a dash" in seen.asked
            await seen.fill("warm")
            await seen.press("enter")
            await seen.until(lambda: "kept as preset warm" in seen.status)
            assert load_presets(model_id("abc1"))["warm"].sliders == {"brightness": 0.5}
            assert "preset warm" in seen.view.text
            await seen.press("right")
            assert "preset warm" not in seen.view.text
            for answer, kept in (("n", 0.5), ("y", 1.0)):
                await seen.press("w")
                await seen.until_asked(Prompt)
                await seen.press("enter")
                await seen.until_asked(Question)
                await seen.press(answer)
                await seen.until(lambda: not seen.app.screen.is_modal)
                await seen.until(
                    lambda kept=kept: load_presets(model_id("abc1"))["warm"].sliders["brightness"] == kept  # type: ignore[misc]
                )
            save_preset(model_id("abc1"), SliderPreset(name="old", sliders={"gone": 1.0}, seed=9, evolution=0.3))
            await seen.press("o")
            await seen.until_asked(PresetChoice)
            assert "brightness +1.0, seed 0, evolution 0.50" in seen.asked
            await seen.press("enter")
            await seen.until(lambda: "as in preset old; the model has no slider gone now" in seen.status)
            assert seen.settings == Settings(seed=9, evolution=0.3)
            await seen.press("o")
            await seen.until_asked(PresetChoice)
            await seen.press("x")
            await seen.until_asked(Question)
            await seen.press("y")
            await seen.until(lambda: [*load_presets(model_id("abc1"))] == ["warm"])
            await seen.until_asked(PresetChoice)
            await seen.until(lambda: "old" not in seen.asked)
            await seen.press("enter")
            await seen.until(lambda: seen.settings == Settings(sliders={"brightness": 1.0}))

    asyncio.run(visit())


async def make_two_sounds(seen: Visit, entry: LibraryEntry) -> Settings:
    """Make a sound, and one of other settings beside it; neither key nor view is taken from the person."""
    made = seen.settings
    await seen.press("m")
    await seen.until(lambda: "rain-0.wav" in seen.view.text)
    path = sounds_folder("rain") / "rain-0.wav"
    tags = read_tags(path)
    assert tags is not None
    assert (tags.model_id, tags.seed, dict(tags.sliders), tags.seconds) == (entry.id, 0, made.sliders, 0.5)
    assert seen.view.rows.has_focus
    await seen.press("y")
    await seen.until(lambda: f"ffplay -autoexit -nodisp {path}" in seen.view.text.replace("\n", ""))
    await seen.press("escape", "X", "m")
    await seen.until(lambda: "rain-0-2.wav" in seen.view.text)
    return made


async def take_back(seen: Visit, made: Settings) -> None:
    """Take settings back from the file that tells them."""
    await seen.press("b")
    await seen.until_asked(Choice)
    await seen.press("G", "enter")
    await seen.until(lambda: seen.settings == made)


async def compare_blindly(seen: Visit, entry: LibraryEntry, made: Settings) -> None:
    """Hear two sounds of which nothing tells which is which, vote, and keep the better."""
    await seen.press("c")
    await seen.until_asked(Choice)
    assert "warm" in seen.asked
    await seen.press("G", "enter")
    await seen.until_asked(BlindVote)
    dialog = seen.app.screen
    assert isinstance(dialog, BlindVote)
    files = [*dialog._paths.values()]
    assert [one.name for one in files] == ["A.wav", "B.wav"]
    assert [read_tags(one) for one in files] == [None, None]
    assert "warm" not in seen.asked
    for file in files:
        assert str(file) in seen.asked.replace("\n", "").replace("  ", "")
    await seen.press("right", "y")
    await seen.until(lambda: seen.app.clipboard.endswith("B.wav"))
    await seen.press("b")
    await seen.until_asked(Revealed)
    assert "B was " in seen.asked
    assert "which you chose" in seen.asked
    chose_preset = "B was preset warm" in seen.asked
    await seen.press("w")
    await seen.until_asked(Prompt)
    await seen.fill("better")
    await seen.press("enter")
    await seen.until(lambda: "kept as preset better" in seen.status)
    kept = load_presets(entry.id)["better"]
    assert (kept.seed, dict(kept.sliders)) == ((3, {"brightness": 1.5}) if chose_preset else (0, made.sliders))
    assert not files[0].exists()


def test_the_picture_follows_the_sound_is_made_found_again_and_compared_blindly() -> None:
    async def visit() -> None:
        write_sounding_model("rain", is_analysed=True)
        entry = find_model("rain")
        save_preset(entry.id, SliderPreset(name="warm", sliders={"brightness": 1.5}, seed=3, evolution=0.5))
        async with exploring() as seen:
            mel = seen.view.query_one(MelPicture)
            await seen.until(lambda: mel.seconds == 4.0)
            before = mel._decibels
            await seen.press(*["right"] * 3, "down", *["left"] * 4)
            await seen.until(lambda: seen.view._drawn == seen.view._wanted and not seen.view._is_drawing)
            assert abs(mel._decibels - before).max() > 0.1
            await seen.press("G", "k", "e")
            await seen.until_asked(Prompt)
            await seen.fill("0.5")
            await seen.press("enter")
            await seen.until(lambda: mel.seconds == 0.5)
            made = await make_two_sounds(seen, entry)
            await take_back(seen, made)
            await compare_blindly(seen, entry, made)

    asyncio.run(visit())
