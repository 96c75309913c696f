"""Write a file whole or not at all: a temporary file beside the target, fsync, rename, fsync of the folder.

Whoever writes a temporary file holds a lock on it (flock) as long as it lives. So what a killed writer left is told at
once from what another process is writing, on any machine that shares the folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

TEMPORARY_PREFIX = ".distill-"

_TEMPORARY_FILES = f"{TEMPORARY_PREFIX}{12 * '[0-9a-f]'}*"
"""Those of `temporary_beside`, and no file that anybody else may have called so."""


class WriteError(OSError):
    """A file couldn't be written: `filename` is the name it was to have, `needed` how many bytes it takes at least."""

    def __init__(self, error: OSError, path: Path, needed: int) -> None:
        super().__init__(error.errno, error.strerror, str(path))
        self.needed = needed


@contextlib.contextmanager
def replacing(path: Path, size: int = 0) -> Iterator[Path]:
    """Yield a temporary path to write; on leaving without an error it becomes `path`, durably. Parents are made.

    The temporary file lies in the same folder, so the rename can't cross file systems, and its name starts with
    `TEMPORARY_PREFIX`. After an error it is removed and `path` is as it was. `size` is how many bytes will be written,
    where that is known.

    Raises:
        WriteError: the system refused something.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        with held(temporary):
            yield temporary
            sync(temporary)
            temporary.replace(path)
        sync(path.parent)
    except BaseException as error:
        written = _removed(temporary)
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            raise WriteError(error, path, size or written) from error  # by the name that the person reading knows
        raise


def temporary_beside(path: Path) -> Path:
    """Return a new name for a temporary file in the folder of `path`, with its suffix."""
    return path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}{path.suffix}"


def sync(path: Path) -> None:
    """Make a file's contents, or a folder's names, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def held(temporary: Path) -> Iterator[None]:
    """Make an empty file and hold it, so that nobody takes it for abandoned."""
    descriptor = _held_descriptor(temporary)
    try:
        yield
    finally:
        os.close(descriptor)


def write_bytes(path: Path, data: bytes) -> None:
    """Make `path` hold exactly `data`."""
    with replacing(path, len(data)) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Make `path` hold exactly `text`, as UTF-8."""
    write_bytes(path, text.encode())


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed writer left in `folder` and below. Only whoever alone writes there may ask for it."""
    for path in [*folder.rglob(f"{TEMPORARY_PREFIX}*")]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def remove_abandoned(folder: Path, *, seconds: float = 3600) -> None:
    """Remove what killed writers left in `folder`, where others may be writing: what nobody holds.

    Where the file system has no locks, only what nobody touched for so many seconds.
    """
    for path in folder.glob(_TEMPORARY_FILES):
        with contextlib.suppress(OSError):  # gone by now, or not ours to remove
            _remove_abandoned(path, seconds)


def _removed(temporary: Path) -> int:
    """Remove what couldn't be finished; return how many bytes it had. A disk that refuses that too keeps a leftover."""
    try:
        size = temporary.stat().st_size
        temporary.unlink()
    except OSError:
        return 0
    return size


def _remove_abandoned(path: Path, seconds: float) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        if _is_abandoned(descriptor, seconds):
            path.unlink()
    finally:
        os.close(descriptor)


def _is_abandoned(descriptor: int, seconds: float) -> bool:
    """Tell whether nobody holds a file, and hold it: nobody will from now on."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return time.time() - os.fstat(descriptor).st_mtime > seconds
    return True


def _held_descriptor(temporary: Path) -> int:
    while True:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT, 0o666)
        with contextlib.suppress(OSError):  # no locks there: `remove_abandoned` goes by the time
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # somebody took it for abandoned between these lines
