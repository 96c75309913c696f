"""The one door for front ends: all they may use of the engine, each name loaded on first use, none of it with torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distill_engine.client import NotRunningError, command, follow, start_run, start_worker
    from distill_engine.datasets import Recording, Scan, scan
    from distill_engine.errors import DistillError
    from distill_engine.events import Checkpoint, Pause, Preview, Stop, StopNow, Unpause
    from distill_engine.home import config_folder, models_folder, runs_folder
    from distill_engine.library import LibraryEntry, list_models
    from distill_engine.login_manager import login_manager_ends_processes
    from distill_engine.run_folder import RunFolder, list_runs
    from distill_engine.run_state import Histories, RunState, apply, fold
    from distill_engine.start import Plan, Wishes, new_run, plan_run, prepare_to_resume
    from distill_engine.training.config import TrainingConfig, declarations
    from distill_engine.words import counted

_ROOMS = {
    "client": ("NotRunningError", "command", "follow", "start_run", "start_worker"),
    "datasets": ("Recording", "Scan", "scan"),
    "errors": ("DistillError",),
    "events": ("Checkpoint", "Pause", "Preview", "Stop", "StopNow", "Unpause"),
    "home": ("config_folder", "models_folder", "runs_folder"),
    "library": ("LibraryEntry", "list_models"),
    "login_manager": ("login_manager_ends_processes",),
    "run_folder": ("RunFolder", "list_runs"),
    "run_state": ("Histories", "RunState", "apply", "fold"),
    "start": ("Plan", "Wishes", "new_run", "plan_run", "prepare_to_resume"),
    "training.config": ("TrainingConfig", "declarations"),
    "words": ("counted",),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}

# Written out, though the table has the names too: mypy lets others import only what stands here.
__all__ = [
    "Checkpoint",
    "DistillError",
    "Histories",
    "LibraryEntry",
    "NotRunningError",
    "Pause",
    "Plan",
    "Preview",
    "Recording",
    "RunFolder",
    "RunState",
    "Scan",
    "Stop",
    "StopNow",
    "TrainingConfig",
    "Unpause",
    "Wishes",
    "apply",
    "command",
    "config_folder",
    "counted",
    "declarations",
    "fold",
    "follow",
    "list_models",
    "list_runs",
    "login_manager_ends_processes",
    "models_folder",
    "new_run",
    "plan_run",
    "prepare_to_resume",
    "runs_folder",
    "scan",
    "start_run",
    "start_worker",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"distill_engine.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
