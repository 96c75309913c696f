"""The dialog in which one says what to generate from a model; it returns the wish and does nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Grid, Vertical
from textual.widgets import Input, Static

from distill_engine import api
from distill_tui.library.generation_wish import FORMAT, HELP, KEYS, LABELS, SECONDS, Draft, Wish, in_words, next_format
from distill_tui.screens.dialogs import Dialog
from distill_tui.widgets.line import Lines
from distill_tui.widgets.text_line import TextLine


class GenerateDialog(Dialog[Wish | None]):
    """Five lines to type; returns what they come to, None after esc."""

    DEFAULT_CSS = """
    GenerateDialog {
        & Grid { grid-size: 2; grid-columns: 14 1fr; grid-rows: 1; height: 5; margin: 1 0; }
        & Input { height: 1; border: none; padding: 0; background: $panel; }
        & Lines { height: 2; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "give_up", "Give up"),
        ("down", "app.focus_next", "Next field"),
        ("up", "app.focus_previous", "Field before"),
    ]

    def __init__(self, model_name: str, draft: Draft) -> None:
        """`draft` is what is offered."""
        super().__init__()
        self._model_name, self._draft = model_name, draft
        self._said = Lines()

    def compose(self) -> ComposeResult:
        """Lay out the lines, what they come to, and the keys."""
        with Vertical(classes="dialog"):
            yield Static(f"Generate from {api.shown(self._model_name)}", markup=False)
            with Grid():
                for key in KEYS:
                    yield Static(LABELS[key], markup=False)
                    field = Choice if key == FORMAT else Input
                    yield field(self._draft.texts[key], id=key, compact=True, select_on_focus=False)
            yield self._said
            yield Static("enter generates, up and down go to other lines, esc gives up", markup=False)

    def on_mount(self) -> None:
        """Begin with the length."""
        self.query_one(f"#{SECONDS}").focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Check while one types."""
        self._draft = replace(self._draft, texts={**self._draft.texts, str(event.input.id): event.value})
        self._say()

    def on_descendant_focus(self) -> None:
        """Say what is allowed in the line one came to."""
        self._say()

    def on_input_submitted(self) -> None:
        """Return the wish, or go to the line that keeps it from being one."""
        wish = self._draft.wish
        if wish is not None:
            self.dismiss(wish)
        else:
            self.query_one(f"#{next(iter(self._draft.complaints))}").focus()

    def action_give_up(self) -> None:
        """Return nothing."""
        self.dismiss(None)

    def _say(self) -> None:
        here = str(self.focused.id) if self.focused else SECONDS
        complaints = self._draft.complaints
        wrong = here if here in complaints else next(iter(complaints), "")
        wish = self._draft.wish
        first = (f"{LABELS[wrong]} {complaints[wrong]}", "bad") if wrong else ("", "")
        if wish is not None:
            first = (in_words(wish, self._model_name), "")
        self._said.show([[first], [(HELP.get(here, ""), "dim")]])


class Choice(TextLine):
    """A line with few possible values, which left and right go through; they can be typed too."""

    BINDINGS: ClassVar[list[BindingType]] = [("left", "step(-1)", "Value before"), ("right", "step(1)", "Next value")]

    def action_step(self, direction: int) -> None:
        """Put the next value into the line."""
        self.value = next_format(self.value, direction)
        self.cursor_position = len(self.value)
