"""The line to hear a sound by, as one selects it from the screen."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual.app import App, ComposeResult

from distill_tui.clipboard import play_line
from distill_tui.widgets.copied import CopiedLine


class CopiedApp(App[None]):
    """A screen with nothing but the line."""

    def __init__(self) -> None:
        super().__init__()
        self.copied = CopiedLine()

    def compose(self) -> ComposeResult:
        yield self.copied


@pytest.mark.parametrize("width", [40, 80])
def test_a_line_is_shown_from_edge_to_edge_in_pieces_that_put_together_are_it(width: int) -> None:
    async def visit() -> None:
        path = Path("/sounds") / ("a name of many words " * 8) / "bells.wav"
        async with CopiedApp().run_test(size=(width, 24)) as pilot:
            copied = pilot.app.query_one(CopiedLine)
            assert not copied.display
            copied.copy(path, play_line)
            await pilot.app.workers.wait_for_complete()
            await pilot.pause()
            words, *pieces = copied.text.split("\n")
            assert words.startswith("copied by OSC 52")
            assert "".join(pieces) == play_line(path)
            assert {len(piece) for piece in pieces[:-1]} == {width}
            assert copied.size.height == 1 + len(pieces)
            assert copied.close()
            assert not copied.close()

    asyncio.run(visit())


def test_a_name_that_holds_an_escape_reaches_the_screen_escaped() -> None:
    async def visit() -> None:
        async with CopiedApp().run_test(size=(80, 24)) as pilot:
            copied = pilot.app.query_one(CopiedLine)
            copied.show_line("", "cat /sounds/\x1b]0;bell.wav")
            await pilot.pause()
            assert copied.text == "cat /sounds/\\x1b]0;bell.wav"

    asyncio.run(visit())
