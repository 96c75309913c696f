"""A process that writes a run's log as a worker does, and does what a test tells it to, one word a line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from distill_engine import run_folder
from distill_engine.run_folder import RunFolder, RunInfo

SCRIPT = """
import os, sys
from pathlib import Path
from distill_engine.control import Control
from distill_engine.events import RunFinished, RunRestarted, RunStarted, WarningRaised
from distill_engine.event_log import EventLog
from distill_engine.run_folder import RunFolder
from distill_engine.run_lock import RunLock

run = RunFolder(Path(sys.argv[1]))
lock, log = RunLock(run), EventLog(run)
control = Control(run, log.append)
place = dict(protocol=1, pid=os.getpid(), host="box", device="cpu", precision="fp32", max_epochs=4)
held = None

def write(text):
    with run.events_file.open("ab", buffering=0) as file:
        file.write(text)

print("ready", flush=True)
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    match word:
        case "start":
            log.append(RunStarted(run=run.name, **place))
        case "notes":
            for number in range(int(rest)):
                log.append(WarningRaised(kind="note", message=str(number), evidence="", suggestion=""))
        case "long":
            log.append(WarningRaised(kind="note", message="x" * int(rest), evidence="", suggestion=""))
        case "raw":
            write(rest.encode())
        case "line":
            write(rest.encode() + b"\\n")
            log.last_seq += 1
        case "newline":
            write(b"\\n")
            log.last_seq += 1
        case "restart":
            log.close()
            lock.release()
            lock, log = RunLock(run), EventLog(run)
            control = Control(run, log.append)
            log.append(RunRestarted(from_step=int(rest), checkpoint="", rejected=[], **place))
        case "keep":  # cut the log to so many lines
            lines = run.events_file.read_bytes().splitlines(keepends=True)[: int(rest)]
            os.truncate(run.events_file, sum(map(len, lines)))
        case "finish":
            log.append(RunFinished(step=1, epoch=1, reason="", model="m", best_epoch=1, best_loss=None))
        case "hear":
            held = control.wait()
        case "look":
            control.waiting()
        case "done" | "refused":
            control.answer(held, word, rest)
        case "release":
            lock.release()
    print("ok", flush=True)
"""


def new_run(name: str = "a") -> RunFolder:
    """Return a run's folder of which no worker has begun."""
    folder = run_folder.create(name)
    folder.write_info(
        RunInfo(id=run_folder.new_id(), name=folder.name, dataset="/x", created=1.0, preset="auto", seed=0, versions={})
    )
    return folder


class Writer:
    """The process: killed when its `with` block ends, unless it ended before."""

    def __init__(self, folder: RunFolder) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._await("ready")

    def do(self, *orders: str) -> None:
        """Do all that is asked, and come back when it is done."""
        self.ask(*orders)
        for _ in orders:
            self._await("ok")

    def ask(self, *orders: str) -> None:
        """Ask for something and don't wait."""
        assert self._process.stdin is not None
        self._process.stdin.write("".join(f"{order}\n" for order in orders))
        self._process.stdin.flush()

    def kill(self) -> None:
        """End the process as SIGKILL does."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            self.kill()

    def _await(self, word: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"{word}\n"


def lines_of(path: Path) -> list[bytes]:
    """Return a file's lines."""
    return path.read_bytes().splitlines()
