"""Waiting for a disk: what can't be written is tried again until it can be, and then the run goes on by itself.

A full disk, one that fails for a moment, rights that somebody took away: a person mends these, and none is worth the
hours that a run has trained. What is tried again is always a whole piece of work, such as saving a checkpoint, which
leaves nothing where it fails and the same bytes however often it is done.
"""

from __future__ import annotations

import errno
import shlex
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from distill_engine.atomic import WriteError
from distill_engine.errors import DistillError
from distill_engine.events import (
    THE_DISK,
    CheckpointSaved,
    EpochDone,
    Event,
    RunPaused,
    RunUnpaused,
    StepDone,
    WarningRaised,
)
from distill_engine.words import shown, size

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 10.0
"""How long to wait before something is tried again: twice as long each time, from the one to the other."""

_POLL_SECONDS = 0.05

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_RIGHT = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_AWAY = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.ENODEV})

T = TypeVar("T")


class Patiently(Protocol):
    """Does a piece of work as soon as it can be done."""

    @property
    def waited(self) -> float:
        """For how many seconds a disk was waited for, in all."""

    def __call__(self, work: Callable[[], T]) -> T:
        """Do it and return what it returns."""


class Orders(Protocol):
    """What the outside wants meanwhile."""

    def turn_away(self, words: str) -> bool:
        """Refuse what is asked but for orders to end the run; tell whether one of those waits."""


class AtOnce:
    """No patience at all: for those who have nobody to tell that they wait."""

    waited = 0.0

    def __call__(self, work: Callable[[], T]) -> T:
        """Do it and return what it returns; what goes wrong is raised."""
        return work()


AT_ONCE = AtOnce()


class Patience:
    """The patience of a run called `name`: it tells that it waits, for what, and that it goes on."""

    def __init__(self, name: str, tell: Callable[[Event], object], orders: Orders) -> None:
        """`tell` must not wait itself."""
        self._name = name
        self._tell = tell
        self._orders = orders
        self._one_waits = threading.RLock()
        self._stands = (0, 0)
        self._pause: RunPaused | None = None
        self.waited = 0.0

    def heed(self, event: Event) -> None:
        """Take note of where the run stands; to be told of every event."""
        match event:
            case StepDone():
                self._stands = event.step, event.epoch - 1
            case EpochDone() | CheckpointSaved():
                self._stands = event.step, event.epoch
            case RunPaused():
                self._pause = event
            case RunUnpaused():
                self._pause = None

    def __call__(self, work: Callable[[], T]) -> T:
        """Do a piece of work, again and again while a disk doesn't let it be done; return what it returns.

        Where an order to end the run waits too, it is tried once more and what goes wrong then is raised.
        """
        with self._one_waits:  # whoever trains stands still while somebody beside waits
            pass
        try:
            return work()
        except (OSError, DistillError) as error:
            if disk_trouble(error) is None:
                raise
            with self._one_waits:
                return self._later(work, error)

    def _later(self, work: Callable[[], T], error: Exception) -> T:
        begun, waited, pause_before = time.monotonic(), self.waited, self._pause
        seconds, told = FIRST_SECONDS, ""
        try:
            while True:
                trouble = disk_trouble(error)
                if trouble is None:
                    raise error
                if str(trouble) != told:
                    told = str(trouble)
                    self._tell_of(trouble)
                is_last = self._is_to_end(seconds, trouble)
                seconds = min(2 * seconds, LONGEST_SECONDS)
                try:
                    return work()
                except (OSError, DistillError) as again:
                    if is_last:
                        raise
                    error = again
        finally:
            self.waited = waited + time.monotonic() - begun  # in which what is reported meanwhile may have waited too
            step, epoch = self._stands
            self._tell(pause_before or RunUnpaused(step=step, epoch=epoch))

    def _tell_of(self, trouble: OSError) -> None:
        path = trouble.filename or ""
        self._tell(
            WarningRaised(
                kind="disk",
                message=f"the run waits for its disk: {_refused(trouble)}",
                evidence=_room(trouble, Path(path)) if trouble.errno in _NO_ROOM and path else "",
                suggestion=f"{_remedy(trouble)}: the run goes on by itself; what is saved stays, and distill-engine "
                f"stop {shlex.quote(shown(self._name))} --now leaves it at that",
            )
        )
        step, epoch = self._stands
        self._tell(RunPaused(step=step, epoch=epoch, reason=THE_DISK))

    def _is_to_end(self, seconds: float, trouble: OSError) -> bool:
        """Wait so long; return early, with a yes, where the run is to end."""
        words = f"the run waits for its disk, and goes on by itself once it can: {_refused(trouble)}"
        deadline = time.monotonic() + seconds
        while not (ends := self._orders.turn_away(words)) and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _POLL_SECONDS))
        return ends


def disk_trouble(error: BaseException | None) -> OSError | None:
    """Return what a disk, or the rights on it, answered that is at the bottom of an error; None where nothing is."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_ROOM | _NO_RIGHT | _AWAY:
            return error
        error = error.__cause__
    return None


def _refused(trouble: OSError) -> str:
    path = shown(str(trouble.filename)) if trouble.filename else "a file"
    return f"{path} can't be written: {(trouble.strerror or 'the system refuses').lower()}"


def _remedy(trouble: OSError) -> str:
    if trouble.errno in _NO_ROOM:
        return "free some room there"
    return "make it writable again" if trouble.errno in _NO_RIGHT else "see what is wrong with that disk"


def _room(trouble: OSError, path: Path) -> str:
    """Return how much room is needed and how much there is."""
    needed = f"{size(trouble.needed)} are needed, " if isinstance(trouble, WriteError) and trouble.needed else ""
    there = next((folder for folder in path.parents if folder.is_dir()), Path("/"))
    return f"{needed}{size(shutil.disk_usage(there).free)} are free"
