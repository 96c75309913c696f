"""What a run that has finished needs to go on: which setting ended it, and what to say to `resume`."""

from __future__ import annotations

from distill_engine.event_log import last_event
from distill_engine.events import REASONS, RunFinished
from distill_engine.run_folder import RunFolder
from distill_engine.training.config import TrainingConfig
from distill_engine.training.config_file import load_config


def lets_go_on(last: RunFinished, config: TrainingConfig, changed: TrainingConfig) -> bool:
    """Tell whether a finished run has something to do with the changed configuration, given what ended it."""
    if changed == config or last.epoch >= changed.max_epochs:
        return False
    if last.reason == REASONS["minutes"]:
        return changed.max_minutes == 0 or changed.max_minutes > config.max_minutes
    if last.reason == REASONS["early"]:
        return changed.early_stop_epochs == 0 or changed.early_stop_epochs > config.early_stop_epochs
    return True


def what_lets_go_on(folder: RunFolder) -> str:
    """Return what `resume` needs for a finished run to go on as long again, such as "--set max_minutes=20".

    Raises:
        DistillError: its configuration can't be read.
    """
    config = load_config(folder.config_file, TrainingConfig())
    last = last_event(folder)
    reason = last.reason if isinstance(last, RunFinished) else ""
    if reason == REASONS["minutes"]:
        return f"--set max_minutes={2 * config.max_minutes:g}"
    if reason == REASONS["early"]:
        return "--set early_stop_epochs=0"
    return f"--set max_epochs={2 * config.max_epochs}"
