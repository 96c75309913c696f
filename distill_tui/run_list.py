"""What all runs come to, for a list that is looked at again and again, and what their settings have of their own.

A run is read again only when its log has grown or its lock has changed hands: runs that are over cost a few system
calls each. Reading blocks, so a screen lets a thread do it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distill_engine import api


@dataclass(frozen=True, kw_only=True)
class _Stamp:
    """What is another whenever a run may have become another."""

    log: tuple[int, int, int] | None = None
    info: tuple[int, int, int] | None = None
    holder: int | None = None


class RunList:
    """All runs, the newest first; `refreshed` reads what has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[_Stamp, api.Reading]] = {}

    def refreshed(self) -> list[api.Reading]:
        """Return what is known of every run now. Blocks."""
        known: dict[Path, tuple[_Stamp, api.Reading]] = {}
        for folder in api.list_runs():
            try:
                known[folder.path] = self._read(folder)
            except OSError as error:
                known[folder.path] = _Stamp(), _unread(folder, error)
        self._known = known
        return [reading for _, reading in known.values()]

    def _read(self, folder: api.RunFolder) -> tuple[_Stamp, api.Reading]:
        stamp = _stamp(folder)
        before = self._known.get(folder.path)
        # A run that nobody has begun becomes one that nobody will without any file changing.
        if before is not None and before[0] == stamp and before[1].state.seq:
            return before
        return stamp, api.outline(folder)


def _stamp(folder: api.RunFolder) -> _Stamp:
    holder = api.lock_holder(folder)
    return _Stamp(log=_signature(folder.events_file), info=_signature(folder.run_file), holder=holder)


def _unread(folder: api.RunFolder, error: OSError) -> api.Reading:
    problem = f"it can't be read: {error.strerror}"
    return api.Reading(folder=folder, info=None, problem=problem, holder=None, state=api.RunState())


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


Settings = Mapping[str, object]
"""What a run was started with, by the dotted key of the setting, and what it learns from besides."""


def settings_of(folder: api.RunFolder) -> Settings:
    """Return what a run was started with. Blocks.

    Raises:
        DistillError: its configuration can't be read.
    """
    info = folder.info()
    own: dict[str, object] = {"dataset": info.dataset, "start from": info.start_from or "nothing"}
    return {**own, **api.read_settings(folder.config_file).values}


def usual_settings() -> Settings:
    """Return what a run has whose settings nobody changed and no preset fitted."""
    return {key: entry.default for key, entry in api.declarations().items()}


def differing(settings: Sequence[Settings]) -> list[str]:
    """Return the keys of which not all have the same value, in their order; also those that only some have."""
    keys = dict.fromkeys(key for one in settings for key in one)
    return [key for key in keys if any(one.get(key) != settings[0].get(key) for one in settings)]
