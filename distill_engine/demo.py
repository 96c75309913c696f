"""The demo: recordings that Distill makes up, prepared, trained on, heard. Under two minutes on two cores."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from distill_engine import home
from distill_engine.demo_recordings import RECORDINGS, write_recordings
from distill_engine.errors import DistillError
from distill_engine.events import RunFinished
from distill_engine.library import find_model
from distill_engine.rendering import Request, render
from distill_engine.run_folder import RunFolder
from distill_engine.run_reading import read
from distill_engine.start import Wishes, new_run, plan_run
from distill_engine.words import size

ROOM_NEEDED = 1_000_000_000
"""Bytes on disk for the run's checkpoints, the cache and the sounds, with room to spare."""

SETTINGS = (
    "max_epochs=150",
    "max_minutes=1",
    "batch_size=16",
    "warmup_steps=10",
    "learning_rate=0.002",
    "augmentation.copies=1",
    "preview_interval=50",
)


def new_demo_run(say: Callable[[str], None]) -> RunFolder:
    """Make up recordings and a run for them, saying where they are.

    Raises:
        DistillError: there isn't room enough on disk.
    """
    _check_room()
    folder = home.data_folder() / "demo-recordings"
    write_recordings(folder)
    say(f"{RECORDINGS} recordings made up in {folder}")
    return new_run(plan_run(folder, Wishes(settings=SETTINGS)), "demo")


def what_to_hear(run: RunFolder) -> str:
    """Write a new sound of the run's model, and return in words where that and the rest is to be heard."""
    state = read(run).state
    preview, ending = state.last_preview, state.ending
    if not isinstance(ending, RunFinished):
        return "no step was taken within the demo's minute: this machine is very slow for training"
    model = find_model(ending.model)
    (sample,) = render(model, Request(duration=4.0, out=run.path))
    heard = [("new sound", sample), ("model", model.path)]
    if preview and preview.recordings:
        first = preview.recordings[0]
        heard = [("original", run.path / first.original), ("reconstruction", run.path / first.reconstruction), *heard]
    return "\n".join(
        [
            "",
            *(f"{what:15} {path}" for what, path in heard),
            "",
            f"what steers it is found in a minute or two: distill-engine analyze {model.name}",
            "a minute only shows that all works; with recordings of your own:",
            "  distill-engine train FOLDER",
        ]
    )


def _check_room() -> None:
    place = home.state_folder()
    place.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(place).free
    if free < ROOM_NEEDED:
        raise DistillError(
            f"the demo needs {size(ROOM_NEEDED)} on disk, and {place} has {size(free)}",
            "free some room, or let DISTILL_HOME name a folder with more",
        )
