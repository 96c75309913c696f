"""What a worker says, to its run's log and whoever looks on, and what it hears; and its patience with the disk.

Everything that is told passes here, so that lines come one at a time, in one order, and nothing follows the ending.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from distill_engine.control import Control
from distill_engine.event_log import EventLog
from distill_engine.events import Ending, Event, RunFailed
from distill_engine.patience import Patience
from distill_engine.run_epochs import run_epochs
from distill_engine.run_folder import RunFolder
from distill_engine.run_watch import RunWatch
from distill_engine.worker_log import WorkerLog


class Voice:
    """One worker's: `restarted` tells of an earlier stretch of the run."""

    def __init__(self, folder: RunFolder, log: EventLog, worker_log: WorkerLog, show: Callable[[Event], None]) -> None:
        self.restarted = log.last_seq > 0
        self.control = Control(folder, self.tell, restarted=self.restarted)
        self.patiently = Patience(folder.name, self.tell, self.control)
        self._name = folder.name
        self._log = log
        self._worker_log = worker_log
        self._show = show
        self._watch = RunWatch(run_epochs(folder).done if self.restarted else ())
        self._one_at_a_time = threading.Lock()

    def tell(self, event: Event) -> None:
        """Say it now; where the disk doesn't take it, the log remembers it."""
        with self._one_at_a_time:
            for told in self._watch.told(event):
                self.patiently.heed(told)
                self._show(self._log.append(told))

    def report(self, event: Event) -> None:
        """Say it, and wait until it is written."""
        self.tell(event)
        try:
            self.patiently(self._log.catch_up)
        except OSError:
            if not self.control.stop_waits():  # that ends the run in order, as far as the disk lets it
                raise

    def sample(self, event: Event) -> None:
        """Say it if it can be written: nobody waits for a sample, and none is remembered."""
        if not self._log.is_behind:
            self.tell(event)
        self._worker_log.keep_small()

    def end(self, ending: Ending) -> None:
        """Say how the run ended, as the last that is said, and wait until that is written, unless the run failed."""
        try:
            if not isinstance(ending, RunFailed):
                self.patiently(self._log.sync)
        finally:
            self.control.refuse_the_rest()
            self.tell(ending)
        if not isinstance(ending, RunFailed):
            in_silence = Patience(self._name, lambda _event: None, _Signals(self.control))
            in_silence(self._log.sync)


@dataclass(frozen=True)
class _Signals:
    """All that ends a run which has said its last word, and still waits until its disk takes that."""

    control: Control

    def turn_away(self, _words: str) -> bool:
        return bool(self.control.signal)
