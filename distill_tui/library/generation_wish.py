"""What to generate from a model, as it is typed and checked: five texts become a `Wish`. No Textual."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from distill_engine import api
from distill_tui.datasets.path_completion import meant
from distill_tui.drafts.forms import text_of
from distill_tui.remembered import Generating

Format = Literal["wav", "flac", "ogg", "mp3"]
SECONDS, COUNT, SEED, FORMAT, FOLDER = KEYS = ("seconds", "count", "seed", "format", "folder")

LABELS: Mapping[str, str] = {
    SECONDS: "seconds each",
    COUNT: "how many",
    SEED: "first seed",
    FORMAT: "format",
    FOLDER: "folder",
}

HELP: Mapping[str, str] = {
    SECONDS: f"{api.SHORTEST_SECONDS:g} to {api.LONGEST_SECONDS:g}; an hour takes 1.6 GB of memory and minutes.",
    COUNT: f"1 to {api.MOST_SOUNDS:,}; each further sound has the next seed.",
    SEED: "The same seed makes the same sound again.",
    FORMAT: f"{', '.join(api.WRITABLE_FORMATS[:-1])} or {api.WRITABLE_FORMATS[-1]}; left and right choose.",
    FOLDER: "It is made where it isn't there yet; ~ is your home.",
}


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What to generate."""

    seconds: float
    count: int
    seed: int
    format: Format
    folder: Path
    sliders: Mapping[str, float] = field(default_factory=dict)
    """By the axis' name, in standard deviations."""

    evolution: float = api.USUAL_EVOLUTION
    preset: str = ""
    """The name of the preset that this is."""

    name: str = ""
    """What the one file is called instead, without its suffix."""

    def paths(self, model_name: str) -> list[Path]:
        """Return the files that come of it."""
        if self.name:
            return [self.folder / f"{self.name}.{self.format}"]
        return [self.folder / f"{model_name}-{self.seed + number}.{self.format}" for number in range(self.count)]


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The texts as they are typed. `usual_folder` is the one meant while the folder's text is left as it was."""

    texts: Mapping[str, str]
    usual_folder: Path

    @property
    def complaints(self) -> Mapping[str, str]:
        """What is wrong, by field."""
        found = {key: _complaint(key, self.texts[key]) for key in KEYS}
        return {key: words for key, words in found.items() if words}

    @property
    def wish(self) -> Wish | None:
        """What the texts come to; None while something is wrong with one."""
        if self.complaints:
            return None
        return Wish(
            seconds=float(self.texts[SECONDS]),
            count=int(self.texts[COUNT]),
            seed=int(self.texts[SEED]),
            format=cast("Format", self.texts[FORMAT].strip()),
            folder=self._folder,
        )

    @property
    def _folder(self) -> Path:
        # The usual folder's name may hold what can be shown but not typed.
        typed = self.texts[FOLDER]
        return self.usual_folder if typed == api.shown(str(self.usual_folder)) else meant(typed)


def first_draft(last: Generating, folder: Path, seed: int) -> Draft:
    """Return what is offered: as it was last time, with a seed that was not yet taken."""
    texts = {
        SECONDS: text_of(last.seconds),
        COUNT: str(last.count),
        SEED: str(seed),
        FORMAT: last.format,
        FOLDER: api.shown(str(folder)),
    }
    return Draft(texts=texts, usual_folder=folder)


def in_words(wish: Wish, model_name: str) -> str:
    """Return what a wish comes to: "bells-3.wav to bells-5.wav, 12.0 s of sound"."""
    first, *others = (api.shown(path.name) for path in wish.paths(model_name))
    names = f"{first} to {others[-1]}" if others else first
    return f"{names}, {api.duration(wish.seconds * wish.count)} of sound"


def next_format(text: str, direction: int) -> str:
    """Return the next format (1) or the one before (-1); the first where the text is none."""
    formats = api.WRITABLE_FORMATS
    return formats[(formats.index(text) + direction) % len(formats)] if text in formats else formats[0]


def _complaint(key: str, text: str) -> str:
    match key:
        case "seconds":
            return _about_number(text, float, api.SHORTEST_SECONDS, api.LONGEST_SECONDS)
        case "count":
            return _about_number(text, int, 1, api.MOST_SOUNDS)
        case "seed":
            return _about_number(text, int, 0, api.LARGEST_SEED)
        case "format":
            return "" if text.strip() in api.WRITABLE_FORMATS else f"must be {HELP[FORMAT].partition(';')[0]}"
        case _:
            return "" if text.strip() else "must not be empty"


def _about_number(text: str, kind: type[int] | type[float], low: float, high: float) -> str:
    try:
        value = kind(text)
    except ValueError:
        return "must be a whole number" if kind is int else "must be a number"
    return "" if math.isfinite(value) and low <= value <= high else f"must be {low:,g} to {high:,.0f}"
