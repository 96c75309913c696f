"""What the Library screen does to files: every action is on the very model that was shown, or on none. No Textual.

Between the look and the key another process may have renamed, replaced or removed a file. All of this blocks.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from distill_engine import api

if TYPE_CHECKING:
    from distill_engine.api import LibraryEntry

_AUDIO_SUFFIXES = frozenset(f".{name}" for name in api.WRITABLE_FORMATS)


def still_there(shown: LibraryEntry, known: Sequence[LibraryEntry] = ()) -> LibraryEntry:
    """Return the model as its file is now, whatever it is called; `known` are the others as they were last read.

    Raises:
        NotFoundError: it is gone, or its name belongs to another model.
    """
    others = [one for one in known if one.path != shown.path]
    found = same_model(shown, api.list_models(shown.path.parent, known=others))
    if found is None:
        raise api.NotFoundError(
            f"the model {api.shown(shown.name)} that was shown is no longer there",
            "nothing was done; the list is up to date now",
        )
    return found


def same_model(shown: LibraryEntry, now: Sequence[LibraryEntry]) -> LibraryEntry | None:
    """Return the one among `now` that is the model shown: by its id where it was, else by id and time.

    A copy in the library has the same id and isn't the one shown. A file that can't be read has no id; it must be as it
    was.
    """
    here = next((one for one in now if one.path == shown.path and one.id == shown.id), None)
    if here is not None and (shown.id or (here.size, here.modified) == (shown.size, shown.modified)):
        return here
    moved = [one for one in now if shown.id and (one.id, one.modified) == (shown.id, shown.modified)]
    return moved[0] if len(moved) == 1 else None


def rename(shown: LibraryEntry, name: str, known: Sequence[LibraryEntry] = ()) -> LibraryEntry:
    """Give the model another name; return it as it is then. Raises DistillError."""
    return api.rename(still_there(shown, known), name)


def delete(shown: LibraryEntry, known: Sequence[LibraryEntry] = ()) -> LibraryEntry:
    """Remove the model's file; return what it was at the end. Raises DistillError."""
    entry = still_there(shown, known)
    api.delete(entry)
    return entry


def sounds_folder(model_name: str) -> Path:
    """Return where sounds of a model go unless told otherwise."""
    return _all_sounds_folder() / model_name


def all_sounds() -> list[Path]:
    """Return the sounds where they usually go, of all models, whatever they were called when a sound was made."""
    try:
        folders = [path for path in _all_sounds_folder().iterdir() if path.is_dir()]
    except OSError:
        return []
    return [sound for folder in folders for sound in sounds_in(folder)]


def _all_sounds_folder() -> Path:
    return api.data_folder() / "generated"


def sounds_in(folder: Path) -> list[Path]:
    """Return the sounds in a folder, the newest first; none where it can't be listed."""
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() in _AUDIO_SUFFIXES]
    except OSError:
        return []
    times = {path: time for path in paths if path.name[0] != "." and (time := _time_of(path))}
    return sorted(times, key=lambda path: (times[path], path.name), reverse=True)


def _time_of(path: Path) -> float:
    """Return when a file was written, 0 where it has just gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def free_seed(model_name: str, folder: Path) -> int:
    """Return the seed after the greatest one in the names of the model's sounds in a folder, 0 where there are none."""
    pattern = re.compile(rf"{re.escape(model_name)}-(\d{{1,10}})")
    seeds = [int(match[1]) for path in sounds_in(folder) if (match := pattern.fullmatch(path.stem))]
    return (max(seeds) + 1) % (api.LARGEST_SEED + 1) if seeds else 0


def free_sound_name(model_name: str, seed: int, folder: Path) -> str:
    """Return what to call a sound of a seed that may be there already with other settings: "bells-7", "bells-7-2"."""
    taken = {path.stem for path in sounds_in(folder)}
    wanted = f"{model_name}-{seed}"
    names = itertools.chain([wanted], (f"{wanted}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in taken)
