"""The previews of a run as one sees them."""

from __future__ import annotations

import asyncio
import shutil

import pytest
from msgspec.structs import replace

from distill_engine import api
from distill_engine.events import PreviewSaved, decode, decode_command, encode
from distill_engine.run_folder import RunFolder
from distill_tui.runs.preview_words import distance_in_words, sounds_of
from distill_tui.screens.previews import PreviewsView
from distill_tui.screens.training import TrainingPane
from tests.engine.recordings import good
from tests.engine.writer import Writer
from tests.recorded_runs import unpacked
from tests.tui.shown_views import SIZES, Shown, opened


def previews_of(folder: RunFolder) -> list[PreviewSaved]:
    events = [decode(line) for line in folder.events_file.read_bytes().splitlines()]
    return [event for event in events if isinstance(event, PreviewSaved)]


def heard_run() -> RunFolder:
    """Return a run of which the sounds of all previews lie where they should."""
    folder = unpacked("healthy")
    for preview in previews_of(folder):
        for number, sound in enumerate(sounds_of(preview)):
            for path in filter(None, (sound.path, sound.original)):
                (folder.path / path).parent.mkdir(parents=True, exist_ok=True)
                good(folder.path / path, seed=number)
    return folder


def text(shown: Shown[PreviewsView]) -> str:
    return f"{shown.view.listing.rows.text}\n{shown.view._head.text}"


def drawn(shown: Shown[PreviewsView]) -> list[str]:
    """Return the pictures that are to be seen, from left to right."""
    views = [view for view in (shown.view._original, shown.view._made) if view.display and not view.has_class("-gone")]
    return [view._waveform.text.strip() for view in views if view._waveform.text.strip()]


@pytest.mark.parametrize("size", SIZES)
def test_the_newest_preview_is_shown_with_both_sounds_and_their_distance(size: tuple[int, int]) -> None:
    async def visit() -> None:
        async with opened(heard_run(), "v", PreviewsView, size) as shown:
            await shown.until(lambda: len(drawn(shown)) == 2)
            assert shown.view.listing.rows.key.startswith("90 ")
            assert "recording 1 of 1" in text(shown)
            assert "dB LSD (least" in text(shown)
            assert "above the least possible" in text(shown)
            assert shown.view._made._mel.text.strip()
            assert "original" in shown.view._original.text
            assert "> reconstruction" in shown.view._made.text

    asyncio.run(visit())


@pytest.mark.parametrize("size", SIZES)
def test_keys_go_through_recordings_and_samples(size: tuple[int, int]) -> None:
    async def visit() -> None:
        async with opened(heard_run(), "v", PreviewsView, size) as shown:
            await shown.until(lambda: len(drawn(shown)) == 2)
            await shown.press("n")
            await shown.until(lambda: "sample 1 of 1" in text(shown))
            await shown.until(lambda: len(drawn(shown)) == 1)
            await shown.press("right_square_bracket")
            await shown.until(lambda: "recording 1 of 1" in text(shown))
            await shown.press("b")
            await shown.until(lambda: "sample 1 of 1" in text(shown))

    asyncio.run(visit())


def test_two_sounds_that_are_compared_have_one_scale() -> None:
    async def visit() -> None:
        folder = heard_run()
        (heard,) = previews_of(folder)[-1].recordings
        shutil.copy(folder.path / heard.original, folder.path / heard.reconstruction)
        async with opened(folder, "v", PreviewsView) as shown:
            await shown.until(lambda: len(drawn(shown)) == 2)
            original, made = drawn(shown)
            assert original == made

    asyncio.run(visit())


def test_a_sound_that_is_gone_is_said_to_be() -> None:
    async def visit() -> None:
        folder = heard_run()
        (heard,) = previews_of(folder)[-1].recordings
        (folder.path / heard.original).unlink()
        (folder.path / heard.reconstruction).write_text("no sound")
        async with opened(folder, "v", PreviewsView) as shown:
            await shown.until(lambda: "its file is gone" in shown.view._original.text)
            await shown.until(lambda: shown.view._made.text != "> reconstruction  ")
            assert not drawn(shown)
            await shown.press("s")
            assert "> original  its file is gone" in shown.view._original.text

    asyncio.run(visit())


