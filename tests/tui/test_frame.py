"""A frame sends only what differs, and what it sends makes the terminal show the frame."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pyte
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from distill_tui.frame import Frame

WIDTH, HEIGHT = 40, 10
STYLES = [
    Style(color=f"color({random.Random(seed).randrange(16, 256)})", bgcolor="color(234)", bold=seed % 3 == 0)
    for seed in range(8)
]


def layout(*lines: list[tuple[str, Style]]) -> LayoutUpdate:
    strips: list[Iterable[Strip]] = [
        [Strip([Segment(text, style) for text, style in line]).adjust_cell_length(WIDTH)] for line in lines
    ]
    return LayoutUpdate(strips, Region(0, 0, WIDTH, len(lines)))


def sent(frame: Frame, update: LayoutUpdate | ChopsUpdate) -> str:
    changes = frame.changes(update, ColorSystem.EIGHT_BIT)
    assert changes is not None
    return changes


def random_lines(generator: random.Random) -> list[list[tuple[str, Style]]]:
    letters = "abc  ─é語"
    return [
        [("".join(generator.choice(letters) for _ in range(5)), generator.choice(STYLES)) for _ in range(4)]
        for _ in range(HEIGHT)
    ]


def looks(screen: pyte.Screen) -> list[list[tuple[str, ...]]]:
    """Return what one sees of each cell: of a blank its background alone."""
    return [
        [
            (cell.data, cell.bg) if cell.data == " " else (cell.data, cell.bg, cell.fg, str(cell.bold))
            for x in range(WIDTH)
            if (cell := screen.buffer[y][x]) is not None
        ]
        for y in range(HEIGHT)
    ]


def test_the_same_frame_again_sends_nothing() -> None:
    frame = Frame(no_colour=False)
    lines = [("hello", STYLES[0])]
    assert "hello" in sent(frame, layout(lines))
    assert sent(frame, layout(lines)) == ""


def test_one_changed_cell_sends_little_more_than_itself() -> None:
    frame = Frame(no_colour=False)
    sent(frame, layout([("step 1041 of 2000", Style())]))
    assert sent(frame, layout([("step 1042 of 2000", Style())])) == "\x1b[1;9H2"


def test_what_was_forgotten_is_sent_whole() -> None:
    frame = Frame(no_colour=False)
    lines = [("hello", Style())]
    first = sent(frame, layout(lines))
    frame.forget()
    assert sent(frame, layout(lines)) == first


def test_differences_make_the_terminal_look_as_whole_frames_do() -> None:
    generator = random.Random(7)
    frame, screen = Frame(no_colour=False), pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.Stream(screen)
    lines = random_lines(generator)
    for _ in range(60):
        row = generator.randrange(HEIGHT)
        lines[row] = random_lines(generator)[row]
        stream.feed(sent(frame, layout(*lines)))
        whole = pyte.Screen(WIDTH, HEIGHT)
        pyte.Stream(whole).feed(sent(Frame(no_colour=False), layout(*lines)))
        assert looks(screen) == looks(whole)


def test_parts_of_rows_land_where_they_belong() -> None:
    frame, screen = Frame(no_colour=False), pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.Stream(screen)
    stream.feed(sent(frame, layout([("left      right", Style())])))
    part = ChopsUpdate([{0: None, 10: Strip([Segment("RIGHT")])}], [(0, 10, 15)], [[10, WIDTH]])
    stream.feed(sent(frame, part))
    assert screen.display[0].rstrip() == "left      RIGHT"


def test_without_colour_only_attributes_are_sent() -> None:
    changes = sent(Frame(no_colour=True), layout([("bold", Style(color="red", bold=True))]))
    assert "\x1b[0;1m" in changes
    assert "31" not in changes
