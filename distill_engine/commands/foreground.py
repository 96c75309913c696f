"""A run in the foreground: the terminal shows it, and a signal to the command ends it after the step under way."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from distill_engine.commands.shared import say
from distill_engine.words import shown

if TYPE_CHECKING:
    from distill_engine.run_folder import RunFolder


def work(folder: RunFolder, *, as_json: bool) -> int:
    """Train the run until it ends, and say how one goes on with it where a signal ended it; return the exit status.

    Raises:
        DistillError: another process is training it.
    """
    from distill_engine.console import most_seconds, view_for
    from distill_engine.process import train_run

    if not as_json:
        say(f"run folder {shown(str(folder.path))}")
    status = train_run(folder, view_for(json=as_json, most_seconds=most_seconds(folder)).show)
    if status > 128 and not as_json:
        say(f"distill-engine resume {shlex.quote(shown(folder.name))} goes on from there")
    return status
