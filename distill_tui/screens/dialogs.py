"""Dialogs: a question with a plain answer, a line to type, and the help. Each returns its result and does nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from distill_tui.actions import ABOUT, PLACES, Action, keys_of, spelt
from distill_tui.widgets.path_entry import PathEntry
from distill_tui.widgets.text_line import TextLine

Result = TypeVar("Result")


class Dialog(ModalScreen[Result]):
    """A box over the screen, which stays as it is: dimming all of it would send all of it."""

    DEFAULT_CSS = """
    Dialog { align: center middle; background: transparent;
        & > .dialog { width: 76; max-width: 94%; height: auto; max-height: 94%; background: $surface;
            border: round $primary; padding: 0 1; }
        & .dialog--hint { color: $text-muted; }
        & .dialog--complaint { color: $error; }
    }
    """


class Question(Dialog[bool]):
    """A question that names the thing; `y` does it, everything else doesn't."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("y", "answer(True)", "Yes"),
        ("n,escape,q,enter", "answer(False)", "No"),
    ]

    def __init__(self, question: str, consequence: str = "", *, yes: str = "yes", no: str = "no") -> None:
        super().__init__()
        self._question, self._consequence, self._yes, self._no = question, consequence, yes, no

    def compose(self) -> ComposeResult:
        """Lay out the question, what follows from a yes, and the keys."""
        with Vertical(classes="dialog"):
            yield Static(self._question, markup=False)
            if self._consequence:
                yield Static(self._consequence, classes="dialog--hint", markup=False)
            yield Static(f"\ny {self._yes} · n {self._no}", markup=False)

    def action_answer(self, yes: bool) -> None:
        """Return the answer."""
        self.dismiss(yes)


class Prompt(Dialog[str | None]):
    """A line to type; returns it, or None after esc. `complaint` says what is wrong with a text, or nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "give_up", "Give up")]

    def __init__(
        self, label: str, value: str = "", *, complaint: Callable[[str], str] = lambda _text: "", suffix: str = ""
    ) -> None:
        """With a `suffix` a path is asked for, which tab completes: of a folder, or of a file that ends so."""
        super().__init__()
        self._label, self._value, self._complaint, self._suffix = label, value, complaint, suffix

    def compose(self) -> ComposeResult:
        """Lay out label, line and hint."""
        with Vertical(classes="dialog"):
            yield Static(self._label, markup=False)
            if self._suffix:
                yield PathEntry(self._value, suffix=self._suffix)
            else:
                yield TextLine(self._value, compact=True, select_on_focus=False)
            yield Static("", classes="dialog--complaint", markup=False)
            completes = " · tab completes" if self._suffix else ""
            yield Static(f"enter accepts{completes} · esc gives up", classes="dialog--hint", markup=False)

    def complain(self, words: str) -> None:
        """Say what is wrong, or nothing."""
        self.query_one(".dialog--complaint", Static).update(Content(words))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Complain while one types, but not of an empty line."""
        self.complain(self._complaint(event.value) if event.value else "")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the text where nothing is wrong with it."""
        complaint = self._complaint(event.value)
        if complaint:
            self.complain(complaint)
        else:
            self.take(event.value)

    def take(self, text: str) -> object:
        """Return the text."""
        return self.dismiss(text)

    def action_give_up(self) -> None:
        """Return nothing."""
        self.dismiss(None)


class Help(Dialog[None]):
    """What the screen is for, and every key that works in it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q,question_mark,enter", "close", "Close"),
        ("j,down", "scroll(1)", "Down"),
        ("k,up", "scroll(-1)", "Up"),
    ]

    def __init__(self, actions: Mapping[str, Sequence[Action]], *, ascii_only: bool) -> None:
        """`actions` are those of the places that keys go to now, the nearest first."""
        super().__init__()
        self._text = _help(actions, ascii_only)

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        with VerticalScroll(classes="dialog"):
            yield Static(self._text)

    def action_close(self) -> None:
        """Go back."""
        self.dismiss(None)

    def action_scroll(self, lines: int) -> None:
        """Show more of a long text."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


_LAST = ("listing", "app")
"""Places whose keys are the same everywhere: help begins with what is there only here."""


def _help(actions: Mapping[str, Sequence[Action]], ascii_only: bool) -> Content:
    parts: list[Content] = []
    about = next((ABOUT[place] for place in actions if place in ABOUT), "")
    if about:
        parts += [Content(about + "\n")]
    for place in sorted(actions, key=lambda one: _LAST.index(one) if one in _LAST else -1):
        lines = [
            Content.assemble(
                (f"  {' '.join(spelt(key, ascii_only=ascii_only) for key in keys):<13}  ", "$accent"), action.help
            )
            for action in actions[place]
            if (keys := keys_of(action))
        ]
        if lines:
            parts += [Content.styled(PLACES[place], "bold"), *lines]
    parts.append(Content.styled("\nkeys.toml in the configuration folder changes keys · esc closes", "$text-muted"))
    return Content("\n").join(parts)
