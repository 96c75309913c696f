"""The dialogs of the Explore view: the presets, a blind vote, and what it was about. Each returns its result."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from distill_engine import api
from distill_tui import clipboard
from distill_tui.actions import actions_in, key_of, key_words
from distill_tui.bindings import bindings
from distill_tui.explore.presets import settings_of
from distill_tui.explore.slider_words import in_words
from distill_tui.explore.sliders import Settings
from distill_tui.explore.vote import Pair, Vote, told
from distill_tui.screens.choice import Choice
from distill_tui.screens.dialogs import Dialog, Question
from distill_tui.widgets.copied import pieces
from distill_tui.widgets.line import Lines
from distill_tui.widgets.listing import Cell, Column, Row
from distill_tui.widgets.paragraphs import Paragraphs

WhatNext = Literal["take", "keep", ""]
"""What becomes of the better one: the sliders take it, or it is kept as a preset, or nothing."""


class PresetChoice(Choice):
    """The presets of a model; enter returns the name of one, and one can be deleted."""

    PLACE: ClassVar[str] = "presets"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("presets")]

    def __init__(self, model_id: str, presets: Sequence[api.SliderPreset]) -> None:
        self._model_id = model_id
        super().__init__(
            "Load which preset?",
            [Column(title="preset", width=18), Column(title="settings")],
            [_preset_row(preset) for preset in presets],
            empty=f"there is no preset yet; {key_of('explore.keep')} in Explore saves one",
            also=f"{key_of('presets.delete')} deletes",
        )

    @work(group="delete", exclusive=True)
    async def action_delete(self) -> None:
        """Ask, and delete the preset."""
        if not (name := self.listing.rows.key):
            return
        question = Question(f"Delete the preset {api.shown(name)}?", yes="delete", no="keep")
        if await self.app.push_screen_wait(question):
            await asyncio.to_thread(api.delete_preset, self._model_id, name)
            presets = await asyncio.to_thread(api.load_presets, self._model_id)
            self.listing.rows.show([_preset_row(preset) for preset in presets.values()])


def _preset_row(preset: api.SliderPreset) -> Row:
    words = in_words(settings_of(preset, Settings()), with_length=False)
    return Row(key=preset.name, cells=(Cell(text=api.shown(preset.name)), Cell(text=words)))


class BlindVote(Dialog[Vote | None]):
    """Two sounds to hear and nothing about them; returns which is better, None after esc."""

    PLACE: ClassVar[str] = "vote"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("vote"), ("escape", "give_up", "Give up")]
    DEFAULT_CSS = """
    BlindVote > .dialog { width: 100; }
    BlindVote Paragraphs { height: auto; }
    """

    def __init__(self, a: Path, b: Path) -> None:
        super().__init__()
        self._paths = {"A": a, "B": b}
        self._chosen = "A"
        self._lines = {name: Paragraphs() for name in self._paths}
        self._said = Lines()

    def compose(self) -> ComposeResult:
        """Lay out the two lines to hear them by, and the keys."""
        with Vertical(classes="dialog"):
            yield Static("Which is better? Both are equally loud, and chance decided which is A.", markup=False)
            yield from self._lines.values()
            yield self._said
            keys = key_words(actions_in("vote"), ascii_only=True)
            yield Static(", ".join(f"{key} {label}" for key, label in (*keys, ("esc", "give up"))), markup=False)

    def on_mount(self) -> None:
        """Show the lines."""
        self._draw()

    def _draw(self) -> None:
        for name, path in self._paths.items():
            mark = ">" if name == self._chosen else " "
            line = clipboard.play_line(path)
            self._lines[name].write(
                lambda width, mark=mark, name=name, line=line: [  # type: ignore[misc]
                    [(f"{mark} {name}", "accent" if mark == ">" else "strong")],
                    *([("  ", ""), (piece, "")] for piece in pieces(line, width - 2)),
                ]
            )
            self._lines[name].styles.height = 1 + len(pieces(line, max(10, self._lines[name].size.width - 2)))

    def on_resize(self) -> None:
        """Give the lines the room that they take at this width."""
        self.call_after_refresh(self._draw)

    def action_other(self) -> None:
        """Choose the other sound, to copy its line."""
        self._chosen = "B" if self._chosen == "A" else "A"
        self._draw()

    @work(group="copy", exclusive=True)
    async def action_copy_play(self) -> None:
        """Copy the line that plays the chosen sound."""
        await self._copy(clipboard.play_line(self._paths[self._chosen]))

    @work(group="copy", exclusive=True)
    async def action_copy_fetch(self) -> None:
        """Copy the line that fetches the chosen sound."""
        await self._copy(clipboard.fetch_line(self._paths[self._chosen]))

    async def _copy(self, line: str) -> None:
        words = await clipboard.copy(self.app, line)
        self._said.show([[(f"{self._chosen}: {words.partition(';')[0]}", "dim")]])

    def action_for_a(self) -> None:
        """Vote for the first sound."""
        self.dismiss("A")

    def action_for_b(self) -> None:
        """Vote for the second sound."""
        self.dismiss("B")

    def action_for_none(self) -> None:
        """Say that neither is better."""
        self.dismiss("")

    def action_give_up(self) -> None:
        """Return nothing."""
        self.dismiss(None)


class Revealed(Dialog[WhatNext]):
    """What the two sounds were; returns what becomes of the better one."""

    DEFAULT_CSS = "Revealed VerticalScroll { height: auto; max-height: 70vh; scrollbar-gutter: stable; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("enter", "answer('take')", "Take it"),
        ("w", "answer('keep')", "Keep it as a preset"),
        ("escape,q", "answer('')", "Leave it"),
        ("j,down", "scroll(1)", "Down"),
        ("k,up", "scroll(-1)", "Up"),
    ]

    def __init__(self, pair: Pair, vote: Vote) -> None:
        super().__init__()
        self._pair, self._vote = pair, vote
        self.lines = Paragraphs()

    def compose(self) -> ComposeResult:
        """Lay out what they were, and below it the keys."""
        with Vertical(classes="dialog"):
            with VerticalScroll():
                yield self.lines
            keys = "enter takes it to the sliders, w keeps it as a preset, esc leaves all as it is"
            yield Static(keys if self._vote else "esc goes back", markup=False)

    def on_mount(self) -> None:
        """Tell."""
        self.lines.write(lambda width: told(self._pair, self._vote, width))
        self.call_after_refresh(self.on_resize)

    def on_resize(self) -> None:
        """Give it the room that it takes at this width."""
        if width := self.lines.size.width:
            self.lines.styles.height = len(told(self._pair, self._vote, width))

    def action_answer(self, what: WhatNext) -> None:
        """Return the answer."""
        self.dismiss(what if self._vote else "")

    def action_scroll(self, lines: int) -> None:
        """Show more of what doesn't fit."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)
