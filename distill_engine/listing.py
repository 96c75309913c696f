"""List the files of a dataset that look like recordings, without opening any.

Hidden files, hidden folders and what Distill itself wrote are left out; only names *below* the dataset count, so a
dataset may well lie inside a hidden folder. A folder is entered once, whatever links lead to it, its own name before
any link's: loops end, and the order never depends on the disk.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from distill_engine import home
from distill_engine.audio.io import RECORDING_SUFFIXES, looks_like_recording, tidy_reason
from distill_engine.errors import DatasetError, StopRequestedError
from distill_engine.words import shown

FOREIGN_SUFFIXES = frozenset(
    {".aac", ".ac3", ".ape", ".au", ".caf", ".m4a", ".mka", ".mpc", ".snd", ".w64", ".wma", ".wv"}
)
"""Recordings in formats that Distill doesn't read: skipped with a reason, not passed over."""
_RUN_FOLDER = frozenset({"run.json", "events.jsonl"})


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A file that looks like a recording."""

    path: Path
    name: str
    """Path below the dataset's folder, with forward slashes."""
    problem: str = ""
    """Why it needn't be opened, or ""."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a folder and those below it hold."""

    candidates: tuple[Candidate, ...]
    """In the order of names."""
    other_files: int
    """Files that don't look like recordings."""
    notes: tuple[str, ...]
    """Folders that couldn't be listed, and why."""


def list_folder(folder: Path, should_stop: Callable[[], bool]) -> Listing:
    """List `folder` and all below it; DatasetError where it is none or can't be read, StopRequestedError on a stop."""
    try:
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise DatasetError(f"{shown(str(folder))} is a file, not a folder", "name the folder of your recordings")
        walk = _Walk(folder)
        walk.enter(folder, "")
    except (FileNotFoundError, ValueError):  # ValueError: a name that can't be one
        raise DatasetError(f"there is no folder {shown(str(folder))}", "check its spelling") from None
    except OSError as error:
        raise DatasetError(
            f"the folder {shown(str(folder))} can't be read: {tidy_reason(error)}",
            "check its spelling and its permissions",
        ) from error
    walk.go_on(should_stop)
    return walk.listing()


class _Walk:
    """Where a walk through the folders stands."""

    def __init__(self, folder: Path) -> None:
        self._entered = _left_out(folder)
        self._folders: list[tuple[Path, str]] = []
        self._links: list[tuple[Path, str]] = []
        self._candidates: list[Candidate] = []
        self._notes: list[str] = []
        self._other_files = 0

    def go_on(self, should_stop: Callable[[], bool]) -> None:
        """Enter what is still to be entered: all folders first, then the links to folders by their names."""
        while self._folders or self._links:
            if should_stop():
                raise StopRequestedError
            self._links.sort(key=lambda link: link[1], reverse=True)
            path, name = self._folders.pop() if self._folders else self._links.pop()
            try:
                self.enter(path, name)
            except OSError as error:
                self._notes.append(f"the folder {shown(name)} was left out, it can't be read: {tidy_reason(error)}")

    def enter(self, path: Path, name: str) -> None:
        """Sort the entries of one folder, unless it was entered before or is a run's."""
        identity = _identity(path)
        if identity in self._entered:
            return
        self._entered.add(identity)
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries)
        if name and _RUN_FOLDER.issubset(names):
            return
        for entry in names:
            self._sort_entry(path / entry, f"{name}/{entry}" if name else entry)

    def _sort_entry(self, path: Path, name: str) -> None:
        if path.name.startswith("."):
            if path.name.lower() in RECORDING_SUFFIXES:  # somebody's slip, and not what hidden files are for
                self._add(path, name, "hidden: its name starts with a dot")
        elif _is_folder(path):
            (self._links if path.is_symlink() else self._folders).append((path, name))
            if looks_like_recording(path):
                self._add(path, name, "a folder, not a recording")
        elif looks_like_recording(path):
            self._add(path, name)
        elif path.suffix.lower() in FOREIGN_SUFFIXES:
            self._add(path, name, f"Distill doesn't read {path.suffix[1:].upper()} files; convert it to WAV or FLAC")
        else:
            self._other_files += 1

    def _add(self, path: Path, name: str, problem: str = "") -> None:
        self._candidates.append(Candidate(path=path, name=name, problem=problem))

    def listing(self) -> Listing:
        """Return what was found."""
        return Listing(
            candidates=tuple(sorted(self._candidates, key=lambda candidate: candidate.name)),
            other_files=self._other_files,
            notes=tuple(sorted(self._notes)),
        )


def _left_out(folder: Path) -> set[tuple[int, int]]:
    """Return the folders never to be entered: those above the dataset (only a loop leads there), and Distill's own."""
    own = (home.config_folder(), home.models_folder().parent, home.runs_folder().parent, home.cache_folder())
    found = set()
    for path in (*folder.resolve().parents, *own):
        try:
            found.add(_identity(path))
        except OSError:
            continue  # not made yet, or above what may be seen: then nothing leads there either
    return found - {_identity(folder)}


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False  # a broken link or one to itself: it is told as such when it is checked
