"""Complete the path of a folder or file as one types it: what may follow, and how much of it is certain. No Textual.

Paths stay as they are typed, `~` and all, and what is hidden is offered only behind a dot. A name that can't be shown
as it is, for it holds control characters or is no text, isn't offered: the tree of folders has it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distill_engine import api


@dataclass(frozen=True, kw_only=True)
class Inside:
    """What is right in a folder."""

    folders: tuple[str, ...] = ()
    """Names in the order of names, hidden ones last; they may hold any character."""

    files: tuple[str, ...] = ()
    """Names of the files that were asked for, in the same order."""

    recordings: int = 0
    """How many files are named like recordings."""

    problem: str = ""
    """Why it can't be listed, in a few words; empty where it can."""


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What may follow a text."""

    typed: str
    candidates: tuple[str, ...] = ()
    """Each the whole text that would stand in the line, a folder's with a slash at its end; folders before files."""

    inside: Inside | None = None
    """What is in the folder that the text names; None where it names none."""

    @property
    def names(self) -> tuple[str, ...]:
        """The last parts of the candidates, without the slash."""
        return tuple(text.rstrip("/").rpartition("/")[2] for text in self.candidates)

    @property
    def certain(self) -> str:
        """The text as far as all candidates agree; the text itself where there is none."""
        return os.path.commonprefix(self.candidates) or self.typed  # noqa: RUF071 - letters are meant, not parts


def meant(text: str) -> Path:
    """Return the folder a person means: `~` is their home; what begins with neither that nor `/` lies below here."""
    path = os.path.expanduser(text.strip())  # noqa: PTH111 - a wrong `~name` is no error
    try:
        return Path(os.path.abspath(path))  # noqa: PTH100
    except OSError:  # the folder one is in is gone
        return Path(path)


def completion(text: str, suffix: str = "") -> Completion:
    """Return what may follow `text`: folders, and files that end in `suffix` where there is one.

    Blocks: it lists folders. What can't be listed has nothing in it.
    """
    path = text.lstrip()
    if path == "~":
        return Completion(typed=text, candidates=("~/",))
    above, slash, begun = path.rpartition("/")
    there = look_inside(meant(above + slash or "."), suffix)
    names = [*(f"{name}/" for name in there.folders), *there.files]
    return Completion(
        typed=text,
        candidates=tuple(f"{above}{slash}{name}" for name in names if _is_offered(name, begun)),
        inside=look_inside(meant(path)) if path and is_folder(meant(path)) else None,
    )


def is_folder(path: Path) -> bool:
    """Tell whether there is a folder that can be reached; unlike Path's own, it says no where one may not even ask."""
    return os.path.isdir(path)  # noqa: PTH112


def look_inside(folder: Path, suffix: str = "") -> Inside:
    """Return what is right in a folder, of its files those that end in `suffix`. Blocks, and opens no file."""
    names: list[str] = []
    files: list[str] = []
    recordings = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _is_folder(entry):
                    names.append(entry.name)
                    continue
                if suffix and entry.name.endswith(suffix):
                    files.append(entry.name)
                if not entry.name.startswith("."):
                    recordings += api.looks_like_recording(Path(entry.name))
    except (OSError, ValueError) as error:  # ValueError: a character that no name can have
        return Inside(problem=getattr(error, "strerror", None) or str(error))
    return Inside(folders=_in_order(names), files=_in_order(files), recordings=recordings)


def _in_order(names: list[str]) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda name: (name.startswith("."), name.casefold(), name)))


def window(names: Sequence[str], chosen: int | None, width: int, rows: int) -> list[list[tuple[str, bool]]]:
    """Return `rows` lines of names and whether each is the chosen one, so that the chosen is among them.

    A line is as long as `width` cells hold, two cells between names.
    """
    lines: list[list[tuple[str, bool]]] = []
    room = 0
    for number, name in enumerate(names):
        needed = api.cells(name) + 2
        if needed > room or not lines:
            lines.append([])
            room = width
        room -= needed
        lines[-1].append((name, number == chosen))
    at = next((row for row, line in enumerate(lines) if any(is_chosen for _, is_chosen in line)), 0)
    first = max(0, min(at - rows + 1, len(lines) - rows))
    return lines[first : first + rows]


def _is_offered(name: str, begun: str) -> bool:
    hidden = name.startswith(".") and not begun.startswith(".")
    return name.startswith(begun) and not hidden and api.shown(name) == name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
