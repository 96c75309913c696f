"""The process of a run: the run's lock first, and only then torch, which takes seconds to load.

So from its first tenth of a second on everybody sees that the run has a worker. `python -m distill_engine.process RUN`
is the process of a run in the background.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from distill_engine.errors import DistillError
from distill_engine.events import Ending, Event, RunFailed, RunFinished, RunStopped
from distill_engine.run_folder import RunFolder, refuse_links
from distill_engine.run_lock import RunLock
from distill_engine.settings import load_settings, notify


def train_run(folder: RunFolder, show: Callable[[Event], None]) -> int:
    """Train the run until it ends, showing each event as it is written; return the exit status.

    Raises:
        DistillError: another process is training it, or something in its folder leads out of it.
    """
    with RunLock(folder):
        refuse_links(folder)
        from distill_engine.worker import work  # noqa: PLC0415 - this loads torch

        status, ending = work(folder, show)
    # After the lock is free: the command may want to resume the run.
    _notify(folder, ending)
    return status


def _notify(folder: RunFolder, ending: Ending) -> None:
    """Run the user's own command; what goes wrong with it is no matter of the run's."""
    state: Literal["finished", "stopped", "failed"] = "finished"
    if not isinstance(ending, RunFinished):
        state = "stopped" if isinstance(ending, RunStopped) else "failed"
    message = ending.message if isinstance(ending, RunFailed) else ending.reason
    log = logging.getLogger(__name__)
    try:
        command = load_settings().notify_command
    except DistillError as error:
        log.warning("%s: %s", error.message, error.hint)
        return
    if wrong := notify(command, run=folder.name, run_path=folder.path, state=state, message=message):
        log.warning(wrong)


def main() -> None:
    """Train the run whose folder is the only argument, showing nothing."""
    try:
        sys.exit(train_run(RunFolder(Path(sys.argv[1])), lambda _event: None))
    except DistillError as error:
        sys.exit(f"{error.message}: {error.hint}")
    except OSError as error:
        sys.exit(f"{error.filename or 'a file'}: {error.strerror}")


if __name__ == "__main__":
    main()
