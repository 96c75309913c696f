"""A worker's log, `worker.log`: what a person isn't shown, and never much of it, however long the run.

A worker in the background has its output and its errors in the same file, where libraries print on their own. So the
log begins anew for all of them at once: what it held is kept once as `worker.log.1`, and nothing in between is lost.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

LARGEST = 4 << 20
"""Bytes after which it begins anew."""

_OUTPUT = (1, 2)


class WorkerLog(logging.FileHandler):
    """The log at `path`, for as long as the process lives."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        assert self.stream is not None  # it is opened at once
        self._descriptor = self.stream.fileno()
        self.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))

    def keep_small(self) -> None:
        """Begin anew where the log has grown large; where that can't be done, it grows on."""
        with self.lock or contextlib.nullcontext(), contextlib.suppress(OSError):
            full = os.fstat(self._descriptor)
            if full.st_size > LARGEST:
                self._begin_anew(full)

    def _begin_anew(self, full: os.stat_result) -> None:
        path = Path(self.baseFilename)
        path.replace(path.with_name(f"{path.name}.1"))
        anew = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            for descriptor in (self._descriptor, *_OUTPUT):
                if os.path.samestat(os.fstat(descriptor), full):
                    os.dup2(anew, descriptor)
        finally:
            os.close(anew)


def log_to(path: Path) -> WorkerLog:
    """Let all that this process logs go to `path`, behind what is there."""
    # A full disk must not print a traceback of logging's own to the terminal.
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    log = WorkerLog(path)
    logging.basicConfig(level=logging.INFO, handlers=[log])
    return log
