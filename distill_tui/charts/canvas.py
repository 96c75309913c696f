"""Dots, half blocks and shades as characters: what charts and pictures are drawn with, in braille or in ASCII alone.

A drawing is `Cells`: a code point and the number of a style for each cell, made for all cells at once by numpy, and
compared with the drawing before, so that a terminal is sent only what changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.cells import get_character_cell_size

Mask = npt.NDArray[np.bool_]
Bits = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float64]

SPACE = ord(" ")
HALF_BLOCK = "▀"
"""Two pixels in a cell: the upper one in the colour of the text, the lower one in that of the background."""
SHADES = " .:-=+*#%@"
"""From nothing to full, for pictures without colours."""

_BRAILLE = np.array([SPACE, *range(0x2801, 0x2900)], dtype=np.uint32)
_BRAILLE_BITS = np.array([[1, 8], [2, 16], [4, 32], [64, 128]], dtype=np.uint8)
_ASCII = np.array([ord(c) for c in " '-!.:;|"], dtype=np.uint32)
_ASCII_BITS = np.array([[1], [2], [4]], dtype=np.uint8)
_SHADES = np.array([ord(c) for c in SHADES], dtype=np.uint32)


@dataclass(frozen=True, kw_only=True)
class Span:
    """Cells beside each other: from column `start` up to, without, `stop`."""

    row: int
    start: int
    stop: int


class Cells:
    """A rectangle of characters, each with the number of its style; what it is made of may be written to directly."""

    def __init__(self, columns: int, rows: int) -> None:
        self.codes: Codes = np.full((rows, columns), SPACE, dtype=np.uint32)
        self.styles = np.zeros((rows, columns), dtype=np.uint16)

    def write(self, row: int, column: int, text: str, style: int = 0) -> int:
        """Write `text` from a cell on, as much as fits; return the column after it.

        A wide character takes two cells, the second of them with code 0; one that takes none is left out, so no control
        character passes.
        """
        width = int(self.codes.shape[1])
        if text.isascii() and text.isprintable():
            stop = min(width, column + len(text))
            self.codes[row, column:stop] = np.frombuffer(text.encode("ascii"), dtype=np.uint8)[: max(0, stop - column)]
            self.styles[row, column:stop] = style
            return max(column, stop)
        for character in text:
            size = get_character_cell_size(character)
            if size < 1:
                continue
            if column + size > width:
                break
            self.codes[row, column] = ord(character)
            self.codes[row, column + 1 : column + size] = 0
            self.styles[row, column : column + size] = style
            column += size
        return column

    def keep_to_ascii(self) -> None:
        """Write a question mark for every other character."""
        self.codes[self.codes == 0] = SPACE
        self.codes[self.codes > ord("~")] = ord("?")

    def runs(self, row: int) -> list[tuple[str, int]]:
        """Return a row as stretches of text of one style each."""
        codes, styles = self.codes[row], self.styles[row]
        ends = [*(np.flatnonzero(np.diff(styles)) + 1).tolist(), len(styles)]
        starts = [0, *ends[:-1]]
        text, numbers = _text(codes), styles[starts].tolist()
        parts = [text[a:b] for a, b in zip(starts, ends, strict=True)]
        if "\0" in text:
            parts = [part.replace("\0", "") for part in parts]
        return list(zip(parts, numbers, strict=True))

    def text(self) -> str:
        """Return the characters alone, a line a row, without the spaces at a line's end."""
        return "\n".join(_text(row).replace("\0", "").rstrip() for row in self.codes)

    def changed(self, before: Cells) -> list[Span]:
        """Return for each row that differs from `before`, of the same size, from where to where it does."""
        differs = (self.codes != before.codes) | (self.styles != before.styles)
        spans = []
        for row in np.flatnonzero(differs.any(axis=1)).tolist():
            (columns,) = np.nonzero(differs[row])
            spans.append(Span(row=row, start=int(columns[0]), stop=int(columns[-1]) + 1))
        return spans


