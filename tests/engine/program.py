"""`distill-engine` as a person and a script meet it: real processes with a home of their own, and real terminals."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill_engine.run_folder import RunFolder
from distill_engine.run_lock import lock_holder
from tests.engine.runs import SMALL

TIMEOUT = 120
ENDLESS = {"max_epochs": 10_000}

Lines = list[dict[str, Any]]


@dataclass(frozen=True)
class Program:
    """`distill-engine` with a home of its own."""

    home: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def run(self, *arguments: str | Path, environment: Mapping[str, str] = {}, **options: Any) -> Result:  # noqa: ANN401
        """Run it to its end."""
        process = self.start(*arguments, environment=environment, **options)
        out, err = process.communicate(timeout=TIMEOUT)
        return Result(process.returncode, out, err)

    def start(
        self,
        *arguments: str | Path,
        environment: Mapping[str, str] = {},
        ignored: tuple[signal.Signals, ...] = (),
        **options: Any,  # noqa: ANN401
    ) -> subprocess.Popen[str]:
        """Start it with its signals as in a shell's foreground, whatever the tests themselves run under."""

        def as_in_a_shell() -> None:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

        # One thread: on few cores, several processes with several threads each wait for one another.
        settings = {"DISTILL_HOME": str(self.home), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
        defaults = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            [sys.executable, "-m", "distill_engine", *map(str, arguments)],
            env={**os.environ, **settings, **environment},
            text=True,
            **{"preexec_fn": as_in_a_shell, **defaults, **options},
        )
        self.started.append(process)
        return process

    def kill_what_is_left(self) -> None:
        """End what a test that failed half way has left running."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()
        for folder in (self.home / "state" / "runs").glob("*"):
            if worker := lock_holder(RunFolder(folder)):
                os.kill(worker, signal.SIGKILL)

    def train(self, dataset: Path, *arguments: str, **settings: Any) -> Result:  # noqa: ANN401
        return self.run("train", dataset, *small(**settings), *arguments)

    def run_folder(self, name: str) -> Path:
        return self.home / "state" / "runs" / name

    def events(self, name: str) -> Lines:
        return parsed((self.run_folder(name) / "events.jsonl").read_text())

    def model(self, name: str) -> Path:
        return self.home / "data" / "models" / f"{name}.distill"


@dataclass(frozen=True)
class Result:
    """What a process left behind; that no traceback and no library's warning is in it holds for every single one."""

    status: int
    out: str
    err: str

    def __post_init__(self) -> None:
        for text in (self.out, self.err):
            assert "Traceback" not in text, text
            assert "Warning:" not in text, text
            assert "something broke" not in text, text

    def refusal(self, status: int) -> tuple[str, str]:
        """Return message and hint, having checked that this is all there is."""
        message, *hint = self.err.splitlines()
        assert self.status == status, self
        assert self.out == ""
        assert message.startswith("distill-engine: ")
        assert all(line.startswith("  ") for line in hint)
        return message.removeprefix("distill-engine: "), "\n".join(hint)


def small(**settings: Any) -> list[str]:  # noqa: ANN401
    """Return the options of a run of seconds."""
    named = {key.replace("__", "."): value for key, value in settings.items()}
    return [f"--set={key}={value}" for key, value in {**SMALL, **named}.items()]


def parsed(text: str) -> Lines:
    return [json.loads(line) for line in text.splitlines()]


def types(events: Lines) -> list[str]:
    return [event["type"] for event in events]


def until(process: subprocess.Popen[str], kind: str) -> Lines:
    """Read events from a process until one of that kind."""
    assert process.stdout is not None
    events: Lines = []
    for line in process.stdout:
        events.append(json.loads(line))
        if events[-1]["type"] == kind:
            return events
    raise AssertionError(f"no {kind} in {events}, {process.communicate()}")


def ended(process: subprocess.Popen[str]) -> Result:
    out, err = process.communicate(timeout=TIMEOUT)
    return Result(process.returncode, out, err)


@contextlib.contextmanager
def emptied_after(folder: Path) -> Iterator[Path]:
    """Remove what runs leave: some hundred megabytes of checkpoints."""
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def in_terminal(
    program: Program, *arguments: str | Path, columns: int = 200
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start the program with a terminal of its own, as ssh does; yield it and the terminal's other end."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    streams: dict[str, Any] = {
        "stdin": theirs,
        "stdout": theirs,
        "stderr": theirs,
        "pass_fds": (theirs,),
        "preexec_fn": take_terminal,
    }
    process = program.start(*arguments, environment={"TERM": "xterm"}, **streams)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            os.close(ours)


def read_all(terminal: int) -> str:
    return read_until(terminal, None).decode()


def read_until(terminal: int, mark: bytes | None) -> bytes:
    """Read until `mark` has come, or until the other end is closed, which Linux tells as an error."""
    drawn = b""
    while mark is None or mark not in drawn:
        try:
            block = os.read(terminal, 4096)
        except OSError:
            break
        if not block:
            break
        drawn += block
    return drawn
