"""Read files that may be anybody's: regular ones alone, without waiting, and whole only where they are small.

A settings file or theme that was handed over may be a named pipe, which would be waited for, a device, or a hole of a
terabyte; its JSON or TOML may be nested deeper than any parser goes.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from distill_engine.words import size

SMALL = 1 << 20
"""Bytes of a file that a person writes, at most."""

LARGE = 1 << 26
"""Bytes of a file that Distill itself keeps as JSON, at most."""

UNREADABLE = (ValueError, RecursionError)
"""What parsers of JSON and TOML raise for what isn't any, or is nested too deep."""


def opened(path: Path) -> int:
    """Return the descriptor of a regular file, to be read.

    Raises:
        OSError: it can't be opened; or it is something else, of which IsADirectoryError tells a folder.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError:
        raise FileNotFoundError(errno.ENOENT, "its name can't be a file's", str(path)) from None
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "it is no regular file", str(path))


def read_small(path: Path, most: int = SMALL) -> bytes:
    """Return what is in a file of at most so many bytes.

    Raises:
        OSError: as `opened` does; or it is larger.
    """
    with os.fdopen(opened(path), "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than {size(most)}", str(path))
    return data


def written_stretches(descriptor: int) -> list[tuple[int, int]]:
    """Return from where to where a file was ever written; all of it where its file system doesn't tell of holes."""
    size = os.fstat(descriptor).st_size
    stretches: list[tuple[int, int]] = []
    end = 0
    try:
        while end < size:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
            end = os.lseek(descriptor, start, os.SEEK_HOLE)
            stretches.append((start, end))
    except OSError as error:
        if error.errno != errno.ENXIO:  # which says that nothing but a hole follows
            return [(0, size)]
    return stretches
