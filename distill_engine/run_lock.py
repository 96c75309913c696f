"""The right to write into a run's folder: one worker has it until it ends, however it ends, and anybody may ask who.

It is a POSIX record lock, not flock: a forked helper doesn't inherit it, so a killed worker's run is free at once, and
a reader can ask who holds it (F_GETLK) without ever taking it. Such a lock falls with *any* close of the file in its
process, so only `RunLock` ever opens the file there. Where the file system has no locks, a heartbeat stands in.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
import sys
from pathlib import Path
from typing import Self

from distill_engine import heartbeat
from distill_engine.errors import DistillError
from distill_engine.heartbeat import Heartbeat
from distill_engine.run_folder import RunFolder
from distill_engine.small_files import opened


class RunLock:
    """The right to write into a run folder, held until `release` or the end of the process, however it ends."""

    def __init__(self, folder: RunFolder) -> None:
        self._descriptor = open_lock(folder.lock_file)
        self._heartbeat: Heartbeat | None = None
        if not self._locked(folder):
            os.close(self._descriptor)
            raise trained_elsewhere(folder, lock_holder(folder))

    def _locked(self, folder: RunFolder) -> bool:
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            if error.errno not in heartbeat.NO_LOCKS:
                raise
            self._heartbeat = heartbeat.take(folder.heartbeat_file)
            return self._heartbeat is not None
        return True

    @property
    def is_heartbeat(self) -> bool:
        """Whether a heartbeat stands in for a lock that the file system hasn't got."""
        return self._heartbeat is not None

    def release(self) -> None:
        """Let another process write."""
        if self._heartbeat:
            self._heartbeat.stop()
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def open_lock(path: Path) -> int:
    """Open a file to lock, which is the user's alone: whoever may open it can also lock it, and let others wait."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:  # made by an earlier version, or unpacked
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, 0o600)
    return descriptor


def trained_elsewhere(folder: RunFolder, holder: int | None) -> DistillError:
    """Return what one is told who wants to train a run that `holder` trains."""
    message = f"run {folder.name} is being trained by process {holder}"
    return DistillError(message, "wait until it ends, or end it first")


def lock_holder(folder: RunFolder) -> int | None:
    """Return the process id that holds the run's lock, None where nobody does. Asks, and never takes it.

    A process on another machine is told by -1 or by an id that means nothing here: only that there is one is certain.
    The process that holds the lock itself must not ask.
    """
    # struct flock, see fcntl(2): Linux has type, whence, start, length, pid; macOS start, length, pid, type, whence.
    linux = sys.platform.startswith("linux")
    layout = "hhqqi4x" if linux else "qqihh"
    question = (fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0) if linux else (0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
    try:
        if not folder.lock_file.is_file():  # nor can anybody hold a pipe's
            return None
        descriptor = opened(folder.lock_file)  # to read, which is enough to ask: one may have no right to write
    except FileNotFoundError:
        return None
    except PermissionError:  # another user's
        return _holder_by_system(folder.lock_file) or heartbeat.holder(folder.heartbeat_file)
    try:
        answer = struct.unpack(layout, fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(layout, *question)))
    except OSError as error:
        if error.errno not in heartbeat.NO_LOCKS:
            raise
        return heartbeat.holder(folder.heartbeat_file)
    finally:
        os.close(descriptor)
    kind, holder = (answer[0], answer[4]) if linux else (answer[3], answer[2])
    return None if kind == fcntl.F_UNLCK else holder


def _holder_by_system(lock_file: Path) -> int | None:
    """Return who holds a lock that one may not open, as the system's list of locks tells, which only Linux has."""
    try:
        inode, locks = lock_file.stat().st_ino, Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    # Such as "1: POSIX  ADVISORY  WRITE 4711 fd:00:2531452 0 EOF". Some file systems tell another device than stat.
    held = (fields for line in locks if len(fields := line.split()) > 5 and fields[1] == "POSIX")
    return next((int(one[4]) or -1 for one in held if one[5].rpartition(":")[2] == str(inode)), None)
