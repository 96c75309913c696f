"""The one door for front ends: all they may use of the engine, each name loaded on first use, none of it with torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distill_engine.datasets import Recording, Scan, scan
    from distill_engine.errors import DistillError
    from distill_engine.home import config_folder, models_folder, runs_folder
    from distill_engine.library import LibraryEntry, list_models
    from distill_engine.run_folder import RunFolder, list_runs
    from distill_engine.start import Plan, Wishes, new_run, plan_run
    from distill_engine.training.config import TrainingConfig, declarations

_ROOMS = {
    "datasets": ("Recording", "Scan", "scan"),
    "errors": ("DistillError",),
    "home": ("config_folder", "models_folder", "runs_folder"),
    "library": ("LibraryEntry", "list_models"),
    "run_folder": ("RunFolder", "list_runs"),
    "start": ("Plan", "Wishes", "new_run", "plan_run"),
    "training.config": ("TrainingConfig", "declarations"),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "DistillError",
    "LibraryEntry",
    "Plan",
    "Recording",
    "RunFolder",
    "Scan",
    "TrainingConfig",
    "Wishes",
    "config_folder",
    "declarations",
    "list_models",
    "list_runs",
    "models_folder",
    "new_run",
    "plan_run",
    "runs_folder",
    "scan",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"distill_engine.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