def dots_in_a_cell(*, ascii_only: bool) -> tuple[int, int]:
    """Return how many dots a cell has across and down: 2 and 4 in braille; in ASCII 1 and 3."""
    return (1, 3) if ascii_only else (2, 4)


def glyphs(mask: Mask, *, ascii_only: bool) -> Codes:
    """Return the characters that show the dots of `mask`, [rows * down, columns * across]; a space for no dot."""
    return characters(bits(mask, ascii_only=ascii_only), ascii_only=ascii_only)


def bits(mask: Mask, *, ascii_only: bool) -> Bits:
    """Return which dots each cell has, [rows, columns], a bit a dot: those of several masks can be joined by `|`."""
    across, down = dots_in_a_cell(ascii_only=ascii_only)
    weights = _ASCII_BITS if ascii_only else _BRAILLE_BITS
    numbers = np.zeros((mask.shape[0] // down, mask.shape[1] // across), dtype=np.uint8)
    for row, column in np.ndindex(down, across):  # a third of the time of one sum over both axes
        numbers |= mask[row::down, column::across] * weights[row, column]
    return numbers


def characters(numbers: Bits, *, ascii_only: bool) -> Codes:
    """Return the characters that have these dots."""
    codes: Codes = (_ASCII if ascii_only else _BRAILLE)[numbers]
    return codes


def filled(top: Floats, bottom: Floats, height: int) -> Mask:
    """Return the dots from `top` down to `bottom` of each column, counted from 0 at the top; none at NaN."""
    rows = np.arange(height)[:, None]
    mask: Mask = (rows >= top) & (rows <= bottom)
    return mask


def joined(dots: Floats) -> tuple[Floats, Floats]:
    """Return from where to where each column of a line is dotted, so that neighbours meet half-way.

    `dots` is the row of the line in each column, whole numbers from 0 at the top; at NaN it is interrupted.
    """
    top, bottom = dots.copy(), dots.copy()
    here, there = dots[:-1], dots[1:]
    middle = np.floor((here + there) / 2)
    falls, rises = here < there, here > there
    bottom[:-1] = np.fmax(bottom[:-1], np.where(falls, middle, np.nan))
    top[1:] = np.fmin(top[1:], np.where(falls, middle + 1, np.nan))
    top[:-1] = np.fmin(top[:-1], np.where(rises, middle + 1, np.nan))
    bottom[1:] = np.fmax(bottom[1:], np.where(rises, middle, np.nan))
    return top, bottom


def dashed(top: Floats, bottom: Floats, height: int, *, dots: int, period: int) -> Mask:
    """Return a line as `filled` does, of every `period` dots along it only the first `dots`."""
    top, bottom = np.clip(top, 0, height), np.clip(bottom, -1, height - 1)
    lengths = np.nan_to_num(bottom - top + 1).clip(0)
    along = np.cumsum(lengths) - lengths - np.nan_to_num(top) + np.arange(height)[:, None]
    mask: Mask = filled(top, bottom, height) & (along % period < dots)
    return mask


def pooled(
    values: npt.NDArray[np.floating], count: int, pool: Callable[..., npt.NDArray[np.floating]]
) -> npt.NDArray[np.floating]:
    """Return `values`, [..., n] with n > 0, as [..., count]: shrunk by a ufunc's `reduceat`, or repeated."""
    length = values.shape[-1]
    starts = np.arange(count) * length // count
    return pool(values, starts, axis=-1) if length >= count else values[..., starts]


def shades(values: npt.NDArray[np.floating]) -> Codes:
    """Return a character for each value from 0 to 1, the darker the greater."""
    characters: Codes = _SHADES[levels(values, len(SHADES))]
    return characters


def levels(values: npt.NDArray[np.floating], count: int) -> npt.NDArray[np.intp]:
    """Return which of `count` equal parts of 0 to 1 each value lies in; NaN in the first."""
    parts: npt.NDArray[np.intp] = (np.nan_to_num(values).clip(0, 1) * count).astype(np.intp).clip(max=count - 1)
    return parts


def _text(codes: Codes) -> str:
    return codes.astype("<u4").tobytes().decode("utf-32-le")
