"""Draw the README's pictures anew: `python -m tests.make_pictures`, the screens as SVG files, in four minutes.

Most are of the recorded demo, that of Explore is of a model trained for it; they are what a terminal shows. Braille
and blocks are drawn as shapes, for fonts draw them in widths of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

import pyte
from pyte.screens import Char

from tests.tui.terminal import DASHBOARD, DEMO, Terminal

PICTURES = Path(__file__).parent / "pictures"
TRUECOLOUR = {"COLORTERM": "truecolor"}

VISITS: dict[str, Sequence[str]] = {
    "training": (),
    "previews": ("v",),
    "datasets": ("escape", "1", "enter"),
    "config": ("enter", "j", "j", "j", "j", "j", "j"),
    "library": ("4",),
}
"""The pictures in their order, and the keys that lead to each from the one before."""

EXPLORING = ("4", "p", "l", "l", "l", "l", "l", "j", "j", "h", "h", "h", "h")
"""The keys that lead to Explore and move two sliders."""

SECONDS = 3.0
"""What pictures of sound and curves may take."""

CELL_WIDTH, CELL_HEIGHT, MARGIN = 9, 18, 12
_BRAILLE = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each of a character's dots, in the order of its bits (Unicode, Braille Patterns)."""

_COLOURS = {"default": "", "white": "d0d0d0", "black": "1c1c1c"}


def main() -> None:
    """Draw them."""
    PICTURES.mkdir(exist_ok=True)
    with Terminal(DEMO, environment=TRUECOLOUR) as terminal:
        terminal.wait_for(r"\[3 Training\]")
        for name, keys in VISITS.items():
            _draw(name, terminal, keys)
    with tempfile.TemporaryDirectory() as home:
        environment = {"DISTILL_HOME": home}
        for command in (["demo"], ["analyze", "demo"]):
            subprocess.run([sys.executable, "-m", "distill_engine", *command], env=os.environ | environment, check=True)
        with Terminal(DASHBOARD, environment=TRUECOLOUR | environment) as terminal:
            terminal.wait_for("Distill")
            _draw("explore", terminal, EXPLORING)


def _draw(name: str, terminal: Terminal, keys: Sequence[str]) -> None:
    for key in keys:
        terminal.press(key)
        _look_for(terminal, 0.7)
    _look_for(terminal, SECONDS)
    (PICTURES / f"{name}.svg").write_text(svg(terminal.screen), encoding="utf-8")


def _look_for(terminal: Terminal, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        terminal.read(0.1)


def svg(screen: pyte.Screen) -> str:
    """Return what is on a screen as a picture that needs nothing but a font of one width."""
    width, height = screen.columns * CELL_WIDTH + 2 * MARGIN, screen.lines * CELL_HEIGHT + 2 * MARGIN
    ground = _commonest_background(screen)
    boxes: dict[str, list[str]] = defaultdict(list)
    texts: list[str] = []
    for y in range(screen.lines):
        cells = [screen.buffer[y][x] for x in range(screen.columns)]
        for colour, box in _boxes(cells, y, ground):
            boxes[colour].append(box)
        texts += _texts(cells, y)
    shapes = [f'<path fill="#{colour}" d="{"".join(paths)}"/>' for colour, paths in boxes.items()]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="monospace" font-size="15" shape-rendering="crispEdges">',
            f'<rect width="{width}" height="{height}" rx="8" fill="#{ground}"/>',
            f'<g transform="translate({MARGIN} {MARGIN})" xml:space="preserve">',
            *shapes,
            *texts,
            "</g>",
            "</svg>\n",
        ]
    )


def _commonest_background(screen: pyte.Screen) -> str:
    found = [_colours(screen.buffer[y][x])[1] for y in range(screen.lines) for x in range(screen.columns)]
    return max(set(found), key=found.count)


def _colours(cell: Char) -> tuple[str, str]:
    """Return the colours of a cell's character and of its ground, as six hexadecimal digits."""
    colour = _COLOURS.get(cell.fg, cell.fg) or "d0d0d0"
    ground = _COLOURS.get(cell.bg, cell.bg) or "1c1c1c"
    return (ground, colour) if cell.reverse else (colour, ground)


def _boxes(cells: Sequence[Char], y: int, ground: str) -> Iterator[tuple[str, str]]:
    """Yield rectangles with their colours: grounds that differ from the picture's, and characters that are shapes."""
    x = 0
    for background, run in groupby(cells, lambda cell: _colours(cell)[1]):
        count = len(list(run))
        if background != ground:
            yield background, _box(x, y, 0, 0, count, 1)
        x += count
    for x, cell in enumerate(cells):
        for left, top, width, height in _shape(cell.data):
            yield _colours(cell)[0], _box(x, y, left, top, width, height)


def _box(x: int, y: int, left: float, top: float, width: float, height: float) -> str:
    """Return a rectangle within a cell, in parts of it, as a path."""
    across, down = round(width * CELL_WIDTH, 1), round(height * CELL_HEIGHT, 1)
    return f"M{(x + left) * CELL_WIDTH:g} {(y + top) * CELL_HEIGHT:g}h{across:g}v{down:g}h{-across:g}z"


def _shape(character: str) -> list[tuple[float, float, float, float]]:
    """Return the rectangles that a character consists of, none where it is to be written."""
    code = ord(character) if len(character) == 1 else 0
    if 0x2800 <= code <= 0x28FF:
        return [(0.1 + 0.5 * x, 0.06 + 0.25 * y, 0.3, 0.15) for bit, (x, y) in enumerate(_BRAILLE) if code >> bit & 1]
    if character == "▀":
        return [(0, 0, 1, 0.5)]
    if 0x2581 <= code <= 0x2588:
        part = (code - 0x2580) / 8
        return [(0, 1 - part, 1, part)]
    if 0x2589 <= code <= 0x258F:
        return [(0, 0, (0x2590 - code) / 8, 1)]
    if character in "─━":
        return [(0, 0.5, 1, 0.06 if character == "─" else 0.12)]
    return []


def _texts(cells: Sequence[Char], y: int) -> Iterator[str]:
    """Yield a row's words, each run of one look stretched to its cells."""
    x = 0
    for (colour, bold, is_shape), run in groupby(cells, _look):
        words = [cell.data for cell in run]
        count, text = len(words), "".join(words)
        if text.strip() and not is_shape:
            start = count - len(text.lstrip()) if len(text) == count else 0
            shown = text.strip() if start or len(text) == count else text
            yield (
                f'<text x="{(x + start) * CELL_WIDTH}" y="{y * CELL_HEIGHT + 13.5:g}" fill="#{colour}" '
                f'textLength="{len(shown) * CELL_WIDTH}"{" font-weight=" + chr(34) + "bold" + chr(34) if bold else ""}'
                f">{escape(shown)}</text>"
            )
        x += count


def _look(cell: Char) -> tuple[str, bool, bool]:
    return _colours(cell)[0], cell.bold, bool(_shape(cell.data))


if __name__ == "__main__":
    main()
