"""What the dashboard remembers of a person between two visits: one JSON file in the state folder.

It is a convenience: a file that can't be read or written costs nothing but the memory.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from distill_engine import api

FILE = "dashboard.json"


class Corpus(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of recordings that was opened once, and what was last found in it."""

    path: str
    used: float = 0.0
    """When it was last opened or trained on, in seconds since the epoch."""

    recordings: int = 0
    usable: int = 0
    seconds: float = 0.0
    rates: tuple[int, ...] = ()
    removed: float = 0.0
    """When it was taken off the list of known folders; a later use puts it back."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one last saw of a run: when, and up to which event."""

    time: float
    seq: int


class Charts(msgspec.Struct, frozen=True, kw_only=True):
    """How charts are looked at."""

    axis: str = "step"
    log: bool = False
    smoothing: int = 0


class Generating(msgspec.Struct, frozen=True, kw_only=True):
    """What was last asked of a model: sounds of so many seconds, how many, in which format."""

    seconds: float = 4.0
    count: int = 1
    format: str = "wav"


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. Fields are added with a default, never renamed."""

    theme: str = ""
    training_view: str = "charts"
    charts: Charts = Charts()
    generating: Generating = Generating()
    corpora: tuple[Corpus, ...] = ()
    seen: dict[str, Seen] = {}
    """By the run's id."""

    last_run: str = ""
    """The path of the run that was last watched."""

    hints: tuple[str, ...] = ()
    """The hints that were given once and needn't be given again."""


def load(folder: Path) -> Memory:
    """Return what is remembered under the state folder; nothing where there is no such file, or none to be read."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Memory)
    except (OSError, msgspec.DecodeError):
        return Memory()


def save(folder: Path, memory: Memory) -> None:
    """Write it whole, or not at all where that can't be."""
    with contextlib.suppress(OSError):
        api.write_bytes(folder / FILE, msgspec.json.format(msgspec.json.encode(memory)))
