"""The sounds that were made of a model: their files, pictures of the one under the cursor, and lines to hear it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.widget import Widget

from distill_engine import api
from distill_tui import clipboard
from distill_tui.actions import key_of
from distill_tui.bindings import bindings
from distill_tui.datasets import corpora
from distill_tui.library.model_words import local_minute
from distill_tui.pictures import pictures_of
from distill_tui.screens.choice import Choice
from distill_tui.screens.pane import REST_SECONDS, distill_of
from distill_tui.widgets.copied import CopiedLine
from distill_tui.widgets.line import Lines
from distill_tui.widgets.listing import Cell, Column, Listing, Row, Rows
from distill_tui.widgets.picture import MelPicture, Waveform
from distill_tui.widgets.status_line import Severity

if TYPE_CHECKING:
    from distill_tui.app import DistillApp

_COLUMNS = (
    Column(title="file", keep_end=True),
    Column(title="size", width=8, right=True, rank=2),
    Column(title="made", width=16, rank=1),
    Column(title="", width=1),
)


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
        & > CopiedLine { min-height: 5; }
    }
    .-narrow SoundsView {
        & > #sounds-body { layout: horizontal; }
        & #sounds-list { width: 30; }
        & #sounds-pictures { height: 1fr; padding: 0 0 0 2; }
        & Waveform { height: 4; }
        & > CopiedLine { min-height: 4; }
    }
    """

    def __init__(self) -> None:
        super().__init__(id="sounds")
        self.listing = Listing(_COLUMNS, empty="no sounds are here", id="sounds-list")
        self._title = Lines(id="sounds-title")
        self._said = CopiedLine(id="sounds-said")
        self._waveform, self._mel = Waveform(), MelPicture()
        self._paths: dict[str, Path] = {}
        self._rows: list[Row] = []
        self._marked: frozenset[str] = frozenset()

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
        self._rows = await asyncio.to_thread(lambda: [_row(path) for path in paths])
        self._marked = self._marked.intersection(self._paths)
        copies = f"{key_of('sounds.copy_play')}, {key_of('sounds.copy_fetch')} copy a line"
        keys = f"  {copies}; {key_of('library.back')} goes back"
        self._title.show([[(f"sounds of {api.shown(model_name)}", "strong"), (keys, "dim")]])
        self._draw_rows()
        self.listing.rows.go_to(str(chosen or (paths[0] if paths else "")))
        self._look()

    def action_copy_play(self) -> None:
        """Copy the line that plays the sound."""
        self._said.copy(self.path, clipboard.play_line)

    def action_copy_fetch(self) -> None:
        """Copy the line that fetches the sound."""
        self._said.copy(self.path, clipboard.fetch_line)

    def _draw_rows(self) -> None:
        self.listing.rows.show([_marked(row) if row.key in self._marked else row for row in self._rows])

    def action_mark(self) -> None:
        """Mark the sound, or no longer, and go to the next."""
        if key := self.listing.rows.key:
            self._marked ^= {key}
            self._draw_rows()
            self.listing.rows.action_down()

    @work(group="add", exclusive=True)
    async def action_add(self) -> None:
        """Ask for a known folder of recordings and copy the marked sounds there, or the one under the cursor."""
        chosen = [path for key, path in self._paths.items() if key in self._marked]
        chosen = chosen or ([self.path] if self.path else [])
        app = distill_of(self)
        if not chosen or (folder := await _chosen_folder(app, chosen)) is None:
            return
        refused: list[api.DistillError] = []
        for path in chosen:
            try:
                await asyncio.to_thread(api.add_to_corpus, path, folder)
            except api.DistillError as error:
                refused.append(error)
            else:
                self._marked -= {str(path)}
                self._draw_rows()
        app.say(*_told_of_copies(len(chosen), folder, refused))

    @on(Rows.Moved)
    def _moved(self, event: Rows.Moved) -> None:
        event.stop()
        self._look()

    @on(Rows.Chosen)
    def _chosen(self, event: Rows.Chosen) -> None:
        event.stop()
        self.action_copy_play()

    def _look(self) -> None:
        if (path := self.path) is None:
            self._said.close()
        else:
            self._said.show_line("", str(path))
            self._draw(path)

    @work(group="pictures", exclusive=True)
    async def _draw(self, path: Path) -> None:
        await asyncio.sleep(REST_SECONDS)
        try:
            drawn = await pictures_of(path)
        except api.DistillError as error:
            self._said.show_line(f"it can't be shown: {api.shown(error.message)}", str(path))
            return
        self._waveform.show(drawn.waveform.low, drawn.waveform.high, seconds=drawn.waveform.seconds)
        self._mel.show(drawn.mel.decibels, hertz=drawn.mel.hertz, seconds=drawn.mel.seconds)


def _told_of_copies(wanted: int, folder: Path, refused: Sequence[api.DistillError]) -> tuple[str, str, Severity]:
    """Return what became of sounds that were to be copied, a hint, and how grave that is."""
    if not refused:
        copied = f"{api.counted(wanted, 'sound')} copied to {api.shown(str(folder))}"
        return copied, "their tags say that a model made them", "information"
    why = "; ".join(dict.fromkeys(error.message for error in refused))
    return f"{wanted - len(refused):,} copied, {len(refused):,} not: {why}", refused[0].hint, "warning"


async def _chosen_folder(app: DistillApp, sounds: Sequence[Path]) -> Path | None:
    """Let one choose where the sounds go, among the folders that are known."""
    uses = await asyncio.to_thread(corpora.uses_by_runs)
    known = corpora.known(app.memory.corpora, uses)
    what = api.shown(sounds[0].name) if len(sounds) == 1 else api.counted(len(sounds), "sound")
    rows = [
        Row(key=one.corpus.path, cells=(Cell(text=api.shown(one.path.name)), Cell(text=api.shown(one.corpus.path))))
        for one in known
    ]
    columns = [Column(title="folder", width=18), Column(title="where", keep_end=True)]
    empty = f"no folder is known yet; {key_of('datasets.add')} in Datasets adds one"
    key = await app.push_screen_wait(Choice(f"Copy {what} to which folder of recordings?", columns, rows, empty=empty))
    return Path(key) if key else None


def _marked(row: Row) -> Row:
    return replace(row, cells=(*row.cells[:-1], Cell(text="+", tone="accent")))


def _row(path: Path) -> Row:
    try:
        status = path.stat()
    except OSError:
        return Row(
            key=str(path),
            cells=(Cell(text=api.shown(path.name)), Cell(text="gone"), Cell(text=""), Cell(text="")),
            tone="warn",
        )
    cells = (
        Cell(text=api.shown(path.name)),
        Cell(text=api.size(status.st_size), order=status.st_size),
        Cell(text=local_minute(status.st_mtime), order=status.st_mtime),
        Cell(text=""),
    )
    return Row(key=str(path), cells=cells)
