"""Generated sounds into a folder of recordings: copied, never moved, and only where their tags say what they are.

So whoever trains on the folder can tell them from recordings, today and in years.
"""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

from distill_engine import atomic
from distill_engine.audio.tags import read_tags
from distill_engine.errors import DistillError, UsageError
from distill_engine.words import shown


def add_to_corpus(sound: Path, folder: Path) -> Path:
    """Copy a generated sound into a folder of recordings; a taken name gets `-2`. Return where it is.

    Raises:
        UsageError: there is no such folder, or the sound doesn't say in its tags that a model made it.
        DistillError: it can't be copied.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 - never an error
        raise UsageError(f"there is no folder {shown(str(folder))}", "choose another one")
    if read_tags(sound) is None:
        raise UsageError(
            f"{shown(sound.name)} doesn't say that a model made it, and would be taken for a recording",
            "make it again: what is made now says so in its tags",
        )
    target = None
    try:
        target = _reserved(sound, folder)
        with atomic.replacing(target) as temporary:
            shutil.copyfile(sound, temporary)
    except OSError as error:
        if target is not None:
            target.unlink(missing_ok=True)
        raise DistillError(f"{shown(sound.name)} can't be copied to {shown(str(folder))}: {error.strerror}") from None
    return target


def _reserved(sound: Path, folder: Path) -> Path:
    """Return a file that wasn't there and now is, empty: no other program can take its name meanwhile."""
    for number in itertools.count(1):
        path = folder / (sound.name if number == 1 else f"{sound.stem}-{number}{sound.suffix}")
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            continue
        return path
    raise AssertionError
