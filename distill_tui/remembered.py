"""What the dashboard remembers of a person between two visits: one JSON file in the state folder.

It is a convenience: a file that can't be read or written costs nothing but the memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec.structs import replace

from distill_engine import api

FILE = "dashboard.json"
LOCK = "dashboard.lock"


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


class Exploring(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's sliders stood at."""

    sliders: dict[str, float] = {}
    """By the axis' name."""

    seed: int = 0
    evolution: float = api.USUAL_EVOLUTION
    seconds: float = 4.0
    locked: tuple[str, ...] = ()


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What was set about the next run when one left, or when the link was lost."""

    dataset: str = ""
    name: str = ""
    preset: str = "auto"
    edits: dict[str, str] = {}
    """What was typed, by the setting's dotted key."""

    model: str = ""
    """The path of the model to go on from."""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. Fields are added with a default, never renamed."""

    themes: dict[str, str] = {}
    """The colours that were chosen, by the colours the terminal has."""

    training_view: str = "charts"
    charts: Charts = Charts()
    generating: Generating = Generating()
    exploring: dict[str, Exploring] = {}
    """By the model's id."""

    draft: Draft = Draft()
    corpora: tuple[Corpus, ...] = ()
    seen: dict[str, Seen] = {}
    """By the run's id."""

    last_run: str = ""
    """The path of the run that was last watched."""

    hints: tuple[str, ...] = ()
    """The hints that were given once and needn't be given again."""


class Notebook:
    """What is remembered, and the one way to change it. `memory` is it as far as this dashboard knows.

    Only what was changed here is written, over what the file holds by then: two dashboards don't undo each other's
    notes, nor an early write a later one.
    """

    def __init__(self, folder: Path) -> None:
        self.memory = _read(folder / FILE)
        self._folder = folder
        self._changes: dict[str, object] = {}
        self._writing = threading.Lock()

    def note(self, **changes: object) -> None:
        """Change fields of the memory; `write` keeps them."""
        self.memory = replace(self.memory, **changes)
        self._changes |= changes

    def write(self) -> None:
        """Write what was noted since the last time, whole, or not at all where that can't be. May take a while."""
        with self._writing, contextlib.suppress(OSError):
            if not self._changes:
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            with _only_writer(self._folder):
                changes, self._changes = self._changes, {}
                memory = _merged(_read(self._folder / FILE), changes)
                api.write_bytes(self._folder / FILE, msgspec.json.format(msgspec.json.encode(memory)))


def _read(path: Path) -> Memory:
    """Return what is remembered in a file; nothing where there is none, or none to be understood."""
    try:
        return msgspec.json.decode(api.read_small(path, api.LARGE), type=Memory)
    except (OSError, *api.UNREADABLE):
        return Memory()


def _merged(memory: Memory, changes: dict[str, object]) -> Memory:
    changed = replace(memory, **changes)
    corpora = {corpus.path: corpus for corpus in sorted((*memory.corpora, *changed.corpora), key=_last_change)}
    return replace(
        changed,
        seen={**memory.seen, **changed.seen},
        themes={**memory.themes, **changed.themes},
        exploring={**memory.exploring, **changed.exploring},
        corpora=tuple(corpora.values()),
    )


def _last_change(corpus: Corpus) -> float:
    return max(corpus.used, corpus.removed)


@contextlib.contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    """Keep other dashboards from writing meanwhile, where the file system can."""
    descriptor = api.open_lock(folder / LOCK)
    try:
        with contextlib.suppress(OSError):
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
