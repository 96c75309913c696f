"""Try every promise in full, as many at once as there are cores, and print what was counted; 1 if one is broken."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from traceback import format_exc

import click

from tests.promises.disk import disk
from tests.promises.files import bad_files
from tests.promises.hands import hands
from tests.promises.kills import kills
from tests.promises.life import life
from tests.promises.numbers import numbers
from tests.promises.privacy import privacy
from tests.promises.recordings import try_recordings
from tests.promises.trial import Figure, Size, Trial

TRIALS: dict[str, Trial] = {
    "kills": kills,
    "disk": disk,
    "hands": hands,
    "recordings": try_recordings,
    "files": bad_files,
    "numbers": numbers,
    "life": life,
    "privacy": privacy,
}
"""By what they try."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a trial; `broken` is empty where the promise held."""

    figures: list[Figure]
    seconds: float
    broken: str


def main() -> int:
    """Try those named on the command line, or all."""
    names = sys.argv[1:] or list(TRIALS)
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        waiting = {pool.submit(_tried, name): name for name in names}
        outcomes = {}
        for done in as_completed(waiting):
            outcomes[waiting[done]] = outcome = done.result()
            held = "broken" if outcome.broken else "held"
            click.echo(f"{waiting[done]}: {held}, {outcome.seconds:.0f} s", err=True)
    for name in names:
        for figure in outcomes[name].figures:
            click.echo(f"{name:20} {figure.count:>12,g}  {figure.what}")
        click.echo(outcomes[name].broken, nl=False, err=True)
    return int(any(outcome.broken for outcome in outcomes.values()))


def _tried(name: str) -> Outcome:
    figures: list[Figure] = []
    start, broken = time.monotonic(), ""
    with tempfile.TemporaryDirectory(prefix="distill-promise-") as folder:
        os.environ["DISTILL_HOME"] = f"{folder}/home"
        scratch = Path(folder, "scratch")
        scratch.mkdir()
        try:
            for figure in TRIALS[name](Size(whole=True), scratch):
                figures.append(figure)
        except Exception:
            broken = format_exc()
    return Outcome(figures=figures, seconds=time.monotonic() - start, broken=broken)


if __name__ == "__main__":
    # What a new process is to try must have a name that it can import, and a main module's parts have none.
    from tests.promises.__main__ import main as importable_main

    sys.exit(importable_main())
