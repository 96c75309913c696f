"""What the terminal shows, cell by cell, so that a frame sends only the cells that differ from it.

Textual sends every region that was refreshed, changed or not: going from one screen to another would cost 20 KB. Here a
frame is compared with the one before, and styles are switched only where they change. This reads Textual's compositor
updates, which is why its version is pinned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

Cell = tuple[str, Style]

NEAR = 4
"""Unchanged cells between two changed ones are sent along where there are no more: moving the cursor takes as much."""

_NOTHING: Cell = ("\0", Style.null())
_PLAIN = Style.null()


class _Codes(NamedTuple):
    """What a terminal is told of a style: bold and the like, colour and background, each empty for none."""

    attributes: str
    colour: str
    background: str
    shows_on_blanks: bool
    """Whether more of it than the background is seen where nothing is written."""


class _Run(NamedTuple):
    """Cells that stand beside each other, from a column on."""

    column: int
    cells: list[Cell]


class _Runs(NamedTuple):
    """What differs in a row: as runs with jumps between them, and as one with what lies between."""

    apart: list[_Run]
    together: _Run


class Frame:
    """The cells of a terminal as they were last sent."""

    def __init__(self, *, no_colour: bool) -> None:
        """`no_colour` keeps bold, reverse and the like, and nothing else."""
        self._no_colour = no_colour
        self._rows: dict[int, list[Cell]] = {}
        self._codes: dict[Style, _Codes] = {}

    def forget(self) -> None:
        """Take nothing for granted: the next frame is sent whole."""
        self._rows.clear()
        self._codes.clear()

    def changes(self, update: CompositorUpdate, colours: ColorSystem | None) -> str | None:
        """Return what to send so that the terminal shows an update; None for an update of an unknown kind."""
        match update:
            case LayoutUpdate():
                pieces = _of_layout(update)
            case ChopsUpdate():
                pieces = _of_chops(update)
            case _:
                self.forget()
                return None
        sent: list[str] = []
        style = _PLAIN
        for y, x, strips in pieces:
            runs = self._changed(y, x, _cells(strips))
            if runs:
                text, style = self._shortest(y, runs, style, colours)
                sent.append(text)
        if style != _PLAIN:
            sent.append("\x1b[0m")
        return "".join(sent)

    def _shortest(self, y: int, runs: _Runs, style: Style, colours: ColorSystem | None) -> tuple[str, Style]:
        """Return the sequence that draws the runs of a row, and the style it ends in.

        Going over what is unchanged between them may take less than jumping over it.
        """
        apart = self._drawn(y, runs.apart, style, colours)
        if len(runs.apart) == 1:
            return apart
        return min(apart, self._drawn(y, [runs.together], style, colours), key=lambda one: len(one[0]))

    def _drawn(self, y: int, runs: Sequence[_Run], style: Style, colours: ColorSystem | None) -> tuple[str, Style]:
        sent: list[str] = []
        for column, cells in runs:
            sent.append(f"\x1b[{column + 1}G" if sent else f"\x1b[{y + 1};{column + 1}H")
            for text, wanted in cells:
                if wanted is not style and not (text == " " and self._looks_blank(style, wanted, colours)):
                    sent.append(self._switch(style, wanted, colours))
                    style = wanted
                sent.append(text)
        return "".join(sent), style

    def _switch(self, before: Style, style: Style, colours: ColorSystem | None) -> str:
        """Return the sequence that turns one style into another: only what differs, where that can be said."""
        old, new = self._codes_of(before, colours), self._codes_of(style, colours)
        if old.attributes != new.attributes:
            return "\x1b[" + ";".join(filter(None, ("0", new.attributes, new.colour, new.background))) + "m"
        changed = []
        if old.colour != new.colour:
            changed.append(new.colour or "39")
        if old.background != new.background:
            changed.append(new.background or "49")
        return f"\x1b[{';'.join(changed)}m" if changed else ""

    def _looks_blank(self, style: Style, wanted: Style, colours: ColorSystem | None) -> bool:
        """Tell whether a blank in one style looks as it would in the other."""
        now, then = self._codes_of(style, colours), self._codes_of(wanted, colours)
        return now.background == then.background and not (now.shows_on_blanks or then.shows_on_blanks)

    def _codes_of(self, style: Style, colours: ColorSystem | None) -> _Codes:
        if style not in self._codes:
            self._codes[style] = _codes(style.without_color if self._no_colour else style, colours)
        return self._codes[style]

    def _changed(self, y: int, x: int, cells: list[Cell]) -> _Runs | None:
        """Return the cells that differ from what row `y` shows from column `x` on, and take them as shown."""
        row = self._rows.setdefault(y, [])
        end = x + len(cells)
        if len(row) < end:
            row.extend([_NOTHING] * (end - len(row)))
        shown = row[x:end]
        if shown == cells:
            return None
        row[x:end] = cells
        changed = [index for index, (old, new) in enumerate(zip(shown, cells, strict=True)) if old != new]
        begins = [changed[0], *(new for old, new in pairwise(changed) if new - old > NEAR)]
        ends = [*(old for old, new in pairwise(changed) if new - old > NEAR), changed[-1]]
        return _Runs(
            apart=[_run(x, begin, end, cells) for begin, end in zip(begins, ends, strict=True)],
            together=_run(x, changed[0], changed[-1], cells),
        )


def _codes(style: Style, colours: ColorSystem | None) -> _Codes:
    if colours is None:
        return _Codes("", "", "", False)
    colour = ";".join(style.color.downgrade(colours).get_ansi_codes()) if style.color else ""
    background = ";".join(style.bgcolor.downgrade(colours).get_ansi_codes(foreground=False)) if style.bgcolor else ""
    attributes = style.without_color._make_ansi_codes(colours)
    return _Codes(
        attributes,
        "" if colour == "39" else colour,
        "" if background == "49" else background,
        _shows_on_blanks(style),
    )


def _shows_on_blanks(style: Style) -> bool:
    return bool(style.reverse or style.underline or style.underline2 or style.strike or style.overline)


@lru_cache(4096)
def _blank(style: Style) -> Style:
    """Return the style of a blank: its background alone, where no more is seen of it."""
    return style if _shows_on_blanks(style) else Style(bgcolor=style.bgcolor)


def _run(x: int, start: int, last: int, cells: list[Cell]) -> _Run:
    """Return a run's column and its cells; a character of two cells is sent whole."""
    while start and not cells[start][0]:
        start -= 1
    while last + 1 < len(cells) and not cells[last + 1][0]:
        last += 1
    return _Run(x + start, cells[start : last + 1])


