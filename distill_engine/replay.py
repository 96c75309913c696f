"""Play a recorded run as if its worker were at work: the same lines at the same pace, the lock held, orders answered.

It is what `distill-tui --demo` shows, so that a first look needs neither recordings nor a minute of training, and what
proves that a front end needs nothing of a run but its folder. It trains nothing, and never says it did: the run's name
and its folder are the demo's own.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from distill_engine.control import POLL_SECONDS, Control
from distill_engine.event_log import EventLog
from distill_engine.events import (
    AnyCommand,
    AnyEvent,
    Checkpoint,
    CheckpointSaved,
    Event,
    Pause,
    Preview,
    RunPaused,
    RunStarted,
    RunStopped,
    RunUnpaused,
    StepDone,
    Stop,
    StopNow,
    Unpause,
    decode,
    encode,
)
from distill_engine.run_folder import RunFolder
from distill_engine.run_lock import RunLock


def read_recorded(path: Path) -> list[AnyEvent]:
    """Return the events of a recorded log."""
    return [event for line in path.read_bytes().splitlines() if (event := decode(line)) is not None]


def replay(folder: RunFolder, recorded: Sequence[AnyEvent], begun: int) -> None:
    """Play a recorded run into its folder, of which the first `begun` events are in the log already.

    Returns at the end of the run, when an order ends it, or when the process that started this one is no more.
    """
    parent = os.getppid()
    with RunLock(folder):
        player = _Player(folder)
        before = recorded[begun - 1].time if begun else recorded[0].time
        for event in recorded[begun:]:
            until = time.monotonic() + event.time - before
            before = event.time
            while (left := until - time.monotonic()) > 0 or player.control.waiting():
                until += player.obey()
                if player.is_over or os.getppid() != parent:
                    return
                time.sleep(max(0.0, min(left, POLL_SECONDS)))
            player.report(event)


def write_beginning(folder: RunFolder, recorded: Sequence[AnyEvent], begun: int) -> None:
    """Write the first events of a recorded run as if they had just happened, the last of them now."""
    shift = time.time() - recorded[begun - 1].time
    with folder.events_file.open("wb") as file:
        file.writelines(encode(replace(_here(event), time=event.time + shift)) for event in recorded[:begun])


def _here(event: AnyEvent) -> AnyEvent:
    return replace(event, pid=os.getpid(), host=socket.gethostname()) if isinstance(event, RunStarted) else event


class _Player:
    """What stands where a worker would: the log, the orders, and where the run has come to."""

    def __init__(self, folder: RunFolder) -> None:
        self._log = EventLog(folder)
        self.control = Control(folder, self.report)
        self.is_over = False
        self._step = self._epoch = 0
        self._saved: CheckpointSaved | None = None
        for event in read_recorded(folder.events_file):
            self._note(event)

    def report(self, event: Event) -> None:
        """Write an event."""
        self._log.append(event)
        self._note(event)

    def _note(self, event: Event) -> None:
        if isinstance(event, StepDone | CheckpointSaved):
            self._step, self._epoch = event.step, event.epoch
        if isinstance(event, CheckpointSaved):
            self._saved = event

    def obey(self) -> float:
        """Carry out what was asked, and return for how many seconds it kept the run from going on."""
        begun = time.monotonic()
        order = self.control.take()
        if order is None:
            return 0.0
        if isinstance(order, Pause):
            self.report(RunPaused(step=self._step, epoch=self._epoch, reason=order.sender))
            self.control.answer(order, "done", f"paused after step {self._step:,}")
            order = self._paused()
        self._carry_out(order)
        return time.monotonic() - begun

    def _paused(self) -> AnyCommand:
        """Wait for the order that ends the pause."""
        while isinstance(order := self.control.wait(), Pause | Checkpoint | Preview):
            self.control.answer(order, "refused", "the run is paused")
        if not isinstance(order, Stop | StopNow):
            self.report(RunUnpaused(step=self._step, epoch=self._epoch))
        return order

    def _carry_out(self, order: AnyCommand) -> None:
        match order:
            case Stop() | StopNow():
                saved = self._save()
                self.control.answer(order, "done", f"stopped after step {self._step:,}", saved)
                self.report(RunStopped(step=self._step, epoch=self._epoch, reason=order.sender, checkpoint=saved))
                self.is_over = True
            case Checkpoint():
                self.control.answer(order, "done", f"saved after step {self._step:,}", self._save())
            case Unpause():
                self.control.answer(order, "done", "the run goes on")
            case Preview():
                self.control.answer(order, "refused", "this run is a recording: nothing makes sound")

    def _save(self) -> str:
        """Tell of a checkpoint as the recorded run's were, and return its path."""
        if self._saved is None:
            return ""
        path = f"checkpoints/step-{self._step:08d}.safetensors"
        self.report(replace(self._saved, step=self._step, epoch=self._epoch, path=path))
        return path


def main() -> None:
    """Play into a run folder, the first argument, a recorded log, the second, but for as many events as the third."""
    folder, recorded, begun = sys.argv[1:]
    replay(RunFolder(Path(folder)), read_recorded(Path(recorded)), int(begun))


if __name__ == "__main__":
    main()
