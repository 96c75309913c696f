"""The worker's log of the run that is watched: its end as it grows, or any place in it, and searching.

Keys are noted and carried out one after the other in a thread, each from the page that the one before came to: a log on
a slow disk makes pages late, and never the keys of the rest of the dashboard. Whoever is at the end follows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.events import Resize
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from distill_engine import api
from distill_tui.actions import key_of
from distill_tui.bindings import bindings
from distill_tui.format import Words
from distill_tui.runs import log_file
from distill_tui.runs.log_file import Page
from distill_tui.screens.pane import distill_of
from distill_tui.widgets.line import Lines
from distill_tui.widgets.text_line import TextLine

LOOK_SECONDS = 1.0
"""How often a log that is followed is looked at for more."""

Turn = Callable[[Path, Page, int], Page]
"""Makes another page of so many rows, of the log and the page shown before. Blocks."""


@dataclass(frozen=True, kw_only=True)
class _Way:
    """Where a search begins, whether it goes up from there or down, and what is said of a place found in this way."""

    offset: int
    up: bool
    said: str = ""


class LogLines(Lines):
    """The lines of the page."""

    DEFAULT_CSS = "LogLines { height: 1fr; }"

    class Resized(Message):
        """There is room for more lines now, or for fewer."""

    def on_resize(self, _event: Resize) -> None:
        """Say so."""
        self.post_message(self.Resized())


class SearchLine(TextLine):
    """The line one types into what to look for."""

    DEFAULT_CSS = """
    SearchLine { height: 1; border: none; padding: 0 1; background: $panel; display: none; }
    SearchLine:focus { border: none; }
    SearchLine.-open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "leave", "Give up")]

    def __init__(self) -> None:
        super().__init__(placeholder="text to look for: enter looks from here upwards, esc gives up", compact=True)

    def action_leave(self) -> None:
        """Close without looking for anything."""
        self.value = ""
        self.post_message(self.Submitted(self, "", None))


