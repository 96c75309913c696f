"""How words are coloured by what they mean: one set of names for every widget that draws its own lines.

A tone is never the only sign of anything: without colour the words must say the same. The styles come from the theme
alone, made once for all widgets: as component classes they cost the first screen a third of its time.
"""

from __future__ import annotations

import functools

from rich.color import Color as RichColor
from rich.style import Style
from textual.color import Color
from textual.theme import Theme
from textual.widget import Widget

MUTED = 0.4
"""How far dim words go from the foreground towards the background."""


class Tones:
    """The styles of the theme that is worn, by tone."""

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._styles: dict[str, Style] = {}
        self._theme: Theme | None = None

    def __getitem__(self, tone: str) -> Style:
        """Return the style of a tone, to be added to that of the widget."""
        theme = self._widget.app.current_theme
        if theme is not self._theme:
            self._theme, self._styles = theme, _styles(theme)
        return self._styles[tone]


def _styles(theme: Theme) -> dict[str, Style]:
    key = (theme.name, theme.primary, theme.background, theme.foreground, theme.ansi, theme.dark)
    if key not in _made:
        _made[key] = _made_styles(theme)
    return _made[key]


_made: dict[tuple[object, ...], dict[str, Style]] = {}


def _made_styles(theme: Theme) -> dict[str, Style]:
    colours = theme.to_color_system().generate()
    colour = functools.cache(lambda name: _rich(colours[name]))
    dim = Style(dim=True) if theme.ansi else Style(color=_muted(colours["foreground"], colours["background"]))
    bold = Style(bold=True)
    return {
        "": Style.null(),
        "dim": dim,
        "strong": bold,
        "accent": Style(color=colour("accent")),
        "good": Style(color=colour("success")),
        "warn": Style(color=colour("warning")),
        "bad": Style(color=colour("error"), bold=True),
        "heading": dim + bold,
        "here": Style(color=colour("primary"), bold=True, reverse=True),
        "cursor": Style(color=colour("primary"), bold=True, reverse=True),
        "cursor-blurred": Style(bgcolor=colour("panel"), bold=True),
        "found": Style(color=colour("accent"), reverse=True),
    }


def _rich(text: str) -> RichColor | None:
    colour = Color.parse(text)
    return None if colour.a == 0 else colour.rich_color


def _muted(foreground: str, background: str) -> RichColor:
    return Color.parse(foreground).blend(Color.parse(background), MUTED, alpha=1).rich_color
