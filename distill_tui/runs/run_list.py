"""What all runs come to, for a list that is looked at again and again, and what their settings have of their own.

A run is read again only when its log has grown or its lock has changed hands, and then only what is new of it: runs
that are over cost a few system calls each. Reading blocks, so a screen lets a thread do it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distill_engine import api

AT_ONCE = 128 << 20
"""How many bytes of logs are read for one refresh: a tenth of a second. A longer log has a refresh for itself."""


@dataclass(frozen=True, kw_only=True)
class _Stamp:
    """What is another whenever a run may have become another."""

    log: tuple[int, int, int] | None = None
    info: tuple[int, int, int] | None = None
    holder: int | None = None


@dataclass(frozen=True, kw_only=True)
class _Known:
    """A run as it was last read."""

    stamp: _Stamp
    reading: api.Reading
    is_whole: bool = True
    """Whether its best epoch is known, if it has one."""


class RunList:
    """All runs, the newest first; `refreshed` reads what has changed, `at_once` bytes of it unless one log has more."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._known: dict[Path, _Known] = {}
        self._at_once = self._left = at_once

    def refreshed(self) -> list[api.Reading]:
        """Return what is known of every run now; the best epoch of a long one may be missing for a while. Blocks."""
        known: dict[Path, _Known] = {}
        self._left = self._at_once
        for folder in api.list_runs():
            try:
                known[folder.path] = self._read(folder)
            except OSError as error:
                known[folder.path] = _Known(stamp=_Stamp(), reading=api.unreadable(folder, error))
        self._known = known
        return [one.reading for one in known.values()]

    def _read(self, folder: api.RunFolder) -> _Known:
        stamp, before = _stamp(folder), self._known.get(folder.path)
        if before is not None and before.is_whole:
            # A run that nobody has begun becomes one that nobody will without any file changing.
            if before.stamp == stamp and before.reading.state.seq:
                return before
            return _Known(stamp=stamp, reading=api.outline(folder, before.reading))
        length = stamp.log[1] if stamp.log else 0
        if length <= self._left or (before is not None and self._left == self._at_once):
            self._left -= length
            return _Known(stamp=stamp, reading=api.outline(folder))
        glanced = api.glance(folder)
        return _Known(stamp=stamp, reading=glanced, is_whole=api.best_loss(glanced.state) is not None)


def _stamp(folder: api.RunFolder) -> _Stamp:
    holder = api.lock_holder(folder)
    return _Stamp(log=_signature(folder.events_file), info=_signature(folder.run_file), holder=holder)


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


Settings = Mapping[str, "api.Value"]
"""What a run was started with, by the dotted key of the setting, and what it learns from besides."""


def settings_of(folder: api.RunFolder) -> Settings:
    """Return what a run was started with. Blocks.

    Raises:
        DistillError: its configuration can't be read.
    """
    info = folder.info()
    own: dict[str, api.Value] = {"dataset": info.dataset, "start from": info.start_from or "nothing"}
    return {**own, **api.read_settings(folder.config_file).values}


def usual_settings() -> Settings:
    """Return what a run has whose settings nobody changed and no preset fitted."""
    return {key: entry.default for key, entry in api.declarations().items()}


def differing(settings: Sequence[Settings]) -> list[str]:
    """Return the keys of which not all have the same value, in their order; also those that only some have."""
    keys = dict.fromkeys(key for one in settings for key in one)
    return [key for key in keys if any(one.get(key) != settings[0].get(key) for one in settings)]
