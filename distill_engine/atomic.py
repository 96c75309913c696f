"""Write a file whole or not at all: a temporary file beside the target, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

TEMPORARY_PREFIX = ".distill-"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write; on leaving without an error it becomes `path`, durably. Parents are made.

    The temporary file lies in the same folder, so the rename can't cross file systems, and its name starts with
    `TEMPORARY_PREFIX`. After an error it is removed and `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}{path.suffix}"
    try:
        yield temporary
        _fsync(temporary, os.O_RDWR)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(path)  # which the person reading knows
        raise
    _fsync(path.parent, os.O_RDONLY)


def write_bytes(path: Path, data: bytes) -> None:
    """Make `path` hold exactly `data`."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Make `path` hold exactly `text`, as UTF-8."""
    write_bytes(path, text.encode())


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed writer left in `folder` and below. Only whoever alone writes there may ask for it."""
    for path in folder.rglob(f"{TEMPORARY_PREFIX}*"):
        path.unlink(missing_ok=True)


def remove_abandoned(folder: Path, *, seconds: float = 3600) -> None:
    """Remove what killed writers left in `folder`, where others may be writing: only what nobody touched for long."""
    for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > seconds:
                path.unlink()


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
