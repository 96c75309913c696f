"""Room kept on a disk behind the end of a file that grows, so that of a full disk one can still be told.

Readers see nothing of it: the file's size stays. A file system that can't do that is left as it is, and then news and
orders wait until the disk has room.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

_KEEP_SIZE = 1


def keep_room(descriptor: int, start: int, size: int) -> None:
    """Let the file's next `size` bytes from `start` on have their place on the disk, where the system can."""
    if (fallocate := _fallocate()) is not None:
        fallocate(descriptor, _KEEP_SIZE, ctypes.c_longlong(start), ctypes.c_longlong(size))


@functools.cache
def _fallocate() -> Callable[..., int] | None:
    """Return Linux's own; `os.posix_fallocate` would make the file longer."""
    return getattr(ctypes.CDLL(None), "fallocate", None)
