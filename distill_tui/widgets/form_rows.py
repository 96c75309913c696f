"""The form's rows: fields under their headings, complaints under their fields, and one line to type in, moved to where.

It draws its own lines and sends only those that changed: sixty mounted inputs would make every key slow. What it shows
is given to it; what a person does it tells in messages and changes nothing itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.events import Click, Resize
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from distill_engine import api
from distill_tui.bindings import bindings
from distill_tui.drafts.form_fields import RUN_GROUP, Field
from distill_tui.drafts.forms import DATASET
from distill_tui.drafts.stepping import Direction
from distill_tui.format import Words
from distill_tui.widgets.line import fitted
from distill_tui.widgets.text_line import TextLine
from distill_tui.widgets.tones import Tones

MARK, NAME, VALUE = 3, 23, 18
"""Cells for a row's mark, its name and its value with unit; the rest is for what is allowed."""


class FieldEditor(TextLine):
    """The line one types a value into."""

    DEFAULT_CSS = """
    FieldEditor { position: absolute; display: none; height: 1; border: none; padding: 0;
        background: $panel; color: $foreground; }
    FieldEditor:focus { border: none; }
    FieldEditor.-open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "give_up", "Take back"),
        ("down", "leave(1)", "Next field"),
        ("up", "leave(-1)", "Previous field"),
        ("tab", "leave(1)", "Next field"),
        ("shift+tab", "leave(-1)", "Previous field"),
    ]

    class GivenUp(Message):
        """What was typed is to be taken back."""

    class Left(Message):
        """What was typed stays as it is, and one goes on to another field."""

        def __init__(self, direction: Direction) -> None:
            super().__init__()
            self.direction = direction

    def __init__(self) -> None:
        super().__init__(compact=True, select_on_focus=True)

    def action_give_up(self) -> None:
        """Take back what was typed."""
        self.post_message(self.GivenUp())

    def action_leave(self, direction: Direction) -> None:
        """Go on to another field."""
        self.post_message(self.Left(direction))


class FormRows(Widget, can_focus=True):
    """The rows, the cursor, and the editor while one types."""

    PLACE: ClassVar[str] = "form"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("form"), ("enter", "edit", "Edit")]
    DEFAULT_CSS = "FormRows { width: 1fr; height: 1fr; }"

    class Moved(Message):
        """One stands on another field."""

    class Chosen(Message):
        """Enter was pressed on a field."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Stepped(Message):
        """A field is to have its next (1) or previous (-1) value."""

        def __init__(self, key: str, direction: Direction) -> None:
            super().__init__()
            self.key, self.direction = key, direction

    class ResetAsked(Message):
        """A field is to be as the preset has it."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Typed(Message):
        """A key was pressed in a field's editor; `text` is all that stands there now."""

        def __init__(self, key: str, text: str) -> None:
            super().__init__()
            self.key, self.text = key, text

    class Accepted(Message):
        """Enter was pressed in the editor."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Dropped(Message):
        """Esc was pressed while nothing was typed."""

    class Deserted(Message):
        """The editor was left for something else; what was typed stays."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.editor = FieldEditor()
        self._fields: tuple[Field, ...] = ()
        self._lines: list[tuple[str, Words]] = []
        self._empty = ""
        self._key = ""
        self._top = 0
        self._drawn: dict[int, tuple[Words, str]] = {}
        self._tones = Tones(self)

    def compose(self) -> ComposeResult:
        """Lay out the editor, unseen until it is asked for."""
        yield self.editor

    # What is shown.

    @property
    def field(self) -> Field | None:
        """The field one stands on."""
        return next((field for field in self._fields if field.key == self._key), None)

    @property
    def is_editing(self) -> bool:
        """Whether one types."""
        return self.editor.has_class("-open")

    @property
    def text(self) -> str:
        """What is to be seen, without tones and what is typed."""
        return "\n".join("".join(text for text, _ in self._line_at(y)[0]) for y in range(self.size.height))

    def show(self, fields: Sequence[Field], *, empty: str) -> None:
        """Show these rows; the cursor stays on its field, or goes to the nearest that is left."""
        keys = [field.key for field in self._fields]
        place = keys.index(self._key) if self._key in keys else 0
        self._fields, self._empty = tuple(fields), empty
        if self.field is None:
            self.close_editor()
            self._key = self._fields[min(place, len(self._fields) - 1)].key if self._fields else ""
        self._arrange()

    def go_to(self, key: str) -> None:
        """Stand on a field, if it is shown."""
        if key != self._key and any(field.key == key for field in self._fields):
            self.close_editor()
            self._key = key
            self._keep_in_view()
            self._redraw()
            self.post_message(self.Moved())

    def _arrange(self) -> None:
        dot = "|" if getattr(self.app, "ascii_only", False) else "·"
        self._lines = list(_laid_out(self._fields, dot, self.size.width))
        self._keep_in_view()
        self._redraw()

    # Moving.

    def _place(self) -> int:
        return next((place for place, field in enumerate(self._fields) if field.key == self._key), 0)

    def _move_by(self, fields: int) -> None:
        if self._fields:
            place = max(0, min(self._place() + fields, len(self._fields) - 1))
            self.go_to(self._fields[place].key)

    def _keep_in_view(self) -> None:
        """Keep the field in view, with its complaint below it, and with the heading where it is the first under one."""
        own = [index for index, (key, _) in enumerate(self._lines) if key == self._key]
        if not own:
            self._top = 0
            return
        first = own[0] - 1 if own[0] and not self._lines[own[0] - 1][0] else own[0]
        height = self.size.height
        if not height:  # while another screen is shown
            return
        self._top = max(0, min(self._top, first, len(self._lines) - height))
        self._top = max(self._top, own[-1] - height + 1)
        self._place_editor()

    def action_down(self) -> None:
        """Go to the next field."""
        self._move_by(1)

    def action_up(self) -> None:
        """Go to the field before."""
        self._move_by(-1)

    def action_first(self) -> None:
        """Go to the first field."""
        self._move_by(-len(self._fields))

    def action_last(self) -> None:
        """Go to the last field."""
        self._move_by(len(self._fields))

    def action_page_down(self) -> None:
        """Go on by most of a screen."""
        self._move_by(max(1, self.size.height - 4))

    def action_page_up(self) -> None:
        """Go back by most of a screen."""
        self._move_by(-max(1, self.size.height - 4))

    def on_click(self, event: Click) -> None:
        """Go to the field that was clicked; a second click edits it."""
        place = self._top + event.y
        if event.widget is self and place < len(self._lines) and self._lines[place][0]:
            self.go_to(self._lines[place][0])
            if event.chain > 1:
                self.action_edit()

    # Changing.

    def action_edit(self) -> None:
        """Ask for the field to be edited, in whatever way it is."""
        if self._key:
            self.post_message(self.Chosen(self._key))

    def action_more(self) -> None:
        """Ask for the next value."""
        if self._key:
            self.post_message(self.Stepped(self._key, 1))

    def action_less(self) -> None:
        """Ask for the value before."""
        if self._key:
            self.post_message(self.Stepped(self._key, -1))

    def action_reset(self) -> None:
        """Ask for the preset's value."""
        if self._key:
            self.post_message(self.ResetAsked(self._key))

    def action_drop(self) -> None:
        """Let go of whatever can be let go of, first of what is being typed."""
        if self.is_editing:
            self.editor.action_give_up()
        else:
            self.post_message(self.Dropped())

    def open_editor(self) -> None:
        """Let the person type the field's value."""
        field = self.field
        if field is None or field.fixed:
            return
        with self.editor.prevent(Input.Changed):
            self.editor.value = field.text
        self.editor.add_class("-open")
        self._place_editor()
        self.editor.focus()

    def close_editor(self) -> None:
        """Go back to moving between fields, if one types."""
        if not self.is_editing:
            return
        self.editor.remove_class("-open")
        if self.editor.has_focus:
            self.focus()
        self._redraw()

    def on_descendant_blur(self) -> None:
        """Close the editor when something else has the focus, which a dialog over the screen hasn't."""
        if self.is_editing and self.app.screen is self.screen and self.screen.focused not in (None, self.editor):
            self.close_editor()
            self.post_message(self.Deserted())

    def _place_editor(self) -> None:
        if not self.is_editing:
            return
        line = next(index for index, (key, _) in enumerate(self._lines) if key == self._key)
        has_note = self.field is not None and self.field.group != RUN_GROUP
        self.editor.styles.width = VALUE if has_note else max(VALUE, self.size.width - MARK - NAME)
        self.editor.styles.offset = (MARK + NAME, line - self._top)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Tell what was typed."""
        event.stop()
        if self.is_editing:
            self.post_message(self.Typed(self._key, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Tell that enter was pressed."""
        event.stop()
        self.post_message(self.Accepted(self._key))

    # Drawing.

    def on_resize(self, _event: Resize) -> None:
        """Lay the rows out anew."""
        self._drawn.clear()
        self._arrange()

    def on_focus(self) -> None:
        """Draw the cursor strong."""
        self._redraw()

    def on_blur(self) -> None:
        """Draw the cursor faint."""
        self._redraw()

    def _redraw(self) -> None:
        """Send the lines that differ from what was last drawn."""
        for y in range(self.size.height):
            if self._drawn.get(y) != self._line_at(y):
                self.refresh(Region(0, y, max(1, self.size.width), 1))

    def _line_at(self, y: int) -> tuple[Words, str]:
        """Return what stands on a line of the screen, and the style of the cursor where it is there."""
        place = self._top + y
        if place >= len(self._lines):
            return [(self._empty if not self._lines and y == 0 else "", "dim")], ""
        key, words = self._lines[place]
        is_cursor = key and key == self._key and (not place or self._lines[place - 1][0] != key)
        if not is_cursor:
            return words, ""
        (mark, tone), *rest = words
        return [(">" + mark[1:], tone), *rest], "cursor" if self.has_focus else "cursor-blurred"

    def render_line(self, y: int) -> Strip:
        """Return one line as wide as the widget."""
        words, cursor = self._drawn[y] = self._line_at(y)
        base = self.rich_style
        style = base + self._tones[cursor] if cursor else base
        segments = [Segment(text, self._toned(style, tone, cursor)) for text, tone in words]
        return Strip(segments).adjust_cell_length(self.size.width, style)

    def _toned(self, style: Style, tone: str, cursor: str) -> Style:
        return style + self._tones[tone] if tone and cursor != "cursor" else style


