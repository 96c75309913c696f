"""The sounds that were made of a model: their files, pictures of the one under the cursor, and lines to hear it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.widget import Widget

from distill_engine import api
from distill_tui import clipboard
from distill_tui.actions import bindings
from distill_tui.model_words import local_minute
from distill_tui.widgets.line import Lines
from distill_tui.widgets.listing import Cell, Column, Listing, Row, Rows
from distill_tui.widgets.picture import MelPicture, Waveform

if TYPE_CHECKING:
    from distill_engine.api import MelPicture as MelLevels
    from distill_engine.api import WaveformPicture

_COLUMNS = (
    Column(title="file"),
    Column(title="size", width=8, right=True, rank=2),
    Column(title="made", width=16, rank=1),
)
_PICTURE_COLUMNS, _PICTURE_ROWS = 240, 48
_SECONDS_BEFORE_DRAWING = 0.12
"""So that going through the list doesn't read every file on the way."""


class SoundsView(Container):
    """Sounds of one model, the newest first."""

    PLACE: ClassVar[str] = "sounds"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("sounds")]
    SCOPED_CSS: ClassVar[bool] = False  # how much width there is shows in a class of the pane
    DEFAULT_CSS = """
    SoundsView { layout: vertical;
        & > #sounds-title { height: 1; }
        & > #sounds-body { layout: vertical; height: 1fr; }
        & #sounds-list { height: 1fr; }
        & #sounds-pictures { height: 17; }
        & Waveform { height: 6; }
        & MelPicture { height: 1fr; }
        & > #sounds-said { height: 5; }
    }
    .-narrow SoundsView {
        & > #sounds-body { layout: horizontal; }
        & #sounds-list { width: 30; }
        & #sounds-pictures { height: 1fr; padding: 0 0 0 2; }
        & Waveform { height: 4; }
        & > #sounds-said { height: 4; }
    }
    """

    def __init__(self) -> None:
        super().__init__(id="sounds")
        self.listing = Listing(_COLUMNS, empty="no sounds are here", id="sounds-list")
        self._title = Lines(id="sounds-title")
        self._said = Lines(id="sounds-said")
        self._waveform, self._mel = Waveform(), MelPicture()
        self._paths: dict[str, Path] = {}
        self._words = self._line = ""

    def compose(self) -> ComposeResult:
        """Lay out the files, the pictures and the lines."""
        yield self._title
        with Container(id="sounds-body"):
            yield self.listing
            with Vertical(id="sounds-pictures"):
                yield self._waveform
                yield self._mel
        yield self._said

    @property
    def text(self) -> str:
        """What is said below the list."""
        return f"{self._title.text}\n{self._said.text}"

    @property
    def path(self) -> Path | None:
        """The sound one stands on."""
        return self._paths.get(self.listing.rows.key)

    def first_focus(self) -> Widget:
        """Return the list."""
        return self.listing.rows

    async def show(self, model_name: str, paths: Sequence[Path], chosen: Path | None = None) -> None:
        """Show these sounds, the cursor on one of them."""
        self._paths = {str(path): path for path in paths}
        rows = await asyncio.to_thread(lambda: [_row(path) for path in paths])
        self._title.show(
            [[(f"sounds of {api.shown(model_name)}", "strong"), ("  y, Y copy a line; esc goes back", "dim")]]
        )
        self.listing.rows.show(rows)
        self.listing.rows.go_to(str(chosen or (paths[0] if paths else "")))
        self._look()

    def action_copy_play(self) -> None:
        """Copy the line that plays the sound."""
        self._copy(clipboard.play_line)

    def action_copy_fetch(self) -> None:
        """Copy the line that fetches the sound."""
        self._copy(clipboard.fetch_line)

    @work(group="copy", exclusive=True)
    async def _copy(self, line_for: Callable[[Path], str]) -> None:
        if (path := self.path) is not None:
            line = line_for(path)
            self._say(await clipboard.copy(self.app, line), api.shown(line))

    @on(Rows.Moved)
    def _moved(self, event: Rows.Moved) -> None:
        event.stop()
        self._look()

    @on(Rows.Chosen)
    def _chosen(self, event: Rows.Chosen) -> None:
        event.stop()
        self.action_copy_play()

    def _look(self) -> None:
        path = self.path
        self._say("", "" if path is None else api.shown(str(path)))
        if path is not None:
            self._draw(path)

    def _say(self, words: str, line: str) -> None:
        """Show a line whole, however many rows it takes, below words on it."""
        self._words, self._line = words, line
        self._draw_said()

    def on_resize(self) -> None:
        """Cut the line anew, once it is known how much room there is."""
        self.call_after_refresh(self._draw_said)

    def _draw_said(self) -> None:
        words, line = self._words, self._line
        width = max(20, self._said.size.width)
        rows = [[(words, "dim")]] if words else []
        self._said.show([*rows, *([(piece, "")] for piece in _cut(line, width))])

    @work(group="pictures", exclusive=True)
    async def _draw(self, path: Path) -> None:
        await asyncio.sleep(_SECONDS_BEFORE_DRAWING)
        given_up = threading.Event()
        try:
            waveform, mel = await asyncio.to_thread(_pictures, path, given_up.is_set)
        except api.DistillError as error:
            self._say(f"it can't be shown: {api.shown(error.message)}", api.shown(str(path)))
            return
        finally:
            given_up.set()
        self._waveform.show(waveform.low, waveform.high, seconds=waveform.seconds)
        self._mel.show(mel.decibels, hertz=mel.hertz, seconds=mel.seconds)


def _pictures(path: Path, should_stop: Callable[[], bool]) -> tuple[WaveformPicture, MelLevels]:
    waveform = api.waveform_picture(path, _PICTURE_COLUMNS, should_stop=should_stop)
    return waveform, api.mel_picture(path, _PICTURE_COLUMNS, _PICTURE_ROWS, should_stop=should_stop)


def _row(path: Path) -> Row:
    try:
        status = path.stat()
    except OSError:
        return Row(
            key=str(path), cells=(Cell(text=api.shown(path.name)), Cell(text="gone"), Cell(text="")), tone="warn"
        )
    cells = (
        Cell(text=api.shown(path.name)),
        Cell(text=api.size(status.st_size), order=status.st_size),
        Cell(text=local_minute(status.st_mtime), order=status.st_mtime),
    )
    return Row(key=str(path), cells=cells)


def _cut(line: str, width: int) -> list[str]:
    """Return a line in pieces that put together are exactly it, so that it can be copied by hand."""
    pieces = []
    while line:
        pieces.append(api.cut(line, width) or line[0])
        line = line[len(pieces[-1]) :]
    return pieces