def _of_layout(update: LayoutUpdate) -> Iterator[tuple[int, int, Iterable[Strip]]]:
    for y, strips in enumerate(update.strips, update.region.y):
        yield y, update.region.x, strips


def _of_chops(update: ChopsUpdate) -> Iterator[tuple[int, int, Iterable[Strip]]]:
    for y, x1, x2 in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is not None and x < x2 and end > x1:
                yield y, x, [strip.crop(0, min(end, x2) - x)]


def _cells(strips: Iterable[Strip]) -> list[Cell]:
    """Return one entry a cell; the second cell of a wide character, and a mark that joins it, are put right."""
    cells: list[Cell] = []
    for strip in strips:
        for segment in strip:
            text, style, control = segment
            if control:
                continue
            style = style or _PLAIN
            if text.isascii():
                blank = _blank(style)
                cells += [(character, blank if character == " " else style) for character in text]
            else:
                cells += _wide_cells(segment, style)
    return cells


def _wide_cells(segment: Segment, style: Style) -> list[Cell]:
    cells: list[Cell] = []
    for character in segment.text:
        width = cell_len(character)
        if width == 0 and cells:
            cells[-1] = (cells[-1][0] + character, style)
        elif width:
            cells.append((character, style))
            cells += [("", style)] * (width - 1)
    return cells
