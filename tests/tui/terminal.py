"""A terminal for tests: a program on a real pseudo-terminal, its screen kept by an emulator, its bytes counted."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte

PATIENCE = 30.0
DEMO = (sys.executable, "-c", "import sys; sys.argv[1:] = ['--demo']; from distill_tui.command import main; main()")
DASHBOARD = (sys.executable, "-c", "from distill_tui.command import main; main()")

_KEYS = {"enter": "\r", "escape": "\x1b", "tab": "\t", "up": "\x1b[A", "down": "\x1b[B", "backspace": "\x7f"}
_UNKNOWN_TO_PYTE = re.compile(rb"\x1b\[[<>=?][0-9;]*[^hl0-9;]|\x1bP.*?\x1b\\|\x1b\].*?(?:\x07|\x1b\\)", re.DOTALL)


class Terminal:
    """A program and the screen a person would see of it."""

    def __init__(
        self,
        command: Sequence[str] = DASHBOARD,
        *,
        size: tuple[int, int] = (120, 36),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        columns, rows = size
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.bytes = 0
        self.raw = bytearray()
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        unset = ("COLORTERM", "NO_COLOR", "TMUX", "SSH_CONNECTION", "COLUMNS", "LINES")
        inherited = {name: value for name, value in os.environ.items() if name not in unset}
        checkout = str(Path(__file__).parents[2])
        self.process = subprocess.Popen(
            list(command),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={
                **inherited,
                "TERM": "xterm-256color",
                "PYTHONPATH": checkout,
                "LC_ALL": "C.UTF-8",
                **(environment or {}),
            },
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - before any thread is started
        )
        os.close(slave)
        self.is_open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.hang_up()

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(self.screen.display)

    def read(self, seconds: float) -> bool:
        """Take in what the program writes, waiting so long at most; tell whether there was anything."""
        ready, _, _ = select.select([self._master], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the program has closed its side
            data = b""
        self.bytes += len(data)
        self.raw += data
        self._stream.feed(_UNKNOWN_TO_PYTE.sub(b"", data))
        return bool(data)

    def wait_for(self, pattern: str) -> str:
        """Return the screen as soon as the pattern is on it."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text):
            if time.monotonic() > deadline or (not self.read(0.05) and self.process.poll() is not None):
                raise AssertionError(f"{pattern!r} never came; the screen is\n{self.text}")
        return self.text

    def settle(self, quiet: float = 0.3) -> str:
        """Return the screen once nothing has been written for a moment."""
        while self.read(quiet):
            pass
        return self.text

    def press(self, *keys: str) -> None:
        """Press keys, each named as Textual names it or a character."""
        for key in keys:
            os.write(self._master, _KEYS.get(key, key).encode())
            self.read(0.05)

    def lead(self, *steps: tuple[str, str]) -> None:
        """Press each key, and wait for the pattern that it brings: quick as they come, escape and a key are another."""
        for key, pattern in steps:
            self.press(key)
            self.wait_for(pattern)

    def type(self, text: str) -> None:
        """Type a text, all of it at once."""
        self.send(text)

    def send(self, text: str) -> None:
        """Send keys without reading what comes back."""
        os.write(self._master, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Make the terminal another size, as dragging its window does."""
        self.screen.resize(rows, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def hang_up(self) -> None:
        """Close the terminal, as a lost link does."""
        if self.is_open:
            os.close(self._master)
            self.is_open = False

    def wait_for_end(self) -> int:
        """Return the exit status of the program, reading what it still writes."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            if self.is_open:
                self.read(0.05)
            else:
                time.sleep(0.02)
        return self.process.wait(timeout=0.1)


def _take_terminal() -> None:
    """Make the pseudo-terminal the controlling one, so that hanging up reaches the program."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