class LogView(Widget, can_focus=True):
    """The worker's log."""

    PLACE: ClassVar[str] = "log"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("log")]
    DEFAULT_CSS = """
    LogView { layout: vertical; width: 1fr; height: 1fr; }
    LogView > .log--head { height: 1; padding: 0 1; }
    LogView > LogLines { padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._head = Lines(classes="log--head")
        self._lines = LogLines()
        self._search = SearchLine()
        self._path: Path | None = None
        self._page = Page()
        self._turns: list[Turn] = []
        self._left = 0
        self._text = ""
        self._found: int | None = None
        """Where the line begins that was found last."""
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Lay out where the log is, its lines, and the line for searching."""
        yield self._head
        yield self._lines
        yield self._search

    def on_mount(self) -> None:
        """Look at the log again and again while it is shown and followed."""
        self._timer = self.set_interval(LOOK_SECONDS, self._look, pause=True)
        self.watch(distill_of(self), "run_view", self._watch_run)

    # What it shares with the other views.

    def shown(self) -> None:
        """Show the log as it is now."""
        if self._timer:
            self._timer.resume()
        self._turn(_same)

    def hidden(self) -> None:
        """Look at nothing any more."""
        if self._timer:
            self._timer.pause()

    def first_focus(self) -> Widget:
        """Return the view itself: its lines are moved by its own keys."""
        return self

    # Which log, and which part of it.

    def _watch_run(self) -> None:
        view = distill_of(self).run_view
        path = view.folder.worker_log if view else None
        if path != self._path:
            self._path = path
            self._page, self._left, self._found = Page(), 0, None
            self._turn(_same)

    def _look(self) -> None:
        if self._page.is_last:
            self._turn(_same)

    @property
    def _rows(self) -> int:
        return max(1, self._lines.size.height)

    def _turn(self, turn: Turn) -> None:
        """Do this after all that was asked before."""
        self._turns.append(turn)
        if len(self._turns) == 1:
            self._take_turns()

    @work(group="turns")
    async def _take_turns(self) -> None:
        try:
            while self._turns:
                path, turn = self._path, self._turns[0]
                page = Page() if path is None else await asyncio.to_thread(turn, path, self._page, self._rows)
                self._turns.pop(0)
                if path == self._path:
                    self._page = page
                if not self._turns:
                    self._draw()
        except OSError as error:
            distill_of(self).say(f"the log can't be read: {error.strerror}", severity="warning")
        finally:
            self._turns.clear()

    # Moving.

    def _move(self, lines: int) -> None:
        self._turn(lambda path, page, rows: log_file.moved(path, page, lines, rows))

    def action_down(self) -> None:
        """Go down a line."""
        self._move(1)

    def action_up(self) -> None:
        """Go up a line."""
        self._move(-1)

    def action_page_down(self) -> None:
        """Go down a page."""
        self._move(max(1, self._rows - 1))

    def action_page_up(self) -> None:
        """Go up a page."""
        self._move(-max(1, self._rows - 1))

    def action_first(self) -> None:
        """Go to the beginning."""
        self._turn(lambda path, _page, rows: log_file.page_at(path, 0, rows))

    def action_last(self) -> None:
        """Go to the end, and follow it."""
        self._turn(lambda path, _page, rows: log_file.last_page(path, rows))

    def action_right(self) -> None:
        """Show what lies further right."""
        longest = max((len(line.text) for line in self._page.lines), default=0)
        if longest > self._left + self._columns:
            self._left += self._columns // 2
            self._draw()

    def action_left(self) -> None:
        """Go back to the left."""
        self._left = max(0, self._left - self._columns // 2)
        self._draw()

    # Searching.

    def action_search(self) -> None:
        """Ask for what to look for."""
        self._search.add_class("-open")
        self._search.focus()

    @on(Input.Submitted)
    def _begin_search(self, event: Input.Submitted) -> None:
        event.stop()
        self._search.remove_class("-open")
        self.focus()
        if event.value:
            self._text, self._found = event.value, None
            # From here upwards first, for of what went wrong one looks for the last.
            self._find(_Way(offset=self._page.stop, up=True), _Way(offset=self._page.stop, up=False))

    def action_next(self) -> None:
        """Go to the next line with the text."""
        if self._text:
            here = self._page.start if self._found is None else self._after_found()
            said = f"{api.shown(self._text)} isn't in the log below: this is the first from its beginning"
            self._find(_Way(offset=here, up=False), _Way(offset=0, up=False, said=said))

    def action_previous(self) -> None:
        """Go to the line before with the text."""
        if self._text:
            here, end = self._page.stop if self._found is None else self._found, self._page.size or 0
            said = f"{api.shown(self._text)} isn't in the log above: this is the last, from its end"
            self._find(_Way(offset=here, up=True), _Way(offset=end, up=True, said=said))

    def _after_found(self) -> int:
        """Return where the line after the one that was found begins, or at least a byte further."""
        starts = [line.start for line in self._page.lines] + [self._page.stop]
        assert self._found is not None
        return next((start for start in starts if start > self._found), self._found + 1)

    @work(group="search", exclusive=True)
    async def _find(self, *ways: _Way) -> None:
        """Look for the text in these ways, one after the other, until it is found."""
        try:
            for way in ways:
                if self._path is not None and (place := await self._place_of_text(self._path, way)) is not None:
                    self._show_found(place)
                    distill_of(self).say(way.said)
                    return
        except OSError as error:
            distill_of(self).say(f"the log can't be read: {error.strerror}", severity="warning")
            return
        distill_of(self).say(f"{api.shown(self._text)} isn't in the log")
        self._draw()

    async def _place_of_text(self, path: Path, way: _Way) -> int | None:
        """Look for the text in a thread, and say every half second how far that is."""
        stopped, at = False, way.offset
        length = max(1, way.offset if way.up else (self._page.size or 0) - way.offset)

        def note(place: int) -> None:
            nonlocal at
            at = place

        find = partial(log_file.found, path, self._text, way.offset, backwards=way.up)
        task = asyncio.create_task(asyncio.to_thread(find, should_stop=lambda: stopped, on_progress=note))
        try:
            while not (await asyncio.wait([task], timeout=0.5))[0]:
                distill_of(self).say(f"looking for {api.shown(self._text)}: {100 * abs(at - way.offset) // length} %")
            return await task
        finally:
            stopped = True
            task.cancel()

    def _show_found(self, place: int) -> None:
        self._found = place
        if any(line.start == place for line in self._page.lines):
            self._draw()
        else:
            self._turn(partial(_around, place))

    # Drawing.

    @on(LogLines.Resized)
    def _fill(self) -> None:
        self._turn(_same)

    @property
    def _columns(self) -> int:
        return max(4, self._lines.content_size.width - 2)

    def _draw(self) -> None:
        self._head.show([self._head_words()])
        self._lines.show(self._words() if self._page.lines else self._nothing())

    def _head_words(self) -> Words:
        if self._path is None or self._page.size is None:
            return [("worker log", "strong")]
        page, size = self._page, self._page.size or 0
        share = "follows its end" if page.is_last else f"{100 * page.stop // max(1, size)} %"
        right = f", from column {self._left + 1:,}" if self._left else ""
        told: list[tuple[str, str]] = [("worker log", "strong"), (f"  {api.size(size)}", "")]
        if page.lines:
            told.append((f", {share}{right}", "" if page.is_last else "accent"))
        return [*told, (f"  {api.shown(str(self._path))}", "dim")]

    def _nothing(self) -> Sequence[Words]:
        if self._path is None:
            return [[], [(f"no run is watched; {key_of('training.runs')} lists them", "dim")]]
        if self._page.size is None:
            return [[], [("this run has no log of its own yet", "dim")], *self._where()]
        return [
            [],
            [("the log is empty, as it is while all is well:", "dim")],
            [("only what libraries complain of and what went wrong stands there", "dim")],
        ]

    def _where(self) -> Sequence[Words]:
        return [[(f"it would be {api.shown(str(self._path))}", "dim")]]

    def _words(self) -> list[Words]:
        return [self._line_words(line.text, is_found=line.start == self._found) for line in self._page.lines]

    def _line_words(self, text: str, *, is_found: bool) -> Words:
        """Return a line as it is seen: moved left, marked where it was found, and cut with a sign that says so."""
        columns, needle = self._columns, self._text.lower()
        seen = text[self._left : self._left + columns]
        words: list[tuple[str, str]] = [("> " if is_found else "  ", "accent")]
        while needle and (at := seen.lower().find(needle)) >= 0:
            words += [(seen[:at], ""), (seen[at : at + len(needle)], "found")]
            seen = seen[at + len(needle) :]
        if len(text) > self._left + columns:
            return [*words, (seen[:-1], ""), (">", "accent")]
        return [*words, (seen, "")]


def _same(path: Path, page: Page, rows: int) -> Page:
    """Return the same place again, or the end where that was shown."""
    return log_file.last_page(path, rows) if page.is_last else log_file.page_at(path, page.start, rows)


def _around(place: int, path: Path, _page: Page, rows: int) -> Page:
    """Return the page on which a third of the lines stand above the one that begins at `place`."""
    return log_file.moved(path, log_file.page_at(path, place, 1), -(rows // 3), rows)
