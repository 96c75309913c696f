"""A line to type a path into, which tab completes, and below it what may follow.

Folders are listed in a thread: one on a network that hangs must not keep a key waiting.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input

from distill_engine import api
from distill_tui.datasets.path_completion import Completion, Inside, completion, window
from distill_tui.widgets.line import Lines
from distill_tui.widgets.text_line import TextLine

CANDIDATE_ROWS = 6


class PathEntry(Vertical):
    """Where a path is typed: of a folder, or with a `suffix` also of a file that ends so."""

    DEFAULT_CSS = """
    PathEntry { height: 8;
        & > .path--inside { height: 1; }
        & > .path--candidates { height: 6; }
    }
    """

    def __init__(self, value: str = "", *, suffix: str = "", placeholder: str = "") -> None:
        super().__init__()
        self.line = PathLine(value, placeholder=placeholder, compact=True, select_on_focus=False)
        self._suffix = suffix
        self._inside = Lines(classes="path--inside")
        self._candidates = Lines(classes="path--candidates")
        self._completion = Completion(typed="")
        self._chosen: int | None = None
        """Which candidate stands in the line while tab goes through them."""
        self._tab_waits = False

    def compose(self) -> ComposeResult:
        """Lay out the line and what may follow."""
        yield self.line
        yield self._inside
        yield self._candidates

    def on_mount(self) -> None:
        """Offer what is in the folder the line begins with."""
        self._look(self.line.value)

    def say(self, words: str, tone: str) -> None:
        """Say something right below the line, until one types on."""
        self._inside.show([[(words, tone)]])

    @on(Input.Changed)
    def _follow(self, event: Input.Changed) -> None:
        """Look what may follow what was typed; a second slash goes into the folder that tab put there."""
        if event.value.endswith("//"):
            self._chosen = None
            self._write(event.value.rstrip("/") + "/")
        elif self._chosen is None or event.value != self._completion.candidates[self._chosen]:
            self._chosen = None
            self._look(event.value)

    @work(group="look", exclusive=True)
    async def _look(self, text: str) -> None:
        self._completion = await asyncio.to_thread(completion, text, self._suffix)
        if self._tab_waits:
            self._complete()
        self._draw()

    def complete(self, step: int) -> None:
        """Complete as far as it is certain, else put the next (1) or previous (-1) candidate into the line."""
        count = len(self._completion.candidates)
        if self._chosen is not None:
            self._choose((self._chosen + step) % count)
        elif self._completion.typed != self.line.value:
            self._tab_waits = True
        else:
            self._complete()

    def _complete(self) -> None:
        self._tab_waits = False
        if self._completion.certain != self._completion.typed:
            self._write(self._completion.certain)
        elif self._completion.candidates:
            self._choose(0)

    def _choose(self, number: int) -> None:
        self._chosen = number
        self._write(self._completion.candidates[number])
        self._draw()

    def _write(self, text: str) -> None:
        self.line.value = text
        self.line.cursor_position = len(text)

    def _draw(self) -> None:
        in_words = _of_files if self._suffix else _of_folders
        self.say(in_words(self._completion, self._chosen), "dim")
        lines = window(self._completion.names, self._chosen, max(1, self._candidates.size.width), CANDIDATE_ROWS)
        self._candidates.show(
            [[piece for name, is_chosen in line for piece in _candidate(name, is_chosen)] for line in lines]
        )


class PathLine(TextLine):
    """The line itself: tab completes instead of moving on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("tab,down", "complete(1)", "Complete"),
        ("shift+tab,up", "complete(-1)", "The one before"),
    ]

    def action_complete(self, step: int) -> None:
        """Let the entry complete."""
        self.query_ancestor(PathEntry).complete(step)


def _candidate(name: str, is_chosen: bool) -> list[tuple[str, str]]:
    # Brackets too: which one stands in the line must show without colour.
    return [(f"[{name}]", "accent")] if is_chosen else [(f" {name} ", "")]


def _of_folders(completion: Completion, chosen: int | None) -> str:
    if chosen is not None:
        return f"{chosen + 1} of {len(completion.candidates)}; / goes into it, enter opens it"
    if completion.inside is not None:
        return contents(completion.inside)
    return "" if completion.candidates or not completion.typed else "no folder begins so"


def _of_files(completion: Completion, chosen: int | None) -> str:
    if chosen is None:
        return ""
    into = "; / goes into it" if completion.candidates[chosen].endswith("/") else ""
    return f"{chosen + 1} of {len(completion.candidates)}{into}"


def contents(inside: Inside) -> str:
    """Return in words what is right in a folder."""
    if inside.problem:
        return f"it can't be listed: {inside.problem}"
    words = api.counted(inside.recordings, "recording") if inside.recordings else "no recording"
    return f"{words} in it, {api.counted(len(inside.folders), 'folder')} below" if inside.folders else f"{words} in it"