def _laid_out(fields: Sequence[Field], dot: str, width: int) -> list[tuple[str, Words]]:
    """Return the lines: of each the key of its field, empty for a heading, and its words."""
    lines: list[tuple[str, Words]] = []
    for group, rows in itertools.groupby(fields, key=lambda field: field.group):
        if lines:
            lines.append(("", []))
        lines.append(("", [(group, "strong")]))
        for row in rows:
            lines.append((row.key, _row(row, dot, width)))
            if row.complaint:
                lines.append((row.key, [(f"{' ' * MARK}{row.complaint.message}", "bad")]))
    return lines


def _row(row: Field, dot: str, width: int) -> Words:
    mark, tone = _mark(row)
    value = f"{api.shown(row.text)} {row.unit}".strip() if row.text else row.empty or row.unit
    note = _note(row, dot)
    room = VALUE if note else max(VALUE, width - MARK - NAME)
    is_path = row.key == DATASET
    fitting = fitted(value, room, "<" if is_path else ">", keep_end=is_path)
    return [
        (f" {mark:<{MARK - 1}}", tone),
        (f"{row.name:<{NAME}}", ""),
        (fitting, "dim" if row.fixed or not row.text else tone),
        (f"  {fitted(note, width - MARK - NAME - VALUE - 2, '>').rstrip()}" if note else "", "dim"),
    ]


def _mark(row: Field) -> tuple[str, str]:
    if row.complaint:
        return "!", "bad"
    if row.fixed:
        return "=", "dim"
    return ("*", "accent") if row.differs else ("", "")


def _note(row: Field, dot: str) -> str:
    if row.group == RUN_GROUP:
        return ""
    if row.fixed:
        return "fixed"
    preset = f"preset {row.preset} {dot} " if row.differs else ""
    return preset + row.allowed.removesuffix(f" {row.unit}")
