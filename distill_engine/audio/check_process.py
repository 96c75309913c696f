"""Look at recordings in a helper process: a decoder that crashes on a file takes that process with it, and no other.

The decision: each file is decoded whole here before anything else decodes it, so whatever comes later, in the process
of a run, only meets files that were decoded to their end once. The helper is started at the first file, kept for the
next ones and replaced where it dies. The pipe to it is its life line: it ends when whoever asks does, however that is.
"""

from __future__ import annotations

import math
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL
from typing import TYPE_CHECKING, Self

import msgspec

from distill_engine.audio.checks import Verdict, check_recording
from distill_engine.errors import DistillError, StopRequestedError
from distill_engine.spawning import command_of, environment

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

PATIENCE_SECONDS = 60.0
"""How long the helper may give no sign of life: a slow disk may wake up, or fetch what lay elsewhere, in that time."""

GRACE_SECONDS = 3.0
"""How long it may take to end; one that waits for a disk that never answers can't even be killed."""

_SECONDS_BETWEEN_SIGNS = 1.0
_SECONDS_BETWEEN_QUESTIONS = 0.1
_SIGN_OF_LIFE = b""


class CheckProcess:
    """Checks one recording after another. Used as a context: whatever ends it, its process ends too."""

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self._should_stop = should_stop
        self._helper: _Helper | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._helper:
            self._helper.end()

    def check(self, path: Path) -> Verdict:
        """Return what `check_recording` says of the file, or as its problem that its decoder crashed or hung.

        `should_stop` is asked ten times a second.

        Raises:
            StopRequestedError: it was asked to stop.
            DistillError: the helper can't be started.
        """
        if self._helper is None or self._helper.ended:
            self._helper = _started(self._should_stop)
        try:
            return self._helper.check(path, self._should_stop)
        except TimeoutError:
            self._helper.end()
            return Verdict(problem=f"its decoder hangs: it gave no sign of life for {PATIENCE_SECONDS:.0f} s")
        except (EOFError, OSError):
            return Verdict(problem=f"its decoder crashed: {_death(self._helper.end())}")


class _Helper:
    def __init__(self, process: subprocess.Popen[bytes], line: Connection) -> None:
        self._process = process
        self._line = line

    @property
    def ended(self) -> bool:
        return self._line.closed or self._process.poll() is not None

    def check(self, path: Path, should_stop: Callable[[], bool]) -> Verdict:
        self._line.send_bytes(os.fsencode(path))
        while (answer := self.answer(should_stop, PATIENCE_SECONDS)) == _SIGN_OF_LIFE:
            pass
        return msgspec.json.decode(answer, type=Verdict)

    def answer(self, should_stop: Callable[[], bool], patience: float = math.inf) -> bytes:
        """Return what it says next; EOFError or another OSError where it is dead, TimeoutError where it is silent.

        Silence is counted, not taken from a clock: while a whole session is stopped or asleep, nobody is silent.
        """
        waited = 0.0
        while waited < patience:
            if should_stop():
                raise StopRequestedError
            if self._line.poll(_SECONDS_BETWEEN_QUESTIONS):
                return self._line.recv_bytes()
            waited += _SECONDS_BETWEEN_QUESTIONS
        raise TimeoutError

    def end(self) -> int | None:
        """End it; return its exit status, None where even a kill doesn't reach it."""
        self._line.close()
        self._process.kill()  # does nothing to one that is dead already, and then its status is its own
        try:
            return self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return None


def _started(should_stop: Callable[[], bool]) -> _Helper:
    """Start a helper and wait until it can decode; what libraries print goes nowhere, least of all to a screen."""
    from multiprocessing import Pipe  # noqa: PLC0415 - 15 ms

    ours, its = Pipe()
    try:
        with its:
            process = subprocess.Popen(
                command_of("audio.check_process"),
                stdin=its.fileno(),
                stdout=DEVNULL,
                stderr=DEVNULL,
                env=environment(),
                start_new_session=True,  # ctrl+c in the terminal isn't meant for it
            )
    except OSError as error:
        ours.close()
        raise DistillError(
            f"the helper process that decodes recordings can't be started: {error.strerror}", error.filename or ""
        ) from None
    helper = _Helper(process, ours)
    try:
        helper.answer(should_stop)
    except (EOFError, OSError):
        raise DistillError(
            f"the helper process that decodes recordings doesn't start: {_death(helper.end())}",
            "distill-engine doctor looks at what is installed",
        ) from None
    except BaseException:
        helper.end()
        raise
    return helper


def _death(status: int | None) -> str:
    if status is None or status >= 0:
        return f"its process ended with exit status {status}"
    if -status == signal.SIGKILL:
        return "its process was killed, as happens where the memory runs out"
    return f"its process was ended by signal {-status} ({(signal.strsignal(-status) or 'unknown').lower()})"


def main() -> None:
    """Answer on what is standard input at the start, until nobody is there any more."""
    from multiprocessing.connection import Connection  # noqa: PLC0415 - as above

    line = Connection(os.dup(0))
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is wanted
        os.dup2(nothing.fileno(), 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no core file in the user's folder
    import soundfile  # noqa: F401, PLC0415 - where it can't be loaded, that is no recording's fault

    try:
        line.send_bytes(_SIGN_OF_LIFE)
        while True:
            path = Path(os.fsdecode(line.recv_bytes()))
            line.send_bytes(msgspec.json.encode(check_recording(path, _beating(line))))
    except (EOFError, ConnectionError):
        return


def _beating(line: Connection) -> Callable[[], bool]:
    """Return a question for within a file that gives a sign of life each second, and never asks to stop."""
    last = time.monotonic()

    def beat() -> bool:
        nonlocal last
        if time.monotonic() - last > _SECONDS_BETWEEN_SIGNS:
            last = time.monotonic()
            line.send_bytes(_SIGN_OF_LIFE)
        return False

    return beat


if __name__ == "__main__":
    main()
