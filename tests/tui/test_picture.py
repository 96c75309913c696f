"""Sound in text: waveforms and mel pictures in every kind of terminal."""

from __future__ import annotations

import asyncio
import io
from typing import Literal

import numpy as np
import pytest
from rich.color import ColorSystem
from rich.console import Console
from textual.app import App, ComposeResult
from textual.color import Color

from distill_tui.widgets.cells_view import CellsView
from distill_tui.widgets.picture import MelPicture, Waveform, greatest_swing, ramp_between

SMALL, LARGE = (38, 8), (118, 20)
Terminal = Literal["standard", "256", "truecolor"]

LOW = -np.linspace(0.0, 0.5, 300)
HIGH = np.linspace(0.0, 0.5, 300)
HERTZ = np.expm1(np.linspace(0, np.log1p(24_000 / 700), 130))[1:-1] * 700
SILENT = np.full((128, 200), -90.0, dtype=np.float32)


class PictureApp(App[None]):
    """A screen full of one picture, on a terminal of so many colours."""

    def __init__(self, picture: CellsView, *, colours: Terminal | None = "truecolor", ascii_only: bool = False) -> None:
        super().__init__()
        self.console = Console(color_system=colours, force_terminal=True, file=io.StringIO(), legacy_windows=False)
        self.ascii_only = ascii_only
        self.picture = picture

    def compose(self) -> ComposeResult:
        yield self.picture


def waveform(size: tuple[int, int], *, scale: float | None = None, ascii_only: bool) -> str:
    async def visit() -> str:
        picture = Waveform()
        app = PictureApp(picture, ascii_only=ascii_only)
        async with app.run_test(size=size) as pilot:
            picture.show(LOW, HIGH, seconds=3.0, scale=scale)
            await pilot.pause()
            return picture.text

    return asyncio.run(visit())


def mel(
    decibels: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    size: tuple[int, int] = SMALL,
    *,
    colours: Terminal | None = "truecolor",
    ascii_only: bool = False,
    theme: str = "textual-dark",
) -> tuple[str, list[list[tuple[int, int]]]]:
    """Return the text of a mel picture, and the colours of each cell's two pixels as a terminal gets them."""

    async def visit() -> tuple[str, list[list[tuple[int, int]]]]:
        picture = MelPicture()
        app = PictureApp(picture, colours=colours, ascii_only=ascii_only)
        async with app.run_test(size=size) as pilot:
            app.theme = theme
            picture.show(decibels, hertz=HERTZ, seconds=2.0)
            await pilot.pause()
            return picture.text, [pixels(picture, row) for row in range(size[1])]

    return asyncio.run(visit())


def pixels(picture: CellsView, row: int) -> list[tuple[int, int]]:
    """Return the numbers of the 16 colours of the upper and the lower half of each cell."""
    found = []
    for segment in picture.render_line(row):
        assert segment.style is not None
        colours = [segment.style.color, segment.style.bgcolor]
        numbers = [one.downgrade(ColorSystem.STANDARD).number or 0 for one in colours if one is not None]
        upper, lower = numbers[0], numbers[-1]
        found += [(lower if character == " " else upper, lower) for character in segment.text]
    return found


def test_a_waveform_swings_about_its_middle_with_its_levels_beside_it() -> None:
    assert waveform(SMALL, ascii_only=True).split("\n") == [
        "  -6 dB                        ...;;||",
        "                       ...;;||||||||||",
        " -12 dB        ...;;;|||||||||||||||||",
        "        ..;;;|||||||||||||||||||||||||",
        "        ''!!!|||||||||||||||||||||||||",
        "               '''!!!|||||||||||||||||",
        "                       '''!!||||||||||",
        "                               '''!!||",
    ]


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_two_waveforms_of_one_scale_can_be_compared(size: tuple[int, int]) -> None:
    scale = greatest_swing(LOW, HIGH, HIGH * 2)
    assert scale == 1.0
    rows = waveform(size, scale=scale, ascii_only=False).split("\n")
    quarter = size[1] // 4
    assert not any(row[8:].strip() for row in rows[:quarter])
    assert rows[quarter][-1] != " "
    assert rows[0].strip() == "0 dB"


