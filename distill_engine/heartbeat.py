"""Stands in for the lock on a file system that has none: a file that its holder touches every five seconds.

Ages are taken on the file system's own clock, by touching a file and comparing, so that machines whose clocks differ
agree. It is weaker than a lock: a holder frozen for longer than `STALE_SECONDS` may find the run taken.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from distill_engine import atomic

BEAT_SECONDS = 5.0
STALE_SECONDS = 30.0
SETTLING_SECONDS = 0.3
"""How long one waits after taking over a stale file to see whether another took it in the same moment."""

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})
"""What a system answers where a file system can't lock."""


class Heartbeat:
    """A beating file, from `take` until `stop` or the end of the process."""

    def __init__(self, path: Path, text: str) -> None:
        """Beat in `path`, which holds `text`, as long as it does: with another text it is another's."""
        self._path = path
        self._text = text
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let go: the file is removed."""
        self._stopped.set()
        self._thread.join()
        if _text(self._path) == self._text:
            self._path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stopped.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # a disk that fails for a moment must not end the beating
                if _text(self._path) == self._text:
                    os.utime(self._path)


def take(path: Path) -> Heartbeat | None:
    """Begin to beat in `path`; None where another one does."""
    if holder(path) is not None:
        return None
    mine = f"{os.getpid()} {secrets.token_hex(8)}"
    with atomic.replacing(path) as temporary:
        temporary.chmod(0o600)
        temporary.write_text(mine)
    time.sleep(SETTLING_SECONDS)
    return Heartbeat(path, mine) if _text(path) == mine else None


def holder(path: Path) -> int | None:
    """Return the process id of whoever beats in `path`, -1 if it tells none; None where nobody does."""
    text = _text(path)
    try:
        if not text or _age(path) > STALE_SECONDS:
            return None
    except FileNotFoundError:  # let go of in this moment
        return None
    number = text.partition(" ")[0]
    return int(number) if number.isdigit() else -1


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
    except PermissionError:
        return "another user's"


def _age(path: Path) -> float:
    """Return how many seconds ago `path` was touched, by the file system's clock where one may write beside it."""
    with _touched(path.with_name(f"{atomic.TEMPORARY_PREFIX}{secrets.token_hex(6)}")) as now:
        return now - path.stat().st_mtime


@contextlib.contextmanager
def _touched(probe: Path) -> Iterator[float]:
    try:
        probe.touch()
    except OSError:  # a reader without the right to write has only its own clock
        yield time.time()
        return
    try:
        yield probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)
