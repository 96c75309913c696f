"""Workers of runs for trials: real processes of `distill_engine.process`, in a home of their own, that can be killed.

Nine tenths of what a worker does before its first step is loading torch. So besides those started as always there are
forked ones, from a process that has loaded it and done nothing else: they take the run's lock, work and die as any.
`python -m tests.promises.workers` is that process: a line of JSON in, the worker's id out, and its status at its end.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from traceback import print_exc
from types import TracebackType
from typing import Protocol, Self

from distill_engine.run_folder import RunFolder


class Worker(Protocol):
    """A process that trains a run."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Return its status, None while it lives; less than 0 for a signal."""

    def wait(self, timeout: float) -> int:
        """Return its status once it has ended."""


def started(folder: RunFolder, home: Path, threads: int) -> subprocess.Popen[bytes]:
    """Start a worker as always."""
    with folder.worker_log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "distill_engine.process", str(folder.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "DISTILL_HOME": str(home), "OMP_NUM_THREADS": str(threads)},
            start_new_session=True,
        )


class Warm:
    """Forks workers from a process that has loaded torch, one at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.promises.workers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def started(self, folder: RunFolder, home: Path, threads: int) -> Worker:
        """Start a worker in a fork."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([str(folder.path), str(home), threads]).encode() + b"\n")
        self._process.stdin.flush()
        return _Forked(self._process)


class _Forked:
    """A worker that is a child of another process of ours, which tells its id and its status."""

    def __init__(self, parent: subprocess.Popen[bytes]) -> None:
        assert parent.stdout is not None
        self._told = parent.stdout
        self._status: int | None = None
        self.pid = int(self._told.readline())

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float) -> int:
        status = self._ended(timeout)
        assert status is not None, f"the worker {self.pid} never ended"
        return status

    def _ended(self, timeout: float) -> int | None:
        if self._status is None and select.select([self._told], [], [], timeout)[0]:
            self._status = int(self._told.readline())
        return self._status


def main() -> None:
    """Fork a worker for each line, and wait for it."""
    for name in ("torch._dynamo", "distill_engine.worker"):
        importlib.import_module(name)
    for line in iter(sys.stdin.readline, ""):
        folder, home, threads = json.loads(line)
        worker = os.fork()
        if not worker:
            _work(RunFolder(Path(folder)), home, threads)
        print(worker, flush=True)  # noqa: T201
        print(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]), flush=True)  # noqa: T201


def _work(folder: RunFolder, home: str, threads: int) -> None:
    """Be a worker, as `distill_engine.process` is, and end with its status."""
    status = 1
    try:
        os.setsid()
        for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(kind, signal.SIG_DFL)
        nothing, log = (
            os.open(os.devnull, os.O_RDONLY),
            os.open(folder.worker_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        )
        for ours, theirs in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(ours, theirs)
        os.environ["DISTILL_HOME"] = home
        torch = importlib.import_module("torch")
        torch.set_num_threads(threads)
        status = importlib.import_module("distill_engine.process").train_run(folder, lambda _event: None)
    except BaseException:
        print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