def test_a_key_copies_the_line_that_plays_the_sound_and_shows_it_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "203.0.113.7 51034 198.51.100.4 22")
    monkeypatch.setenv("USER", "ann")
    monkeypatch.delenv("TMUX", raising=False)

    async def visit() -> None:
        folder = heard_run()
        (heard,) = previews_of(folder)[-1].recordings
        async with opened(folder, "v", PreviewsView, (80, 24)) as shown:
            await shown.until(lambda: len(drawn(shown)) == 2)
            await shown.press("y")
            line = f"ssh ann@198.51.100.4 cat {folder.path / heard.reconstruction} | ffplay -autoexit -nodisp -i -"
            await shown.until(lambda: shown.app.clipboard == line)
            await shown.until(lambda: line in shown.view._copied.text.replace("\n", ""))
            strips = [shown.view._copied.render_line(y).text for y in range(shown.view._copied.size.height)]
            assert "".join(strips[1:]).replace(" ", "") == line.replace(" ", "")
            await shown.press("s", "Y")
            line = f"scp ann@198.51.100.4:{folder.path / heard.original} ."
            await shown.until(lambda: shown.app.clipboard == line)
            await shown.press("escape")
            await shown.until(lambda: not shown.view._copied.display)
            assert shown.view.display
            await shown.press("escape")
            await shown.until(lambda: not shown.view.display)

    asyncio.run(visit())


def living_run() -> RunFolder:
    """Return a run as it was before its last preview, and before it ended."""
    folder = heard_run()
    last = previews_of(folder)[-1]
    lines = folder.events_file.read_bytes().splitlines(keepends=True)
    folder.events_file.write_bytes(b"".join(lines[: last.seq - 1]))
    return folder


def test_the_next_preview_is_followed_unless_one_went_to_another() -> None:
    async def visit() -> None:
        folder = living_run()
        older, newer = previews_of(folder)
        with Writer(folder) as writer:
            async with opened(folder, "v", PreviewsView) as shown:
                rows = shown.view.listing.rows
                await shown.until(lambda: rows.key.startswith(f"{newer.step} "))
                _tell(writer, folder, replace(newer, step=newer.step + 1))
                await shown.until(lambda: rows.key.startswith(f"{newer.step + 1} "))
                await shown.press("G")
                await shown.until(lambda: rows.key.startswith(f"{older.step} "))
                _tell(writer, folder, replace(newer, step=newer.step + 2))
                await shown.until(lambda: len(rows.keys) == 4)
                assert rows.key.startswith(f"{older.step} ")

    asyncio.run(visit())


def _tell(writer: Writer, folder: RunFolder, event: PreviewSaved) -> None:
    lines = folder.events_file.read_bytes().splitlines()
    numbered = replace(event, seq=len(lines) + 1)
    writer.do(f"line {encode(numbered).decode().strip()}")


def test_a_preview_is_asked_of_the_run() -> None:
    async def visit() -> None:
        folder = living_run()
        with Writer(folder):
            async with opened(folder, "v", PreviewsView) as shown:
                await shown.press("a")
                await shown.until(lambda: folder.commands_file.exists() and folder.commands_file.read_bytes())
        commands = [decode_command(line) for line in folder.commands_file.read_bytes().splitlines()]
        assert [type(command) for command in commands] == [api.Preview]

    asyncio.run(visit())


def test_going_to_a_preview_moves_the_cursor_of_the_charts_and_theirs_chooses_a_preview() -> None:
    async def visit() -> None:
        async with opened(heard_run(), "v", PreviewsView) as shown:
            pane = shown.app.query_one(TrainingPane)
            await shown.until(lambda: len(shown.view.listing.rows.keys) == 3)
            assert pane.chart_view is not None
            assert pane.chart_view.cursor is None
            await shown.press("j")
            await shown.until(lambda: pane.chart_view is not None and pane.chart_view.cursor == 60)
            await shown.press("c")
            await shown.until(lambda: not shown.view.display)
            for _ in range(12):
                await shown.press("H")
            await shown.press("L", "L", "L", "L", "v")
            await shown.until(lambda: shown.view.display)
            await shown.until(lambda: shown.view.listing.rows.key.startswith("30 "))

    asyncio.run(visit())


def test_a_run_without_previews_says_how_to_get_one() -> None:
    async def visit() -> None:
        async with opened(unpacked("killed"), "v", PreviewsView) as shown:
            await shown.until(lambda: "no preview yet" in shown.view.listing.rows.text)

    asyncio.run(visit())


@pytest.mark.parametrize(
    ("above", "bands", "words"),
    [
        (0.2, 0.5, "hardly to be told apart: 0.2 dB above the least possible"),
        (2.0, 0.5, "close: 2.0 dB above the least possible"),
        (2.0, 7.0, "recognisable: 2.0 dB above the least possible, single bands off by 7 dB"),
        (2.0, 20.0, "far off: 2.0 dB above the least possible, single bands off by 20 dB"),
        (9.0, 0.5, "far off: 9.0 dB above the least possible"),
    ],
)
def test_a_distance_is_told_in_words(above: float, bands: float, words: str) -> None:
    heard = previews_of(unpacked("healthy"))[0].recordings[0]
    told = replace(heard, lsd=heard.floor_lsd + above, band=heard.floor_band + bands)
    assert distance_in_words(told) == words
