"""The Datasets screen: the known folders of recordings, and in their place the one that is opened.

What an opened folder needs (pictures, and with them numpy) is imported when the first one is opened.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget

from distill_engine import api
from distill_tui.actions import key_of
from distill_tui.bindings import bindings
from distill_tui.datasets import corpora, dataset_words
from distill_tui.datasets.corpora import Known
from distill_tui.screens.pane import NARROW, Pane, distill_of
from distill_tui.widgets.line import Lines
from distill_tui.widgets.listing import Cell, Column, Listing, Row, Rows
from distill_tui.widgets.paragraphs import Paragraphs

if TYPE_CHECKING:
    from distill_tui.screens.dataset_view import DatasetView


class DatasetsPane(Pane):
    """Folders of recordings."""

    PLACE = "datasets"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("datasets")]
    DEFAULT_CSS = "DatasetsPane > .-away { display: none; }"

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.corpora = CorporaView()
        self.dataset: DatasetView | None = None

    def compose(self) -> ComposeResult:
        """Lay out the list of known folders."""
        yield self.corpora

    def on_mount(self) -> None:
        """Mark the draft's folder in the list."""
        self.watch(self.distill, "form", self._show_draft, init=False)

    def shown(self) -> None:
        """Look again which folders there are."""
        self.corpora.look()
        if self.dataset:
            self.dataset.show_use()
            self.dataset.count_along()

    def hidden(self) -> None:
        """Count no files any more for who doesn't see it."""
        super().hidden()
        if self.dataset:
            self.dataset.count_along()

    def first_focus(self) -> Widget:
        """Return the files of the opened folder, else the known folders."""
        opened = self.dataset if self.dataset and not self.dataset.has_class("-away") else None
        return opened.listing.rows if opened else self.corpora.listing.rows

    def _show_draft(self) -> None:
        if self.is_shown:
            self.corpora.draw()
            if self.dataset:
                self.dataset.show_use()

    @work(group="open", exclusive=True)
    async def open(self, folder: Path) -> None:
        """Show what is in a folder, in place of the list."""
        if self.dataset is None:
            module = await asyncio.to_thread(importlib.import_module, "distill_tui.screens.dataset_view")
            self.dataset = module.DatasetView()
            await self.mount(self.dataset)
        self._turn(to_dataset=True)
        self.dataset.open(folder)

    def _turn(self, *, to_dataset: bool) -> None:
        self.corpora.set_class(to_dataset, "-away")
        if self.dataset:
            self.dataset.set_class(not to_dataset, "-away")
        if self.is_shown:
            self.first_focus().focus()

    def on_corpora_view_opened(self, event: CorporaView.Opened) -> None:
        """Open the folder that was chosen."""
        self.open(event.folder)

    def on_dataset_view_left(self, event: DatasetView.Left) -> None:
        """Show the list of known folders again, the cursor on the one that was left."""
        self._turn(to_dataset=False)
        self.corpora.draw()
        self.corpora.listing.rows.go_to(str(event.folder))
        self.corpora.look()

    @work(group="ask")
    async def action_add(self) -> None:
        """Ask for a path and open the folder."""
        from distill_tui.screens.folder_dialogs import PathPrompt  # noqa: PLC0415 - not needed for the first screen

        folder = await self.distill.push_screen_wait(PathPrompt())
        if folder is not None:
            self.open(folder)

    @work(group="ask")
    async def action_browse(self) -> None:
        """Let the person go through the tree of folders and open the one they take."""
        from distill_tui.screens.folder_dialogs import FolderTree  # noqa: PLC0415 - not needed for the first screen

        folder = await self.distill.push_screen_wait(FolderTree(self._beginning()))
        if folder is not None:
            self.open(folder)

    def _beginning(self) -> Path:
        """Return where the tree begins: beside the folder that was used last, else at home."""
        last = self.corpora.latest
        return last.parent if last else Path.home()


