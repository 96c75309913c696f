"""The last line: the keys that work here, the nearest first, as many as there is room for, and a sign of more."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from distill_tui.format import Words
from distill_tui.widgets.line import Lines


class KeyLine(Lines):
    """One line of keys and what they do."""

    DEFAULT_CSS = "KeyLine { background: $panel; color: $text-muted; }"

    def __init__(self) -> None:
        super().__init__(id="key-line")
        self._keys: Sequence[tuple[str, str]] = ()
        self._always: Sequence[tuple[str, str]] = ()

    def show_keys(self, here: Sequence[tuple[str, str]], always: Sequence[tuple[str, str]]) -> None:
        """Show pairs of a key and its label; those that work everywhere keep their room at the end."""
        self._keys, self._always = here, always
        self.write(self._words)

    def _words(self, width: int) -> list[Words]:
        end = _spelt(self._always)
        room = width - _cells(end)
        if _cells(_spelt(self._keys)) <= room:
            return [[*_spelt(self._keys), *end]]
        more = " .. " if getattr(self.app, "ascii_only", False) else " … "
        room -= cell_len(more)
        words: list[tuple[str, str]] = []
        for pair in self._keys:
            piece = _spelt([pair])
            room -= _cells(piece)
            if room < 0:
                break
            words += piece
        return [[*words, (more, ""), *end]]


def _spelt(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [piece for key, label in pairs for piece in ((f" {key}", "accent"), (f" {label} ", ""))]


def _cells(words: Sequence[tuple[str, str]]) -> int:
    return sum(cell_len(text) for text, _ in words)
