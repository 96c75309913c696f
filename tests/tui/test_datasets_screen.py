"""The Datasets screen as a person uses it: keys alone, at both sizes, and what they see after each."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widget import Widget

from distill_engine.audio.io import write_recording
from distill_engine.home import runs_folder, state_folder
from distill_tui.app import DistillApp
from distill_tui.datasets import corpora
from distill_tui.remembered import Corpus, Notebook
from distill_tui.screens.dataset_view import DatasetView
from distill_tui.screens.datasets import DatasetsPane
from distill_tui.screens.folder_dialogs import FolderTree, PathPrompt
from distill_tui.widgets.key_line import KeyLine
from distill_tui.widgets.line import Lines
from distill_tui.widgets.listing import Rows
from distill_tui.widgets.status_line import StatusLine
from tests.engine.recordings import cut, good, sound
from tests.recorded_runs import unpacked

WIDE, SMALL_SIZE = (120, 36), (80, 24)
PATIENCE = 30.0


class Visit:
    """A dashboard on its Datasets screen, and what is to be seen of it."""

    def __init__(self, app: DistillApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot
        self.pane = app.query_one(DatasetsPane)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, condition: Callable[[], object]) -> None:
        begun = time.monotonic()
        while not condition():
            assert time.monotonic() - begun < PATIENCE, self.text
            await self.pilot.pause(0.02)

    async def sees(self, words: str) -> None:
        await self.until(lambda: words in self.text)

    async def open(self) -> None:
        """Open the only known folder, and wait for its files."""
        await self.until(lambda: self.known)
        await self.press("enter")
        await self.sees("A run would use")

    @property
    def text(self) -> str:
        """Return the words of the screen on top, wherever its lines are broken."""
        shown = [one for one in self.app.screen.query("*").results() if _is_seen(one)]
        return " ".join(" ".join(one.text for one in shown if isinstance(one, Lines | Rows)).split())

    @property
    def status(self) -> str:
        return self.app.query_one(StatusLine).text

    @property
    def known(self) -> list[str]:
        return [Path(key).name for key in self.pane.corpora.listing.rows.keys]

    @property
    def dataset(self) -> DatasetView:
        assert self.pane.dataset is not None
        return self.pane.dataset

    @property
    def files(self) -> list[str]:
        return self.dataset.listing.rows.keys


def _is_seen(widget: Widget) -> bool:
    return bool(widget.size) and all(one.display for one in widget.ancestors_with_self if isinstance(one, Widget))


@asynccontextmanager
async def visiting(
    size: tuple[int, int] = WIDE, *, known: Path | None = None, ascii_only: bool = False
) -> AsyncIterator[Visit]:
    if known is not None:
        remember(Corpus(path=str(known), used=1.0))
    app = DistillApp(ascii_only=ascii_only)
    async with app.run_test(size=size) as pilot:
        while app.form is None:
            await pilot.pause(0.02)
        yield Visit(app, pilot)


@pytest.fixture
def bells(tmp_path: Path) -> Path:
    """Return a folder of three good recordings, one cut off, one at an odd rate and one with an escape in its name."""
    folder = tmp_path / "bells"
    for number in range(3):
        fading = (
            sound(48_000 * (number + 1), seed=number) * np.linspace(1, 0.2 * number, 48_000 * (number + 1))[:, None]
        )
        write_recording(folder / f"bell {number}.wav", fading.astype(np.float32), 48_000)
    cut(good(folder / "cut.wav", seed=7))
    good(folder / "odd.wav", seed=8, rate=22_050)
    good(folder / "red\x1b[31m.wav", seed=9)
    (folder / "deeper").mkdir()
    return folder


def remember(*found: Corpus) -> None:
    notebook = Notebook(state_folder())
    notebook.note(corpora=found)
    notebook.write()


@pytest.mark.parametrize("size", [WIDE, SMALL_SIZE])
def test_who_knows_no_folder_yet_is_told_which_keys_find_one(size: tuple[int, int]) -> None:
    async def visit() -> None:
        async with visiting(size) as seen:
            await seen.sees("No folder of recordings is known yet")
            assert "a types the path" in seen.text
            assert "t finds one in the tree" in seen.text
            assert seen.known == []
            for key in ("enter", "d", "l"):
                await seen.press("ctrl+c")  # which says something else
                await seen.press(key)
                await seen.until(lambda: "no folder is known yet; a types the path of one" in seen.status)

    asyncio.run(visit())


@pytest.mark.parametrize("size", [WIDE, SMALL_SIZE])
def test_a_folder_typed_with_tab_is_scanned_listed_and_taken_for_the_next_run(
    bells: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bells.parent)

    async def visit() -> None:
        async with visiting(size) as seen:
            await seen.press("a", "b", "tab")
            await seen.sees("6 recordings in it, 1 folder below")
            await seen.press("enter")
            await seen.sees("6 recordings, 5 used, 1 skipped, 1 to look at, 6.8 s of sound")
            assert seen.files == ["bell 0.wav", "bell 1.wav", "bell 2.wav", "cut.wav", "odd.wav", "red\x1b[31m.wav"]
            assert "5 of 6 recordings, 6.8 s of sound" in seen.text
            assert "\x1b" not in seen.text
            assert "u use it" in seen.app.query_one(KeyLine).text
            await seen.press("enter")
            assert seen.app.pane == "config"
            assert seen.app.form is not None
            assert seen.app.form.dataset == bells
            assert seen.app.form.problem is None
            assert "the next run trains on bells" in seen.status
            await seen.press("1", "escape")
            await seen.sees("next run")
            assert seen.known == ["bells"]

    asyncio.run(visit())
    assert [corpus.recordings for corpus in Notebook(state_folder()).memory.corpora] == [6]


def test_tab_goes_through_the_candidates_and_a_slash_goes_into_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("bell", "bells", "bells/low"):
        (tmp_path / name).mkdir()

    async def visit() -> None:
        async with visiting() as seen:
            await seen.press("a", "b")
            prompt = seen.app.screen
            assert isinstance(prompt, PathPrompt)
            await seen.press("tab")
            await seen.until(lambda: prompt.line.value == "bell")
            await seen.press("tab")
            await seen.until(lambda: prompt.line.value == "bell/")
            assert "[bell] bells" in seen.text
            await seen.press("tab")
            assert prompt.line.value == "bells/"
            await seen.press("shift+tab", "tab", "/")
            await seen.sees("no recording in it, 1 folder below")
            await seen.press("tab")
            await seen.until(lambda: prompt.line.value == "bells/low/")

    asyncio.run(visit())


def test_a_path_that_is_no_folder_is_refused_where_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def visit() -> None:
        async with visiting() as seen:
            await seen.press("a", "enter")
            await seen.sees("type the path of a folder")
            await seen.press(*"nowhere", "enter")
            await seen.sees(f"there is no folder {tmp_path}/nowhere")
            await seen.press("escape")
            assert not isinstance(seen.app.screen, PathPrompt)

    asyncio.run(visit())


@pytest.mark.parametrize("size", [WIDE, SMALL_SIZE])
def test_the_tree_begins_beside_the_last_folder_and_takes_one(bells: Path, size: tuple[int, int]) -> None:
    other = bells.parent / "drones"
    good(other / "a.wav")
    (bells.parent / ".secret").mkdir()
    remember(Corpus(path=str(bells), used=1.0))

    async def visit() -> None:
        async with visiting(size) as seen:
            await seen.until(lambda: seen.known == ["bells"])
            await seen.press("t")
            tree = seen.app.screen
            assert isinstance(tree, FolderTree)
            rows = tree.listing.rows
            await seen.until(lambda: rows.keys == [".", "bells", "drones"])
            await seen.press("full_stop")
            assert rows.keys == [".", "bells", "drones", ".secret"]
            await seen.press("j")
            await seen.sees("bells: 6 recordings in it, 1 folder below")
            await seen.press("l")
            await seen.until(lambda: rows.keys == [".", "deeper"])
            await seen.press("h")
            await seen.until(lambda: rows.keys == [".", "bells", "drones", ".secret"])
            assert rows.key == "bells"
            await seen.press("j", "enter")
            await seen.sees("this folder: 1 recording in it")
            await seen.until(lambda: rows.keys == ["."])
            await seen.press("enter")
            await seen.sees("1 recording, 1 used")
            assert seen.files == ["a.wav"]

    asyncio.run(visit())


def test_a_folder_that_is_gone_says_so_and_is_taken_off_the_list_by_a_key(tmp_path: Path) -> None:
    good(tmp_path / "here" / "a.wav")
    here, gone = tmp_path / "here", tmp_path / "gone"
    remember(Corpus(path=str(gone), used=2.0, recordings=3, usable=3, seconds=4.0), Corpus(path=str(here), used=1.0))

    async def visit() -> None:
        async with visiting() as seen:
            await seen.sees("There is no such folder any more.")
            assert seen.known == ["gone", "here"]
            await seen.press("enter")
            await seen.until(lambda: f"there is no folder {gone}" in seen.status)
            assert seen.known == ["gone", "here"]
            await seen.press("d", "n")
            assert seen.known == ["gone", "here"]
            await seen.press("d", "y")
            await seen.until(lambda: seen.known == ["here"])
            await seen.press("d", "y")
            await seen.until(lambda: seen.known == [])

    asyncio.run(visit())
    assert (here / "a.wav").is_file()
    assert corpora.known(Notebook(state_folder()).memory.corpora, ()) == ()


def test_what_runs_were_trained_on_is_known_too() -> None:
    dataset = Path(unpacked("healthy").info().dataset)

    async def visit() -> None:
        async with visiting() as seen:
            await seen.press("1")
            await seen.until(lambda: seen.known == [dataset.name])
            await seen.sees("1 run: healthy")

    asyncio.run(visit())
    assert (runs_folder() / "healthy").is_dir()


def test_only_files_with_a_problem_are_shown_and_each_says_what_it_is(bells: Path) -> None:
    async def visit() -> None:
        async with visiting(known=bells) as seen:
            await seen.open()
            await seen.press("p")
            assert seen.files == ["cut.wav", "odd.wav"]
            assert "problems only" in seen.text
            await seen.press("g")
            await seen.sees("Skipped: truncated")
            await seen.press("j")
            await seen.sees("Look at: odd rate: 22,050 Hz, where most have 48,000 Hz")
            await seen.press("p")
            assert len(seen.files) == 6

    asyncio.run(visit())


def test_files_are_filtered_and_sorted(bells: Path) -> None:
    async def visit() -> None:
        async with visiting(known=bells) as seen:
            await seen.open()
            await seen.press("slash", *"bell", "enter")
            assert seen.files == ["bell 0.wav", "bell 1.wav", "bell 2.wav"]
            await seen.press("o", "o", "O")
            assert seen.files == ["bell 2.wav", "bell 1.wav", "bell 0.wav"]

    asyncio.run(visit())


@pytest.mark.parametrize("size", [WIDE, SMALL_SIZE])
def test_the_chosen_file_is_drawn_and_a_key_gives_its_pictures_the_room(bells: Path, size: tuple[int, int]) -> None:
    async def visit() -> None:
        async with visiting(size, known=bells, ascii_only=True) as seen:
            await seen.open()
            await seen.sees("As recorded, 1.0 s")
            first = seen.dataset.waveform.text
            assert first.strip()
            assert first.isascii()
            assert seen.text.isascii()
            await seen.press("j")
            await seen.sees("As recorded, 2.0 s")
            assert seen.dataset.waveform.text != first
            rows, columns = seen.dataset.mel.size.height, seen.dataset.mel.size.width
            await seen.press("v")
            await seen.until(lambda: seen.dataset.mel.size.height > rows)
            assert seen.dataset.mel.size.width >= columns
            assert seen.dataset.listing.rows.has_focus
            await seen.press("j")
            await seen.sees("As recorded, 3.0 s")
            await seen.press("j")
            await seen.sees("nothing to draw: the file can't be decoded")
            assert not seen.dataset.waveform.text.strip()

    asyncio.run(visit())


def test_copies_are_drawn_by_the_helper_as_a_run_would_make_them(bells: Path) -> None:
    async def visit() -> None:
        async with visiting(known=bells) as seen:
            await seen.open()
            await seen.sees("As recorded, 1.0 s")
            original = seen.dataset.waveform.text
            assert seen.app.form is not None
            await seen.press("x")
            await seen.until(lambda: "Copy 1 of" in seen.text and "%" in seen.text)
            assert "noise at" in seen.text
            assert seen.dataset.waveform.text != original
            await seen.press("j")
            await seen.sees("As recorded, 2.0 s")

    asyncio.run(visit())


def test_a_skipped_file_has_no_copies(bells: Path) -> None:
    async def visit() -> None:
        async with visiting(known=bells) as seen:
            await seen.open()
            await seen.press("j", "j", "j", "x")
            assert "no copies of a file that it skips" in seen.status

    asyncio.run(visit())


def test_a_folder_where_nothing_can_be_used_is_not_taken(tmp_path: Path) -> None:
    write_recording(tmp_path / "none" / "silent.wav", np.zeros((40_000, 1), np.float32), 48_000)

    async def visit() -> None:
        async with visiting(known=tmp_path / "none") as seen:
            await seen.open()
            assert "nothing: no file here can be trained on" in seen.text
            await seen.press("u")
            assert "nothing here can be trained on" in seen.status
            assert seen.app.pane == "datasets"
            assert seen.app.form is not None
            assert seen.app.form.dataset is None

    asyncio.run(visit())


def test_a_folder_without_recordings_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").touch()

    async def visit() -> None:
        async with visiting(known=tmp_path / "texts") as seen:
            await seen.open()
            assert "nothing: 1 file here, none of them named like a recording" in seen.text
            assert "no file here is named like a recording" in seen.text
            assert "nothing here can be trained on, each file says why" in seen.text
            assert "enter takes it" not in seen.text
            await seen.press("enter")
            await seen.until(lambda: "nothing here can be trained on" in seen.status)
            await seen.press("escape")
            await seen.sees("No file in it was named like a recording.")
            assert seen.pane.corpora.listing.rows.text.splitlines()[1].split()[:2] == ["texts", "0"]

    asyncio.run(visit())


def test_the_cursor_stands_on_the_folder_one_comes_from(bells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bells.parent)
    good(bells.parent / "drones" / "a.wav")
    later = time.time() + 1000.0  # so that the third is the last one
    remember(*(Corpus(path=str(bells.parent / name), used=later) for name in ("bells", "zithers")))

    async def visit() -> None:
        async with visiting() as seen:
            await seen.until(lambda: seen.known == ["bells", "zithers"])
            await seen.press("a", *"drones", "enter")
            await seen.sees("1 recording, 1 used")
            await seen.press("escape")
            await seen.sees("Folders of recordings 3 folders")
            assert seen.known == ["bells", "zithers", "drones"]
            assert seen.pane.corpora.listing.rows.key == str(bells.parent / "drones")

    asyncio.run(visit())


def test_length_rate_channels_and_level_are_there_at_120_columns(tmp_path: Path) -> None:
    write_recording(tmp_path / "ambi_haunted_hum.flac", sound(441_000, channels=2), 44_100)

    async def visit() -> None:
        async with visiting(known=tmp_path) as seen:
            await seen.open()
            heading, line, *_ = seen.dataset.listing.rows.text.splitlines()
            assert heading.split() == ["file", "length", "Hz", "ch", "peak", "dB", "problem"]
            assert line.split()[:5] == ["ambi_haunted_hum.flac", "10.0", "s", "44,100", "stereo"]

    asyncio.run(visit())


def test_a_scan_counts_answers_keys_and_stops_at_esc(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    write_recording(folder / "000.wav", sound(48_000 * 60), 48_000)
    for number in range(1, 1000):  # of a minute each: most of a minute of work
        os.link(folder / "000.wav", folder / f"{number:03}.wav")

    async def visit() -> None:
        async with visiting(known=folder) as seen:
            await seen.until(lambda: seen.known)
            await seen.pilot.press("enter")
            await seen.sees("of 1,000 esc stops")
            await seen.pilot.press("u")  # a pilot waits for the processor to be idle, in vain here: a second each
            assert "still being looked at" in seen.status
            await seen.pilot.press("escape")
            assert "stopped" in seen.status
            await seen.sees("Folders of recordings 1 folder")

    asyncio.run(visit())


def test_a_scan_is_counted_along_only_while_one_sees_it(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    write_recording(folder / "000.wav", sound(48_000 * 20), 48_000)
    for number in range(1, 1000):
        os.link(folder / "000.wav", folder / f"{number:03}.wav")

    async def visit() -> None:
        async with visiting(known=folder) as seen:
            await seen.until(lambda: seen.known)
            await seen.pilot.press("enter")
            await seen.sees("of 1,000 esc stops")
            await seen.app.show_pane("config")
            said, looking = seen.dataset.head.text, seen.dataset._looking
            assert looking is not None
            done, later = looking.done, time.monotonic() + 1.0  # for five more counts, if it counted
            await seen.until(lambda: looking.done > done and time.monotonic() > later)
            assert seen.dataset.head.text == said
            await seen.app.show_pane("datasets")
            assert seen.dataset.head.text != said
            await seen.until(lambda: f" {looking.done:,} of 1,000" in seen.dataset.head.text)
            await seen.pilot.press("escape")

    asyncio.run(visit())


def test_a_folder_looked_at_again_brings_the_draft_up_to_date(bells: Path) -> None:
    async def visit() -> None:
        async with visiting(known=bells) as seen:
            await seen.open()
            await seen.press("u", "1")
            good(bells / "another.wav", seed=11)
            await seen.press("r")
            await seen.sees("7 recordings, 6 used")
            assert seen.app.form is not None
            assert seen.app.form.scan is not None
            assert len(seen.app.form.scan.used) == 6

    asyncio.run(visit())


def test_the_first_screen_needs_no_numpy() -> None:
    code = "import sys, distill_tui.screens.datasets; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
