"""The link to the person: a driver that ends with its terminal, and a pace that fits how fast output drains.

Textual's driver is killed by a hang-up and spins at the end of input; this one asks the app to leave instead, and never
waits for a terminal that is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import threading
from typing import TYPE_CHECKING

from textual.drivers.linux_driver import LinuxDriver
from textual.events import Key

from distill_tui.key_order import KeyOrder

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import App
    from textual.message import Message

PACES = (0.5, 1.0, 2.0, 5.0)
"""Seconds between two drawings of live data, from the usual to that of a link that hardly moves."""

CALM_DRAWINGS = 10
"""After so many drawings that drained at once the pace goes up a step again."""

_ERRORS = 2

END_SECONDS = 1.0
"""How long putting the terminal right may take when it may be gone."""


class Pace:
    """How often live data is drawn. `backlog` tells how many writes still wait for the terminal."""

    def __init__(self, backlog: Callable[[], int], *, eco: bool, on_change: Callable[[float], None]) -> None:
        """`on_change` gets the seconds between two drawings when they change, 0 for the usual pace."""
        self._backlog = backlog
        self._fastest = 1 if eco else 0
        self._step = self._fastest
        self._calm = 0
        self._was_waiting = False
        self._on_change = on_change

    @property
    def seconds(self) -> float:
        """Seconds between two drawings."""
        return PACES[self._step]

    @property
    def is_slowed(self) -> bool:
        """Whether the link doesn't keep up with the usual pace."""
        return self._step > self._fastest

    def before_drawing(self) -> bool:
        """Tell whether to draw now: not while what was drawn before still waits.

        What waits at one look may have been written just then; at two in a row it is the link that doesn't keep up.
        """
        waits, waited = self._backlog() > 0, self._was_waiting
        self._was_waiting = waits
        if waits:
            self._calm = 0
            if waited:
                self._move(min(self._step + 1, len(PACES) - 1))
            return False
        self._calm += 1
        if self._calm >= CALM_DRAWINGS and self.is_slowed:
            self._calm = 0
            self._move(self._step - 1)
        return True

    def _move(self, step: int) -> None:
        if step != self._step:
            self._step = step
            self._on_change(self.seconds if self.is_slowed else 0.0)


class TerminalDriver(LinuxDriver):
    """Textual's driver for Linux and macOS, which ends cleanly when its terminal does.

    It writes to a descriptor of its own, and leads the one of errors away: decoders of sound print to it.
    """

    def __init__(
        self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._keys = KeyOrder(app)
        self._terminal = os.fdopen(os.dup(_ERRORS), "w", encoding="utf-8", errors="replace")
        self._file = self._terminal
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, _ERRORS)
        os.close(nowhere)

    def close(self) -> None:
        """Let errors reach the terminal again."""
        super().close()
        os.dup2(self._terminal.fileno(), _ERRORS)

    def start_application_mode(self) -> None:
        """Begin, and take a hang-up, a request to end and the end of input as wishes to leave."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        loop = asyncio.get_running_loop()
        for kind in (signal.SIGHUP, signal.SIGTERM):
            loop.add_signal_handler(kind, self._leave)

    def run_input_thread(self) -> None:
        """Read keys; where input has ended, for the terminal is gone, leave."""
        loop = self._app._loop
        watcher = threading.Thread(target=self._watch_for_hang_up, args=(loop,), name="hang-up", daemon=True)
        watcher.start()
        super().run_input_thread()

    def send_message(self, message: Message) -> None:
        """Hand a message on to the app, a key when those before it have acted."""
        if isinstance(message, Key):
            self._loop.call_soon_threadsafe(self._keys.put, message)
        else:
            super().send_message(message)

    def backlog(self) -> int:
        """Return how many writes wait for the terminal to take them."""
        return self._writer_thread._queue.qsize() if self._writer_thread else 0

    def _watch_for_hang_up(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Wait, without polling, until the terminal hangs up."""
        poll = select.poll()
        poll.register(self.fileno, 0)  # asks for nothing, so only a hang-up or an error is told
        while not self.exit_event.is_set():
            if poll.poll(500) and loop:
                with contextlib.suppress(RuntimeError):  # the loop has just been closed
                    loop.call_soon_threadsafe(self._leave)
                return

    def _leave(self) -> None:
        """End now. Putting the terminal right may block for ever where nobody reads it, so it has a deadline."""
        end_within(END_SECONDS)
        self._app.exit()


def end_within(seconds: float, last_words: str = "") -> None:
    """End the process so much later at most, whatever still holds it, with some words for the terminal."""
    threading.Thread(target=_end_later, args=(seconds, last_words), name="deadline", daemon=True).start()


def _end_later(seconds: float, last_words: str) -> None:
    threading.Event().wait(seconds)
    say_at_the_end(last_words)
    os._exit(0)


def say_at_the_end(words: str) -> None:
    """Write words below what was on the screen; nothing where the terminal is gone."""
    if words:
        with contextlib.suppress(OSError):
            os.write(1, f"{words}\n".encode())


def notice(words: str) -> str:
    """Return what has a terminal that knows OSC 9 notify its person; within tmux it is handed through."""
    sequence = f"\x1b]9;{words}\x07"
    return f"\x1bPtmux;\x1b{sequence}\x1b\\" if "TMUX" in os.environ else sequence
