"""What the outside asks of a run: signals, and the commands in its folder, each answered.

The worker asks before every step whether something waits: one `stat`, no thread. A command is `heard` when it is read
and `done` or `refused` by whoever carries it out. Those that an earlier stretch of the run left without an answer are
refused as stale.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import FrameType

from distill_engine.events import (
    Answer,
    AnyCommand,
    Checkpoint,
    CommandAnswered,
    Event,
    Pause,
    Preview,
    RunPaused,
    RunUnpaused,
    Stop,
    StopNow,
    Unpause,
    command_name,
    decode_command,
    refusal_of_unknown,
)
from distill_engine.run_folder import RunFolder

POLL_SECONDS = 0.05
"""How often a paused run looks for orders."""


class Control:
    """The orders of one stretch of a run. `stopping` is the order that ends it, once there is one."""

    def __init__(self, folder: RunFolder, report: Callable[[Event], object], *, restarted: bool = False) -> None:
        """Take in what was asked so far; of a restarted run that is another stretch's, to be refused as stale."""
        self._path = folder.commands_file
        self._report = report
        self._read_to = 0
        self._one_at_a_time = threading.RLock()  # whoever works beside training asks too
        self._orders: deque[AnyCommand] = deque()
        self.stopping: AnyCommand | None = None
        self.signal = 0
        self._signal_taken = False
        self._step = self._epoch = 0
        before = self._new_lines() if restarted else []
        self._stale = [command for line in before if (command := decode_command(line)) is not None]

    def stands_at(self, step: int, epoch: int) -> None:
        """Say where the run stands until it trains."""
        self._step, self._epoch = step, epoch

    def refuse_stale(self, answered: frozenset[str]) -> None:
        """Refuse what was asked of an earlier stretch but for the ids in `answered`."""
        for stale in self._stale:
            if stale.id not in answered:
                self.answer(stale, "refused", "the run was started anew after this was asked")

    def refuse_the_rest(self) -> None:
        """Refuse what still waits when the run ends."""
        while self.waiting():
            self.answer(self._orders.popleft(), "refused", "the run has ended")

    @contextlib.contextmanager
    def heeding_signals(self) -> Iterator[None]:
        """Take SIGINT, SIGTERM, SIGHUP and SIGUSR1 as orders to stop now; a second one ends the process as always.

        SIGUSR1 is what schedulers of clusters announce the end of a job's time with.
        """
        # What is ignored stays so: nohup means that a lost terminal ends nothing.
        kinds = [
            kind
            for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
            if signal.getsignal(kind) is not signal.SIG_IGN
        ]
        before = {kind: signal.signal(kind, self._note_signal) for kind in kinds}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    def waiting(self) -> bool:
        """Tell whether `take` would return an order: asked before every step."""
        with self._one_at_a_time:
            if self.signal and not self._signal_taken:
                self._signal_taken = True
                self._orders.append(StopNow(id="", time=time.time(), sender=signal.Signals(self.signal).name))
            for line in self._new_lines():
                command = decode_command(line)
                if command is not None:
                    self.answer(command, "heard", "")
                    self._orders.append(command)
                elif (refusal := refusal_of_unknown(line)) is not None:
                    self._report(refusal)
            return bool(self._orders)

    def stop_waits(self, *, now_only: bool = False) -> bool:
        """Tell whether an order to end the run waits, or one to end it at once."""
        kinds = StopNow if now_only else Stop | StopNow
        with self._one_at_a_time:
            return self.waiting() and any(isinstance(order, kinds) for order in self._orders)

    def turn_away(self, words: str) -> bool:
        """Refuse what waits but for orders to end the run; tell whether one of those does."""
        with self._one_at_a_time:
            self.waiting()
            for order in [one for one in self._orders if not isinstance(one, Stop | StopNow)]:
                self._orders.remove(order)
                self.answer(order, "refused", words)
            return bool(self._orders)

    def take(self) -> AnyCommand | None:
        """Return the next order, None where none waits. One that ends the run is also kept in `stopping`."""
        with self._one_at_a_time:
            if not self.waiting():
                return None
            order = self._orders.popleft()
        if isinstance(order, Stop | StopNow):
            self.stopping = order
        return order

    def wait(self) -> AnyCommand:
        """Return the next order, as soon as there is one."""
        while (order := self.take()) is None:
            time.sleep(POLL_SECONDS)
        return order

    def answer(self, command: AnyCommand, answer: Answer, words: str, path: str = "") -> None:
        """Report an answer; a signal gets none."""
        if command.id:
            name = command_name(command)
            self._report(CommandAnswered(id=command.id, command=name, answer=answer, words=words, path=path))

    def stop_asked(self) -> bool:
        """Follow orders as far as one can while scanning and preparing; tell whether one was to stop.

        A pause is waited out here.
        """
        paused = False
        while paused or self.stopping is None:
            order = self.wait() if paused else self.take()
            match order:
                case None:
                    return False
                case Checkpoint() | Preview():
                    self.answer(order, "refused", "nothing is learnt yet: the recordings are still being prepared")
                case Pause():
                    if not paused:
                        self._report(RunPaused(step=self._step, epoch=self._epoch, reason=order.sender))
                    paused = True
                    self.answer(order, "done", "preparing waits")
                case Unpause():
                    if paused:
                        self._report(RunUnpaused(step=self._step, epoch=self._epoch))
                    paused = False
                    self.answer(order, "done", "preparing goes on")
                case _:
                    return True
        return True

    def _note_signal(self, number: int, _frame: FrameType | None) -> None:
        self.signal = number
        signal.signal(number, signal.SIG_DFL)

    def _new_lines(self) -> list[bytes]:
        """Return the whole lines added since last time.

        A disk that can't be read for a moment has no orders: it must not end a run.
        """
        try:
            size = self._path.stat().st_size
            if size <= self._read_to:
                return []
            with self._path.open("rb") as file:
                file.seek(self._read_to)
                added = file.read(size - self._read_to)
        except OSError:
            return []
        whole = added[: added.rfind(b"\n") + 1]
        self._read_to += len(whole)
        return whole.splitlines()