class CorporaView(Vertical):
    """The known folders, and what is known of the one under the cursor."""

    PLACE: ClassVar[str] = "corpora"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("corpora"), ("enter", "open", "Open")]
    DEFAULT_CSS = """
    CorporaView {
        & > #corpora-head { height: 2; padding: 0 1; }
        &.-none > #corpora-head { height: 6; }
        & > Horizontal { padding: 0 1; }
        & #corpus { width: 42; height: 1fr; margin-left: 2; }
        &.-narrow > Horizontal { layout: vertical; }
        &.-narrow #corpus { width: 1fr; height: 5; margin: 1 0 0 0; }
        &.-none #corpus { display: none; }
    }
    """

    def __init__(self) -> None:
        super().__init__(id="corpora")
        self.head = Lines(id="corpora-head")
        self.listing = Listing(
            [
                Column(title="folder"),
                Column(title="", width=10),
                Column(title="files", width=7, right=True),
                Column(title="length", width=12, right=True),
                Column(title="rates", width=14, right=True, rank=2),
                Column(title="last used", width=14, rank=1),
            ],
            empty="",
        )
        self.facts = Paragraphs(id="corpus")
        self._uses: tuple[corpora.Use, ...] = ()
        self._gone: frozenset[str] = frozenset()
        self._known: dict[str, Known] = {}

    def compose(self) -> ComposeResult:
        """Lay out heading, list and facts."""
        yield self.head
        with Horizontal():
            yield self.listing
            yield self.facts

    @property
    def latest(self) -> Path | None:
        """The folder that was used last and is still there."""
        return next((one.path for path, one in self._known.items() if path not in self._gone), None)

    @work(group="look", exclusive=True)
    async def look(self) -> None:
        """Show what is remembered at once, and then what the runs and the disk say."""
        self.draw()
        self._uses = await asyncio.to_thread(corpora.uses_by_runs)
        self._gone = await asyncio.to_thread(corpora.gone, self._now_known())
        self.draw()

    def _now_known(self) -> tuple[Known, ...]:
        return corpora.known(distill_of(self).memory.corpora, self._uses)

    def draw(self) -> None:
        """Draw the list anew; only what changed is sent."""
        found = self._now_known()
        self._known = {one.corpus.path: one for one in found}
        self.set_class(not found, "-none")
        now = time.time()
        self.listing.rows.show([self._row(one, now) for one in found])
        self._draw_head()
        self._draw_facts()

    def _row(self, one: Known, now: float) -> Row:
        corpus = one.corpus
        is_gone = corpus.path in self._gone
        mark = Cell(text="gone", tone="bad") if is_gone else Cell(text="")
        if self._is_next(one):
            mark = Cell(text="next run", tone="accent")
        return Row(
            key=corpus.path,
            tone="dim" if is_gone else "",
            cells=(
                Cell(text=api.shown(one.path.name or corpus.path)),
                mark,
                Cell(text=f"{corpus.recordings:,}" if one.looked else "", order=corpus.recordings),
                Cell(text=api.duration(corpus.seconds) if one.looked else "", order=corpus.seconds),
                Cell(text=dataset_words.rates(corpus.rates), order=max(corpus.rates, default=0)),
                Cell(text=api.ago(corpus.used, now), order=-corpus.used),
            ),
        )

    def _is_next(self, one: Known) -> bool:
        form = distill_of(self).form
        return form is not None and form.dataset == one.path

    def _draw_head(self) -> None:
        if self._known:
            count = api.counted(len(self._known), "folder")
            self.head.show(
                [[("Folders of recordings", "strong"), (f"  {count}, the last used first; enter opens one", "dim")]]
            )
            return
        self.head.show(
            [
                [("No folder of recordings is known yet.", "strong")],
                [],
                [(f"  {key_of('datasets.add')}", "accent"), ("  types the path of one; tab completes it", "")],
                [(f"  {key_of('datasets.browse')}", "accent"), ("  finds one in the tree of folders", "")],
                [],
                [("5 to 500 WAV, AIFF, FLAC, Ogg, Opus or MP3 files do. They are read, never written to.", "dim")],
            ]
        )

    @on(Rows.Moved)
    def _draw_facts(self) -> None:
        one = self._known.get(self.listing.rows.key)
        is_gone, is_next = (one.corpus.path in self._gone, self._is_next(one)) if one else (False, False)
        now = time.time()
        self.facts.write(
            lambda width: (
                dataset_words.corpus_lines(one, is_gone=is_gone, is_next=is_next, width=width, now=now) if one else []
            )
        )

    def on_resize(self, event: events.Resize) -> None:
        """Put the facts below the list where there is no room beside it."""
        self.set_class(event.size.width < NARROW, "-narrow")

    @on(Rows.Chosen)
    def action_open(self) -> None:
        """Open the folder under the cursor."""
        if key := self._key_or_say():
            self.post_message(self.Opened(Path(key)))

    @work(group="forget")
    async def action_forget(self) -> None:
        """Take the folder under the cursor off the list, after a question."""
        from distill_tui.screens.dialogs import Question  # noqa: PLC0415 - not needed for the first screen

        app, path = distill_of(self), self._key_or_say()
        if not path:
            return
        name = api.shown(Path(path).name or path)
        stays = f"The folder itself stays as it is: {api.shown(path)}"
        if await app.push_screen_wait(Question(f"Take {name} off the list?", stays, yes="forget it", no="keep it")):
            app.remember(corpora=corpora.without(app.memory.corpora, path, time.time()))
            app.say(f"{api.shown(path)} is off the list; the folder itself stays as it is")
            self.draw()

    def _key_or_say(self) -> str:
        """Return the path of the folder under the cursor; say why where there is none."""
        if not self.listing.rows.key:
            add = key_of("datasets.add")
            distill_of(self).say(
                "no folder is chosen" if self._known else f"no folder is known yet; {add} types the path of one"
            )
        return self.listing.rows.key

    class Opened(Message):
        """A folder was chosen."""

        def __init__(self, folder: Path) -> None:
            super().__init__()
            self.folder = folder
