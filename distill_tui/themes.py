"""Themes: one TOML file each, shipped beside the code in a wheel and above it in a checkout; the user's own beside the
configuration. A file that can't be one is reported and passed over.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from textual.color import Color, ColorParseError
from textual.theme import BUILTIN_THEMES, Theme

from distill_engine import api

DEFAULT = "dusk"
SIXTEEN_COLOURS = "sixteen"
"""For terminals with the sixteen colours of their own palette."""

NO_COLOUR = "plain"
"""Where NO_COLOR asks for none."""

_HERE = Path(__file__).parent
_LONGEST = 40
_NAME = re.compile(r"\w[\w .-]{0,39}")
_VARIABLE = re.compile(r"[a-z][a-z0-9-]{0,59}")
_VALUE = re.compile(r"[\w#%.,() -]{1,60}", re.ASCII)
_COLOURS = frozenset(
    {"primary", "secondary", "warning", "error", "success", "accent", "foreground"}
    | {"background", "surface", "panel", "boost"}
)
_OTHERS: dict[str, type] = {
    "name": str,
    "dark": bool,
    "ansi": bool,
    "luminosity_spread": float,
    "text_alpha": float,
    "variables": dict,
}
assert {field.name for field in dataclasses.fields(Theme)} == _COLOURS | set(_OTHERS)


def shipped_folder() -> Path:
    """Return where the themes that come with Distill lie."""
    return next(place for place in (_HERE / "themes", _HERE.parent / "themes") if place.is_dir())


def load_theme(path: Path) -> Theme:
    """Return the theme in a file.

    Raises:
        ValueError: it can't be one; says why in a few words.
    """
    try:
        table = tomllib.loads(api.read_small(path).decode("utf-8-sig"))
    except OSError as error:
        raise ValueError(f"it can't be read: {error.strerror}") from None
    except api.UNREADABLE as error:
        raise ValueError(f"it isn't TOML: {error}") from None
    for key, value in table.items():
        _check(key, value)
    if "primary" not in table:
        raise ValueError("it names no primary colour")
    # Textual's own styles ask for more names of a theme in the terminal's palette than it works out by itself.
    further = BUILTIN_THEMES["ansi-dark"].variables if table.get("ansi") else {}
    return Theme(**{"name": path.stem, **table, "variables": {**further, **table.get("variables", {})}})


def load_themes(folders: list[Path]) -> tuple[list[Theme], list[str]]:
    """Return the themes in the folders by name, later folders before earlier, and a sentence for each broken file."""
    themes: dict[str, Theme] = {}
    complaints: list[str] = []
    for path in _files(folders):
        try:
            theme = load_theme(path)
        except ValueError as error:
            complaints.append(api.shown(f"the theme {path.name} is passed over: {error}"))
        else:
            themes[theme.name] = theme
    return [themes[name] for name in sorted(themes)], complaints


def _files(folders: list[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(folder.glob("*.toml"))


def _check(key: str, value: object) -> None:
    if key in _COLOURS:
        try:
            Color.parse(str(value))
        except ColorParseError:
            raise ValueError(f"{key} is {_short(value)}, which is no colour") from None
    elif key not in _OTHERS:
        raise ValueError(f"{key[:_LONGEST]!r} is nothing a theme has")
    elif not isinstance(value, _OTHERS[key]):
        raise ValueError(f"{key} is {_short(value)}, which is no {_OTHERS[key].__name__}")
    elif isinstance(value, float) and not 0 <= value <= 1:
        raise ValueError(f"{key} is {value}, which isn't from 0 to 1")
    elif isinstance(value, str) and not _NAME.fullmatch(value):
        raise ValueError(f"{_short(value)} can't be a theme's name")
    elif isinstance(value, dict):
        _check_variables(value)


def _check_variables(variables: dict[str, object]) -> None:
    """Raise ValueError for what isn't the name and the value of a variable in a style sheet: it would end up in one."""
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name) or not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise ValueError(f"the variable {name[:_LONGEST]!r} is {_short(value)}, which no style sheet takes")


def _short(value: object) -> str:
    return repr(value if not isinstance(value, str) else value[:_LONGEST])[: 2 * _LONGEST]
