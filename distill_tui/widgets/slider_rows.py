"""The sliders of a model, a line each, and which of them one stands on; what they do is another's matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.binding import BindingType
from textual.events import Click, Resize
from textual.message import Message
from textual.strip import Strip

from distill_tui.bindings import bindings
from distill_tui.format import Words
from distill_tui.widgets.line import Lines


class SliderRows(Lines, can_focus=True):
    """Lines with a cursor that scroll where there are more than there is room for."""

    PLACE: ClassVar[str] = "sliders"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("sliders")]

    class Moved(Message):
        """One stands on another slider."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._keys: tuple[str, ...] = ()
        self._line_of: Callable[[str, int], Words] = lambda _key, _width: []
        self._place = 0
        self._top = 0

    @property
    def key(self) -> str:
        """The key of the slider one stands on, empty where there is none."""
        return self._keys[self._place] if self._keys else ""

    @property
    def count(self) -> int:
        """How many sliders there are."""
        return len(self._keys)

    def show_sliders(self, keys: Sequence[str], line_of: Callable[[str, int], Words]) -> None:
        """Show these sliders; `line_of(key, width)` makes a slider's line. The cursor stays on its slider."""
        before = self.key
        self._keys, self._line_of = tuple(keys), line_of
        self._place = self._keys.index(before) if before in self._keys else 0
        self._arrange()

    def go_to(self, key: str) -> None:
        """Stand on a slider, if it is there."""
        if key in self._keys:
            self._move_to(self._keys.index(key))

    def _arrange(self) -> None:
        """Keep the cursor in view and draw what differs."""
        height = self.size.height
        if height:
            self._top = max(0, min(self._top, self._place, len(self._keys) - height))
            self._top = max(self._top, self._place - height + 1)
        self.write(self._lines_for)

    def _lines_for(self, width: int) -> list[Words]:
        shown = range(self._top, min(len(self._keys), self._top + max(1, self.size.height)))
        return [self._line(place, width) for place in shown]

    def _line(self, place: int, width: int) -> Words:
        """Return a line with its first cells: the cursor's mark, and that of more beyond the first and last line."""
        is_first, is_last = place == self._top > 0, place == self._top + self.size.height - 1 < len(self._keys) - 1
        mark = ">" if place == self._place else "^" if is_first else "v" if is_last else " "
        return [(f"{mark} ", "accent" if mark == ">" else "dim"), *self._line_of(self._keys[place], width)]

    def render_line(self, y: int) -> Strip:
        """Return one line; the one one stands on in the style of a cursor."""
        if self._top + y != self._place or not self._keys:
            return super().render_line(y)
        style = self.rich_style + self.tones["cursor" if self.has_focus else "cursor-blurred"]
        text = "".join(words for words, _ in self._lines[y]) if y < len(self._lines) else ""
        return Strip([Segment(text, style)]).adjust_cell_length(self.size.width, style)

    def on_resize(self, _event: Resize) -> None:
        """Have the cursor in view in another height too."""
        self._arrange()

    def on_focus(self) -> None:
        """Draw the cursor strong."""
        self.refresh()

    def on_blur(self) -> None:
        """Draw the cursor faint."""
        self.refresh()

    def _move_to(self, place: int) -> None:
        place = max(0, min(place, len(self._keys) - 1))
        if self._keys and place != self._place:
            self._place = place
            self._arrange()
            self.post_message(self.Moved())

    def on_click(self, event: Click) -> None:
        """Go to the slider that was clicked."""
        self._move_to(self._top + event.y)

    def action_down(self) -> None:
        """Go to the next slider."""
        self._move_to(self._place + 1)

    def action_up(self) -> None:
        """Go to the slider before."""
        self._move_to(self._place - 1)

    def action_first(self) -> None:
        """Go to the first slider."""
        self._move_to(0)

    def action_last(self) -> None:
        """Go to the last slider."""
        self._move_to(len(self._keys) - 1)
