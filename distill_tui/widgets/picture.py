"""Sound as a picture in text: a waveform in dots, and a spectrogram on the mel scale in half blocks.

A spectrogram takes its colours from a ramp between the theme's background and its accent. A terminal of 16 colours
gets six of its own instead, because the nearest of them to a smooth ramp are not in order; without colours, and in
ASCII, there are shades.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from rich.style import Style
from textual.color import Color
from textual.message import Message

from distill_tui.charts.canvas import HALF_BLOCK, SPACE, Cells, dots_in_a_cell, filled, glyphs, levels, pooled, shades
from distill_tui.widgets.cells_view import CellsView

Numbers = npt.NDArray[np.floating]

GUTTER = 8
LEAST_PLOT = 24
"""Below so many columns for the picture the gutter gives way."""
FLOOR_DB = -90.0
"""What silence counts as."""
DYNAMICS_DB = 70.0
"""How far below the loudest the ramp ends."""

_STYLES = ("plain", "muted", "wave")
_PLAIN, _MUTED, _WAVE = range(len(_STYLES))
_LABELLED_HERTZ = ((100.0, "100 Hz"), (1_000.0, "1 kHz"), (10_000.0, "10 kHz"))

_RAMP = ("#3b1f5b", "#6a2a70", "#9a3a6c", "#c9545a", "#ee8050", "#fcb768", "#fdf0b0")
"""From quiet to loud, each as much lighter than the last as the next is; before it stands the background."""
_RAMP_LEVELS = 16
_SIXTEEN = ("#000000", "#0000aa", "#aa00aa", "#ff5555", "#ffff55", "#ffffff")
"""Colours that a terminal of 16 has under these very values, in order of their lightness."""
_LIGHT_SIXTEEN = ("#ffffff", "#ffff55", "#ff5555", "#aa00aa", "#0000aa", "#000000")


class _Picture(CellsView):
    """What waveform and spectrogram share: a gutter and a length in seconds."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"picture--{style}" for style in _STYLES}
    DEFAULT_CSS = """
    _Picture {
        & .picture--muted { color: $foreground 70%; }
        & .picture--wave { color: $primary; }
    }
    """

    seconds: float = 0.0

    def style_numbered(self, number: int) -> Style:
        """Return the look of one of the picture's styles in this theme."""
        return self.get_component_rich_style(f"picture--{_STYLES[number]}")


class Waveform(_Picture):
    """How far a sound swings, from its least to its greatest sample in each column."""

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._low: Numbers = np.empty(0)
        self._high: Numbers = np.empty(0)
        self._scale = 1.0

    def show(self, low: Numbers, high: Numbers, *, seconds: float, scale: float | None = None) -> None:
        """Show the least and greatest samples, [n] each, over so many seconds.

        `scale` is the swing that fills the height; None takes the sound's own. Two sounds to be compared get the
        same one, `greatest_swing` of both.
        """
        self._low, self._high = low, high
        self._scale = greatest_swing(low, high) if scale is None else scale
        self.seconds = seconds
        self.redraw()

    def drawn(self, columns: int, rows: int) -> Cells:
        """Draw the waveform as dots, and how loud full height is beside it."""
        cells = Cells(columns, rows)
        left = _gutter(columns)
        if len(self._low):
            across, down = dots_in_a_cell(ascii_only=self.ascii_only)
            count, height = (columns - left) * across, rows * down
            low, high = pooled(self._low, count, np.fmin.reduceat), pooled(self._high, count, np.fmax.reduceat)
            top, bottom = ((1 - side.astype(np.float64) / self._scale) / 2 * (height - 1) for side in (high, low))
            codes = glyphs(filled(np.rint(top), np.rint(bottom), height), ascii_only=self.ascii_only)
            cells.codes[:, left:] = codes
            cells.styles[:, left:] = _WAVE
        if left and len(self._low):
            self._write_levels(cells, left)
        return cells

    def _write_levels(self, cells: Cells, left: int) -> None:
        """Write the level of full swing at the top and, with room, that of half of it."""
        rows = len(cells.codes)
        for swing, row in ((self._scale, 0), (self._scale / 2, round((rows - 1) / 4))):
            if row or swing == self._scale:
                cells.write(row, 0, f"{round(20 * math.log10(swing))} dB".rjust(left - 1), _MUTED)


