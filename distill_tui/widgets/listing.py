"""A list with columns that one moves in, filters and sorts by keys; it draws its own lines.

Textual's table is made for mice and many kinds of cells; this one holds plain words with tones, keeps the cursor on the
row it was on when rows come and go, and costs a line or two a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.events import Click, Resize
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from distill_engine import api
from distill_tui.bindings import bindings
from distill_tui.widgets.line import fitted
from distill_tui.widgets.text_line import TextLine
from distill_tui.widgets.tones import Tones

GAP = 2
"""Cells between two columns."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its title, and its width in cells, 0 for what the others leave."""

    title: str
    width: int = 0
    right: bool = False
    """Whether it is aligned at the right, as numbers are."""

    keep_end: bool = False
    """Whether what is too long loses its beginning, as files do that differ in their ends."""

    rank: int = 0
    """Columns of the highest rank are left out first where there is too little room; 0 never is."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What stands in a row under a column; `order` is what it is sorted by, the words themselves where it is None."""

    text: str
    tone: str = ""
    order: float | str | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the list. `key` tells it from all others and must be the same when it is shown again."""

    key: str
    cells: tuple[Cell, ...]
    tone: str = ""
    """Of all its words that have none of their own."""


class Rows(Widget, can_focus=True):
    """The lines themselves, under their headings."""

    PLACE: ClassVar[str] = "listing"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("listing"), ("enter", "choose", "Choose")]
    DEFAULT_CSS = "Rows { height: 1fr; width: 1fr; }"

    class Moved(Message):
        """The cursor came to another row; `key` is empty where there is none."""

        def __init__(self, rows: Rows, key: str) -> None:
            super().__init__()
            self.rows, self.key = rows, key

        @property
        def control(self) -> Rows:
            """The list it happened in."""
            return self.rows

    class Chosen(Message):
        """Enter was pressed on a row."""

        def __init__(self, rows: Rows, key: str) -> None:
            super().__init__()
            self.rows, self.key = rows, key

        @property
        def control(self) -> Rows:
            """The list it happened in."""
            return self.rows

    class FilterAsked(Message):
        """The key for filtering was pressed."""

    def __init__(self, columns: Sequence[Column], *, empty: str, id: str | None = None) -> None:  # noqa: A002
        """`empty` is said where there is no row, unless a filter hides some."""
        super().__init__(id=id)
        self.columns = tuple(columns)
        self._empty = empty
        self._all: tuple[Row, ...] = ()
        self._rows: list[Row] = []
        self._filter = ""
        self._sorted_by: int | None = None
        self._reversed = False
        self._cursor = 0
        self._top = 0
        self.tones = Tones(self)

    # What is shown.

    @property
    def key(self) -> str:
        """The key of the row one stands on, empty where there is none."""
        return self._rows[self._cursor].key if self._rows else ""

    @property
    def keys(self) -> list[str]:
        """The keys of the rows that are shown, in their order."""
        return [row.key for row in self._rows]

    @property
    def text(self) -> str:
        """All lines as they are on the screen."""
        return "\n".join(self._strip(y).text.rstrip() for y in range(self.size.height))

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows; the cursor stays on its row, or near where that was."""
        if tuple(rows) != self._all:
            self._all = tuple(rows)
            self._arrange()

    def lay_out(self, columns: Sequence[Column]) -> None:
        """Have other columns from now on, and no row until some are shown."""
        if tuple(columns) != self.columns:
            self.columns, self._sorted_by = tuple(columns), None
            self.show([])

    def say_empty(self, words: str) -> None:
        """Say something else where there is no row."""
        self._empty = words
        if not self._rows:
            self.refresh()

    def go_to(self, key: str) -> None:
        """Move the cursor to a row, if it is shown."""
        if key in self.keys:
            self._move_to(self.keys.index(key))

    def filter_by(self, text: str) -> None:
        """Show only rows in which the text occurs, in any case."""
        self._filter = text
        self._arrange()

    def _arrange(self) -> None:
        """Filter and sort anew."""
        key, place = self.key, self._cursor
        text = self._filter.casefold()
        found = [row for row in self._all if text in " ".join(cell.text for cell in row.cells).casefold()]
        if self._sorted_by is not None:
            column = self._sorted_by
            found.sort(key=lambda row: _order(row.cells[column]), reverse=self._reversed)
        elif self._reversed:
            found.reverse()
        self._rows = found
        keys = self.keys
        self._cursor = keys.index(key) if key in keys else max(0, min(place, len(found) - 1))
        self._keep_cursor_in_view()
        self.refresh()
        if self.key != key:
            self.post_message(self.Moved(self, self.key))

    # Moving.

    @property
    def _page(self) -> int:
        return max(1, self.size.height - 1)

    def _move_to(self, place: int) -> None:
        place = max(0, min(place, len(self._rows) - 1))
        if place == self._cursor or not self._rows:
            return
        self._cursor = place
        self._keep_cursor_in_view()
        self.refresh()
        self.post_message(self.Moved(self, self.key))

    def _keep_cursor_in_view(self) -> None:
        if not self.size.height:  # while another screen is shown
            return
        self._top = max(0, min(self._top, self._cursor, len(self._rows) - self._page))
        self._top = max(self._top, self._cursor - self._page + 1)

    def action_down(self) -> None:
        """Go down a line."""
        self._move_to(self._cursor + 1)

    def action_up(self) -> None:
        """Go up a line."""
        self._move_to(self._cursor - 1)

    def action_first(self) -> None:
        """Go to the first line."""
        self._move_to(0)

    def action_last(self) -> None:
        """Go to the last line."""
        self._move_to(len(self._rows) - 1)

    def action_page_down(self) -> None:
        """Go down a page."""
        self._move_to(self._cursor + self._page)

    def action_page_up(self) -> None:
        """Go up a page."""
        self._move_to(self._cursor - self._page)

    def action_choose(self) -> None:
        """Say which row was chosen; where there is none, enter is another's."""
        if not self.key:
            raise SkipAction
        self.post_message(self.Chosen(self, self.key))

    def action_filter(self) -> None:
        """Ask whoever holds the filter's input to show it."""
        self.post_message(self.FilterAsked())

    def action_sort(self) -> None:
        """Sort by the next column, after the last one not at all."""
        following = 0 if self._sorted_by is None else self._sorted_by + 1
        self._sorted_by = following if following < len(self.columns) else None
        self._arrange()

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self._reversed = not self._reversed
        self._arrange()

    def on_click(self, event: Click) -> None:
        """Go to the row that was clicked; the second click chooses it."""
        place = self._top + event.y - 1
        if not 0 <= place < len(self._rows) or event.y < 1:
            return
        if place == self._cursor and event.chain > 1:
            self.action_choose()
        self._move_to(place)

    # Drawing.

    def on_resize(self, _event: Resize) -> None:
        """Keep the cursor in view."""
        self._keep_cursor_in_view()
        self.refresh()  # it may have been drawn in its new size before the rows moved

    def on_focus(self) -> None:
        """Draw the cursor strong."""
        self.refresh()

    def on_blur(self) -> None:
        """Draw the cursor faint."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line as wide as the widget."""
        return self._strip(y)

    def _strip(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        shown = self._shown_columns(width)
        if not self._rows:
            return Strip([Segment(self._nothing if y == 1 else "", base + self.tones["dim"])]).adjust_cell_length(
                width, base
            )
        if y == 0:
            cells = [Cell(text=self._title(index)) for index, _ in shown]
            return self._line(cells, [size for _, size in shown], base + self.tones["heading"], width)
        place = self._top + y - 1
        if place >= len(self._rows):
            return Strip.blank(width, base)
        row = self._rows[place]
        style = base + self.tones[row.tone] if row.tone else base
        at_cursor = place == self._cursor
        if at_cursor:
            style = base + self.tones["cursor" if self.has_focus else "cursor-blurred"]
        cells = [row.cells[index] for index, _ in shown]
        return self._line(cells, [size for _, size in shown], style, width, plain=at_cursor and self.has_focus)

    @property
    def _nothing(self) -> str:
        """What is said where no row is shown."""
        return f"nothing matches '{api.shown(self._filter)}'; esc shows all" if self._all else self._empty

    def _title(self, index: int) -> str:
        mark = ("v" if self._reversed else "^") if index == self._sorted_by else ""
        return self.columns[index].title + mark

    def _line(
        self, cells: Sequence[Cell], sizes: Sequence[int], style: Style, width: int, *, plain: bool = False
    ) -> Strip:
        """Return a line; a `plain` one has its style alone, whatever its cells' tones."""
        segments: list[Segment] = []
        columns = [self.columns[index] for index, _ in self._shown_columns(width)]
        mark = "~" if getattr(self.app, "ascii_only", False) else "…"
        for cell, size, column in zip(cells, sizes, columns, strict=True):
            text = fitted(cell.text, size, mark, right=column.right, keep_end=column.keep_end)
            segments.append(Segment(text, self._toned(cell, style, plain)))
            segments.append(Segment(" " * GAP, style))
        return Strip(segments).adjust_cell_length(width, style)

    def _toned(self, cell: Cell, style: Style, plain: bool) -> Style:
        if plain or not cell.tone:
            return style
        return style + self.tones[cell.tone] + Style(bgcolor=style.bgcolor)  # the row's, where the cursor is

    def _shown_columns(self, width: int) -> list[tuple[int, int]]:
        """Return the columns there is room for, each with its width."""
        kept = list(range(len(self.columns)))
        while (excess := self._asked(kept) - width) > 0:
            rank = max(self.columns[index].rank for index in kept)
            if not rank:
                break
            kept.remove(next(index for index in reversed(kept) if self.columns[index].rank == rank))
        free = -excess if (excess := self._asked(kept) - width) < 0 else 0
        return [(index, self.columns[index].width or LEAST_FLEXIBLE + free) for index in kept]

    def _asked(self, indices: Sequence[int]) -> int:
        return sum((self.columns[index].width or LEAST_FLEXIBLE) + GAP for index in indices) - GAP


LEAST_FLEXIBLE = 14
"""What the column that takes the rest asks for."""


def _order(cell: Cell) -> tuple[int, float, str]:
    """Numbers before words; words in any case."""
    if isinstance(cell.order, int | float):
        return (0, float(cell.order), "")
    return (1, 0.0, (cell.order if cell.order is not None else cell.text).casefold())


class Filter(TextLine):
    """The line one types a filter into."""

    DEFAULT_CSS = """
    Filter { height: 1; border: none; padding: 0 1; background: $panel; display: none; }
    Filter:focus { border: none; }
    Filter.-open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "drop", "Show all"), ("down", "keep", "To the list")]

    class Closed(Message):
        """It is left; the filter stays unless it is empty."""

    def __init__(self) -> None:
        super().__init__(placeholder="show only lines with …", compact=True)

    def action_drop(self) -> None:
        """Show all lines again."""
        self.value = ""
        self.post_message(self.Closed())

    def action_keep(self) -> None:
        """Go to the list, filtered as it is."""
        self.post_message(self.Closed())

    async def action_submit(self) -> None:
        """Enter goes to the list, filtered as it is."""
        self.post_message(self.Closed())


class Listing(Vertical):
    """Rows, and below them the filter while it is open or not empty; esc takes it back first."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "show_all", "Show all")]
    DEFAULT_CSS = "Listing { height: 1fr; width: 1fr; }"

    def __init__(self, columns: Sequence[Column], *, empty: str, id: str | None = None) -> None:  # noqa: A002
        """`empty` is said where there is no row."""
        super().__init__(id=id)
        self.rows = Rows(columns, empty=empty)
        self.filter = Filter()

    def compose(self) -> ComposeResult:
        """Lay out rows and filter."""
        yield self.rows
        yield self.filter

    def action_show_all(self) -> None:
        """Show all rows again; where nothing is filtered, esc is another's."""
        if not self.filter.value:
            raise SkipAction
        self.filter.action_drop()

    @on(Rows.FilterAsked)
    def _open(self, event: Rows.FilterAsked) -> None:
        event.stop()
        self.filter.add_class("-open")
        self.filter.focus()

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        event.stop()
        self.rows.call_later(self.rows.filter_by, event.value)  # what we ourselves have it tell goes no further than us

    @on(Filter.Closed)
    def _close(self, event: Filter.Closed) -> None:
        event.stop()
        self.filter.set_class(bool(self.filter.value), "-open")
        self.rows.focus()
