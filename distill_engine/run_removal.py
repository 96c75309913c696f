"""Deleting a run: never one that is trained, and so that what an interruption leaves can be deleted again."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from distill_engine.errors import DistillError
from distill_engine.run_folder import RunFolder
from distill_engine.run_lock import RunLock, lock_holder
from distill_engine.words import shown


def refuse_living(folder: RunFolder) -> None:
    """Raise DistillError where a process trains the run."""
    holder = lock_holder(folder)
    if holder is not None:
        raise DistillError(
            f"run {folder.name} is being trained by process {holder}",
            f"distill-engine stop {shlex.quote(folder.name)} ends it",
        )


def size_of_run(folder: RunFolder) -> int:
    """Return how many bytes the run's files take."""
    return sum(path.lstat().st_size for path in folder.path.rglob("*") if path.is_file() and not path.is_symlink())


def remove_run(folder: RunFolder) -> None:
    """Delete the run with all its checkpoints and previews; its model lies in the library and stays.

    Raises:
        DistillError: a process trains it, or a file can't be removed.
    """
    refuse_living(folder)
    _refuse_without_rights(folder)
    kept_for_last = (folder.run_file, folder.lock_file)
    try:
        # Under the run's lock, so that no worker can begin meanwhile. While `run.json` is there it is listed as a run.
        with RunLock(folder):
            for path in folder.path.iterdir():
                if path not in kept_for_last:
                    _remove(path)
        shutil.rmtree(folder.path)
    except OSError as error:
        raise DistillError(f"run {folder.name} can't be deleted whole: {error}", "delete it again later") from None


def _refuse_without_rights(folder: RunFolder) -> None:
    """Raise DistillError where a folder's rights forbid it: half a run is of no use to anybody."""
    inside = (path for path in folder.path.rglob("*") if path.is_dir() and not path.is_symlink())
    for path in (folder.path, *inside):
        if not os.access(path, os.W_OK | os.X_OK):
            raise DistillError(
                f"run {shown(folder.name)} can't be deleted: {shown(str(path))} can't be written", "nothing was deleted"
            )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
