"""Two ways to name a folder: type its path, which tab completes, or go through the tree. Each returns it, or None.

Folders are listed in a thread: one on a network that hangs must not keep a key waiting.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from distill_engine import api
from distill_tui.actions import actions_in, key_of, key_words
from distill_tui.bindings import bindings
from distill_tui.datasets.path_completion import Inside, is_folder, look_inside, meant
from distill_tui.screens.dialogs import Dialog
from distill_tui.screens.pane import REST_SECONDS
from distill_tui.widgets.line import Lines
from distill_tui.widgets.listing import Cell, Column, Listing, Row, Rows
from distill_tui.widgets.path_entry import PathEntry, contents

HERE = "."
"""The key of the row that stands for the folder one is in."""


class PathPrompt(Dialog[Path | None]):
    """A line to type the path of a folder into, with what may follow."""

    DEFAULT_CSS = "PathPrompt > .dialog { width: 84; }"
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "give_up", "Give up")]

    def __init__(self) -> None:
        super().__init__()
        self._entry = PathEntry(placeholder="/path/of/a/folder or ~/one/at/home")
        self.line = self._entry.line

    def compose(self) -> ComposeResult:
        """Lay out label, line, candidates and hint."""
        with Vertical(classes="dialog"):
            yield Static("Folder of recordings")
            yield self._entry
            yield Static("enter opens it, tab completes, esc gives up", classes="dialog--hint")

    @on(Input.Submitted)
    @work(group="take", exclusive=True)
    async def _take(self) -> None:
        """Return the folder, if there is one of that name."""
        folder = meant(self.line.value)
        if not self.line.value.strip():
            self._entry.say("type the path of a folder, or press esc", "warn")
        elif await asyncio.to_thread(is_folder, folder):
            self.dismiss(folder)
        else:
            self._entry.say(f"there is no folder {api.shown(str(folder))}", "bad")

    def action_give_up(self) -> None:
        """Return nothing."""
        self.dismiss(None)


class FolderTree(Dialog[Path | None]):
    """The folders of one folder at a time; one goes in and up, and takes one."""

    PLACE: ClassVar[str] = "folders"
    DEFAULT_CSS = "FolderTree > .dialog { width: 84; height: 90%; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("folders"),
        ("backspace", "leave", "Up"),
        ("escape", "give_up", "Give up"),
    ]

    def __init__(self, folder: Path) -> None:
        """Begin in `folder`, or in the nearest one above it that there is."""
        super().__init__()
        self.listing = Listing([Column(title="folder")], empty="")
        self._path = Lines()
        self._words = Lines()
        self._keys = Static(classes="dialog--hint")
        self._folder = folder
        self._inside = Inside()
        self._with_hidden = False

    def compose(self) -> ComposeResult:
        """Lay out where one is, its folders, what is in the one under the cursor, and the keys."""
        with Vertical(classes="dialog"):
            yield self._path
            yield self.listing
            yield self._words
            yield self._keys

    def on_mount(self) -> None:
        """List the first folder."""
        app = self.app
        keys = key_words(actions_in("folders"), ascii_only=getattr(app, "ascii_only", False))
        words = ", ".join(f"{key} {label}" for key, label in (("enter", "go in"), *keys[1:], ("esc", "give up")))
        self._keys.update(Content(words))
        self.listing.rows.focus()
        self._go_to(self._folder)

    @work(group="list", exclusive=True)
    async def _go_to(self, folder: Path, cursor: str = HERE) -> None:
        """Show a folder's folders, with the cursor on one."""
        while not await asyncio.to_thread(is_folder, folder) and folder != folder.parent:
            folder = folder.parent
        inside = await asyncio.to_thread(look_inside, folder)
        self._folder, self._inside = folder, inside
        self._path.show([[(api.shown(str(folder)), "strong")]])
        self._draw()
        self.listing.rows.go_to(cursor)
        self._say()

    def _draw(self) -> None:
        here = Row(key=HERE, cells=(Cell(text=f". (this folder: {contents(self._inside)})"),))
        names = [name for name in self._inside.folders if self._with_hidden or not name.startswith(".")]
        self.listing.rows.show([here, *(Row(key=name, cells=(Cell(text=f"{api.shown(name)}/"),)) for name in names)])

    @on(Rows.Moved)
    @work(group="words", exclusive=True)
    async def _say(self) -> None:
        """Say what is in the folder under the cursor, once the cursor rests there."""
        name = self.listing.rows.key
        if name in ("", HERE):
            self._words.show([[(f"enter or {key_of('folders.take')} takes this folder", "dim")]])
            return
        await asyncio.sleep(REST_SECONDS)
        inside = await asyncio.to_thread(look_inside, self._folder / name)
        self._words.show([[(f"{api.shown(name)}: {contents(inside)}", "dim")]])

    @on(Rows.Chosen)
    def action_enter(self) -> None:
        """Go into the folder under the cursor; take the one that one is in."""
        name = self.listing.rows.key
        if name == HERE:
            self.dismiss(self._folder)
        elif name:
            self._go_to(self._folder / name)

    def action_leave(self) -> None:
        """Go to the folder above, with the cursor on the one that one comes from."""
        if self._folder != self._folder.parent:
            self._go_to(self._folder.parent, self._folder.name)

    def action_take(self) -> None:
        """Return the folder under the cursor."""
        name = self.listing.rows.key
        self.dismiss(self._folder if name in ("", HERE) else self._folder / name)

    def action_hidden(self) -> None:
        """Show hidden folders, or no longer."""
        self._with_hidden = not self._with_hidden
        self._draw()

    def action_give_up(self) -> None:
        """Return nothing."""
        self.dismiss(None)