class MelPicture(_Picture):
    """How loud each mel band of a sound is in each column of time; low bands below, loud ones bright."""

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(name=name, id=id, classes=classes)
        self._decibels: Numbers = np.empty((0, 0))
        self._hertz: Numbers = np.empty(0)
        self._loudest = 0.0
        self._ramp: tuple[Color, ...] = ()

    class Resized(Message):
        """The picture has another size from now on."""

    def on_resize(self) -> None:
        """Say so: whoever made the picture may make one that suits."""
        self.post_message(self.Resized())

    def show(self, decibels: Numbers, *, hertz: Numbers, seconds: float, loudest: float | None = None) -> None:
        """Show levels in dB, [bands, n] with the lowest band first, over so many seconds.

        `hertz` is where each band lies, [bands]. `loudest` is the level of the brightest colour; None takes the
        sound's own.
        """
        self._decibels, self._hertz = decibels, hertz
        self._loudest = float(np.fmax.reduce(decibels, axis=None, initial=FLOOR_DB)) if loudest is None else loudest
        self.seconds = seconds
        self.redraw()

    def clear(self) -> None:
        """Show nothing, as at first."""
        self.show(np.empty((0, 0)), hertz=np.empty(0), seconds=0.0)

    def drawn(self, columns: int, rows: int) -> Cells:
        """Draw two bands a cell in colour, or one as a shade, and their frequencies beside them."""
        cells = Cells(columns, rows)
        left = _gutter(columns)
        if self._decibels.size:
            if self._has_colours:
                self._draw_colours(cells, left)
            else:
                cells.codes[:, left:] = shades(self._loudness(columns - left, rows))
        if left:
            self._write_frequencies(cells, left)
        return cells

    def style_numbered(self, number: int) -> Style:
        """Return the look of a style: of two pixels one above the other after the named ones."""
        if number < len(_STYLES):
            return super().style_numbered(number)
        ramp = self._colours()
        upper, lower = divmod(number - len(_STYLES), len(ramp))
        return Style(color=ramp[upper].rich_color, bgcolor=ramp[lower].rich_color)

    def notify_style_update(self) -> None:
        """Forget the colours of another theme; how many there are may differ."""
        super().notify_style_update()
        before, self._ramp = len(self._ramp), ()
        if before and before != len(self._colours()):
            self.redraw()

    @property
    def _has_colours(self) -> bool:
        return not (self.ascii_only or self.app.no_color or self.app.console.color_system is None)

    def _loudness(self, columns: int, rows: int) -> Numbers:
        """Return how loud each pixel is, [rows, columns] from the top, 0 to 1; the loudest of what it stands for."""
        bands = pooled(self._decibels.T, rows, np.fmax.reduceat).T
        pixels = pooled(bands, columns, np.fmax.reduceat)[::-1]
        loudness: Numbers = 1 + (pixels - self._loudest) / DYNAMICS_DB
        return loudness

    def _draw_colours(self, cells: Cells, left: int) -> None:
        rows, columns = cells.codes.shape
        count = len(self._colours())
        pixels = levels(self._loudness(columns - left, 2 * rows), count)
        upper, lower = pixels[::2], pixels[1::2]
        cells.codes[:, left:] = np.where(upper == lower, SPACE, ord(HALF_BLOCK))
        cells.styles[:, left:] = len(_STYLES) + upper * count + lower

    def _colours(self) -> tuple[Color, ...]:
        """Return the ramp of this theme and terminal, from silence to the loudest."""
        if not self._ramp:
            dark = self.app.current_theme.dark
            if self.app.console.color_system in ("standard", "windows"):
                self._ramp = tuple(map(Color.parse, _SIXTEEN if dark else _LIGHT_SIXTEEN))
            else:
                variables = self.app.theme_variables
                background, accent = (_parsed(variables[name], dark) for name in ("background", "accent"))
                self._ramp = ramp_between(background, accent, dark=dark)
        return self._ramp

    def _write_frequencies(self, cells: Cells, left: int) -> None:
        """Write round frequencies in the rows of their bands, as many as there is room for."""
        rows = len(cells.codes)
        taken: set[int] = set()
        for hertz, label in _LABELLED_HERTZ:
            if len(self._hertz) and self._hertz[0] <= hertz <= self._hertz[-1]:
                band = np.interp(hertz, self._hertz, np.arange(len(self._hertz)))
                row = rows - 1 - int((band + 0.5) / len(self._hertz) * rows)
                if row not in taken:
                    cells.write(row, 0, label.rjust(left - 1), _MUTED)
                taken.add(row)


def greatest_swing(*samples: Numbers) -> float:
    """Return the greatest distance from 0 of any sample; 1 where all are silent or there is none."""
    swings = [float(np.fmax.reduce(np.abs(one), initial=0.0)) for one in samples]
    return max(swings, default=0.0) or 1.0


def ramp_between(background: Color, accent: Color, *, dark: bool) -> tuple[Color, ...]:
    """Return colours from the background on, in even steps of what the eye sees, leaning towards the accent."""
    inner = [Color.parse(stop) for stop in (_RAMP if dark else _RAMP[-2::-1])]
    stops = [background, *(stop.blend(accent, 0.15) for stop in inner)]
    places = np.linspace(0, len(stops) - 1, _RAMP_LEVELS)
    lower = np.minimum(places.astype(int), len(stops) - 2)
    return tuple(stops[a].blend(stops[a + 1], float(place - a)) for a, place in zip(lower, places, strict=True))


def _parsed(colour: str, dark: bool) -> Color:
    """Return a colour of the theme; where it leaves it to the terminal, what that most likely is."""
    parsed = Color.parse(colour)
    if parsed.ansi is None:
        return parsed
    return Color(0, 0, 0) if dark else Color(255, 255, 255)


def _gutter(columns: int) -> int:
    return GUTTER if columns - GUTTER >= LEAST_PLOT else 0
