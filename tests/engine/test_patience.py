"""Waiting for a disk: what is told meanwhile, what ends it, and what isn't waited for."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from distill_engine.atomic import WriteError
from distill_engine.errors import DistillError
from distill_engine.events import CheckpointSaved, Event, RunPaused, RunUnpaused, WarningRaised
from distill_engine.patience import Patience


class _Told(list[Event]):
    """Events, each of them seen by somebody as it comes."""

    def __init__(self, see: Callable[[Event], None]) -> None:
        super().__init__()
        self._see = see

    def append(self, event: Event) -> None:
        super().append(event)
        self._see(event)


class Waiting:
    """A run's patience, with what it tells, and orders to stop once so many looks were taken."""

    def __init__(self, looks: int = 10**6) -> None:
        self.told: list[Event] = []
        self.words: set[str] = set()
        self._looks = looks
        self.patience = Patience("strings", self.tell, self)

    def tell(self, event: Event) -> None:
        self.told.append(event)
        self.patience.heed(event)

    def turn_away(self, words: str) -> bool:
        self.words.add(words)
        self._looks -= 1
        return self._looks < 0


def failing(*errors: Exception) -> Callable[[], str]:
    """Return work that fails so often, in these ways, and is done then."""
    left = list(errors)

    def work() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return work


def refused(number: int, path: str = "/x/y") -> OSError:
    return OSError(number, os.strerror(number), path)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distill_engine.patience.FIRST_SECONDS", 0.001)


def test_a_full_disk_is_told_with_what_it_takes_and_waited_for() -> None:
    waiting = Waiting()
    full = WriteError(refused(errno.ENOSPC), Path("/x/y"), 12_000_000)
    assert waiting.patience(failing(full, full)) == "done"
    warning, paused, gone_on = waiting.told
    assert isinstance(warning, WarningRaised)
    assert warning.message == "the run waits for its disk: /x/y can't be written: no space left on device"
    assert warning.evidence.startswith("12.0 MB are needed, ")
    assert warning.evidence.endswith(" are free")
    assert warning.suggestion.startswith("free some room there: the run goes on by itself; ")
    assert isinstance(paused, RunPaused)
    assert isinstance(gone_on, RunUnpaused)
    assert waiting.patience.waited > 0


def test_another_trouble_meanwhile_is_told_too() -> None:
    waiting = Waiting()
    waiting.patience(failing(refused(errno.EIO), refused(errno.EIO), refused(errno.EROFS)))
    warnings = [event.suggestion.partition(":")[0] for event in waiting.told if isinstance(event, WarningRaised)]
    assert warnings == ["see what is wrong with that disk", "make it writable again"]
    assert isinstance(waiting.told[-1], RunUnpaused)


def test_an_order_to_end_the_run_ends_the_waiting_after_one_more_try() -> None:
    waiting = Waiting(looks=0)
    with pytest.raises(OSError, match="Input/output error"):
        waiting.patience(failing(refused(errno.EIO), refused(errno.EIO)))
    assert isinstance(waiting.told[-1], RunUnpaused)
    assert waiting.patience(failing(refused(errno.EIO))) == "done"


def test_whoever_trains_stands_still_while_somebody_beside_waits() -> None:
    waiting, mended, order = Waiting(), threading.Event(), list[str]()
    waits = threading.Event()

    def save() -> None:
        if not mended.is_set():
            raise refused(errno.ENOSPC)
        order.append("saved")

    def mend(event: Event) -> None:
        if isinstance(event, RunPaused):
            waits.set()

    waiting.told = _Told(mend)
    beside = threading.Thread(target=lambda: waiting.patience(save))
    beside.start()
    assert waits.wait(30)
    threading.Timer(0.05, mended.set).start()
    waiting.patience(lambda: order.append("trained on"))
    beside.join()
    assert order == ["saved", "trained on"]


def test_a_pause_that_was_asked_for_goes_on_after_the_disk() -> None:
    waiting = Waiting()
    asked = RunPaused(step=3, epoch=0, reason="me")
    waiting.tell(asked)
    waiting.patience(failing(refused(errno.EACCES)))
    assert waiting.told[-1] == asked


def test_a_disk_is_at_the_bottom_of_other_errors_too_and_what_is_no_disks_fault_is_not_waited_for() -> None:
    waiting = Waiting()
    waiting.tell(CheckpointSaved(step=7, epoch=1, path="", bytes=1))
    wrapped = DistillError("the cache can't be written")
    wrapped.__cause__ = refused(errno.EDQUOT)
    assert waiting.patience(failing(wrapped)) == "done"
    assert waiting.told[-1] == RunUnpaused(step=7, epoch=1)
    with pytest.raises(DistillError, match="no recording"):
        waiting.patience(failing(DistillError("no recording")))
    with pytest.raises(FileNotFoundError):
        waiting.patience(failing(refused(errno.ENOENT)))
