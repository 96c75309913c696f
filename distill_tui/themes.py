"""Themes: one TOML file each, shipped beside the code in a wheel and above it in a checkout."""

from __future__ import annotations

import tomllib
from pathlib import Path

from textual.theme import Theme

_HERE = Path(__file__).parent


def load_themes() -> list[Theme]:
    """Return every theme that is shipped, by name."""
    folder = next(place for place in (_HERE / "themes", _HERE.parent / "themes") if place.is_dir())
    return [Theme(**tomllib.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("*.toml"))]
