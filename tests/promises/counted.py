"""Counting what a process holds: memory, threads, descriptors, children, and the asyncio tasks of a dashboard.

Imported into a dashboard's own process, this lets it write its tasks and threads down whenever it gets SIGUSR1.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

WHERE = "DISTILL_TEST_COUNTED"
PATIENCE = 60.0


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a process holds at a moment; threads of a pool, which grows to its size and no further, aren't counted."""

    tasks: tuple[str, ...]
    threads: tuple[str, ...]
    descriptors: int
    children: int

    def grown_over(self, before: Held) -> list[str]:
        """Return in words what there is more of than before."""
        now = [*self.tasks, *self.threads]
        for name in (*before.tasks, *before.threads):
            if name in now:
                now.remove(name)
        if self.descriptors > before.descriptors:
            now.append(f"{self.descriptors - before.descriptors} descriptors")
        if self.children > before.children:
            now.append(f"{self.children - before.children} processes")
        return now


def held_by(process: psutil.Process, told_in: Path) -> Held:
    """Return what a dashboard holds, whose environment says that it tells it in that file."""
    told_in.unlink(missing_ok=True)
    process.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + PATIENCE
    while not told_in.exists():
        assert time.monotonic() < deadline, "the dashboard's loop doesn't answer"
        time.sleep(0.05)
    told = json.loads(told_in.read_text())
    return Held(
        tasks=tuple(told["tasks"]),
        threads=tuple(told["threads"]),
        descriptors=process.num_fds(),
        children=len(process.children(recursive=True)),
    )


def megabytes(process: psutil.Process) -> float:
    """Return the memory that a process has resident."""
    return float(process.memory_info().rss) / 1e6


def growth(samples: Sequence[float]) -> float:
    """Return by how much the last quarter's middle lies above that of the quarter after the first, the warm-up."""
    quarter = len(samples) // 4
    return median(samples[-quarter:]) - median(samples[quarter : 2 * quarter])


def _tell(_signal: int, _frame: object) -> None:
    tasks = [task.get_coro().__qualname__ for task in asyncio.all_tasks(asyncio.get_running_loop())]  # type: ignore[union-attr]
    threads = [thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_")]
    path = Path(os.environ[WHERE])
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps({"tasks": tasks, "threads": threads}))
    unfinished.rename(path)


if WHERE in os.environ:
    signal.signal(signal.SIGUSR1, _tell)