def test_silence_is_a_line_and_nothing_at_all_is_nothing() -> None:
    async def visit() -> None:
        picture = Waveform()
        async with PictureApp(picture).run_test(size=SMALL) as pilot:
            picture.show(np.zeros(5), np.zeros(5), seconds=1.0)
            await pilot.pause()
            assert sum(bool(row[8:].strip()) for row in picture.text.split("\n")) == 1
            picture.show(np.empty(0), np.empty(0), seconds=0.0)
            assert not any(row[8:].strip() for row in picture.text.split("\n"))

    asyncio.run(visit())


def test_low_bands_are_below_and_a_short_loud_sound_survives_pooling() -> None:
    sound = SILENT.copy()
    sound[2, 102] = -10.0
    text, _ = mel(sound, LARGE, ascii_only=True)
    rows = text.split("\n")
    assert [(y, row.index("@")) for y, row in enumerate(rows) if "@" in row] == [(19, 8 + 56)]


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_frequencies_stand_beside_their_bands(size: tuple[int, int]) -> None:
    text, _ = mel(SILENT, size)
    rows = [row.strip() for row in text.split("\n")]
    assert [row for row in rows if row] == ["10 kHz", "1 kHz", "100 Hz"]
    share = 1 - np.log1p(1_000 / 700) / np.log1p(24_000 / 700)
    assert rows.index("1 kHz") == pytest.approx(share * size[1], abs=1)


def test_sixteen_colours_are_six_distinct_steps_in_their_order() -> None:
    steps = np.repeat(np.linspace(-75, -5, 6), 40).astype(np.float32)
    _, cells = mel(np.tile(steps, (128, 1)), LARGE, colours="standard")
    order: list[int] = []
    for upper, lower in cells[10][8:]:
        assert upper == lower
        order += [upper] if upper not in order else []
    assert order == [0, 4, 5, 9, 11, 15]


@pytest.mark.parametrize(("background", "dark"), [("#1c1c1c", True), ("#f8f8f8", False)])
def test_the_ramp_goes_from_the_background_in_even_steps_away_from_it(background: str, dark: bool) -> None:
    ramp = ramp_between(Color.parse(background), Color.parse("#ffd787"), dark=dark)
    assert ramp[0] == Color.parse(background)
    brightness = np.array([colour.brightness for colour in ramp])
    steps = np.diff(brightness) * (1 if dark else -1)
    assert (steps > 0).all()
    assert steps.max() < 0.15


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "ansi-dark"])
def test_a_picture_has_colours_in_every_theme(theme: str) -> None:
    sound = np.tile(np.linspace(-90, 0, 200), (128, 1)).astype(np.float32)
    text, cells = mel(sound, theme=theme)
    assert len({upper for upper, _ in cells[4][8:]}) > 2
    assert text.split("\n")[4][8:].strip(" ▀") == ""


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_without_colours_louder_is_darker_and_ascii_is_ascii_alone(size: tuple[int, int]) -> None:
    sound = np.tile(np.linspace(-80, 0, 400), (128, 1)).astype(np.float32)
    for ascii_only, colours in ((True, "truecolor"), (False, None)):
        text, _ = mel(sound, size, ascii_only=ascii_only, colours=colours)  # type: ignore[arg-type]
        assert text.isascii()
        row = text.split("\n")[1][8:]
        assert list(row.strip()) == sorted(row.strip(), key=" .:-=+*#%@".index)
        assert set(row) >= set(".:-=+*#%@")


def test_a_sound_of_nothing_but_gaps_is_a_blank_picture() -> None:
    text, _ = mel(np.full((128, 5), np.nan, dtype=np.float32), ascii_only=True)
    assert not any(row[8:].strip() for row in text.split("\n"))
    assert greatest_swing(np.full(3, np.nan), np.empty(0)) == 1.0


def test_a_picture_that_is_the_same_is_not_painted_again() -> None:
    async def visit() -> None:
        picture = MelPicture()
        async with PictureApp(picture).run_test(size=SMALL) as pilot:
            picture.show(SILENT, hertz=HERTZ, seconds=1.0)
            await pilot.pause()
            strips = [picture.render_line(row) for row in range(SMALL[1])]
            picture.show(SILENT.copy(), hertz=HERTZ, seconds=1.0)
            assert all(picture.render_line(row) is strip for row, strip in enumerate(strips))

    asyncio.run(visit())
