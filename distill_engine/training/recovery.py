"""Steps that aren't finite: left out, counted, told; after ten in a row back to what was good, once."""

from __future__ import annotations

from pathlib import Path

import torch

from distill_engine.errors import DivergedError
from distill_engine.events import WarningRaised
from distill_engine.training import checkpoint
from distill_engine.training.run import Report, Run
from distill_engine.training.state import Progress, TrainingState, fresh_state
from distill_engine.training.step import StepResult

SKIPS_BEFORE_GOING_BACK = 10


class DivergingError(Exception):
    """So many steps in a row had to be left out that the weights are taken to be at fault."""


def heed_skip(progress: Progress, result: StepResult, report: Report) -> None:
    """Count steps in a row that weren't taken, tell of the first of them, and raise DivergingError at the tenth."""
    if result.taken:
        progress.skipped_in_row = 0
        return
    progress.skipped_in_row += 1
    if progress.skipped_in_row == 1:
        report(
            WarningRaised(
                kind="not-finite",
                message=f"step {result.step} was left out",
                evidence=f"loss {result.loss}, gradient norm {result.gradient_norm}",
                suggestion="one such step does no harm; if they come often, lower learning_rate",
            )
        )
    if progress.skipped_in_row == SKIPS_BEFORE_GOING_BACK:
        raise DivergingError


def go_back(state: TrainingState, run: Run, folder: Path, first: dict[str, torch.Tensor] | None) -> None:
    """Return once to the newest sound checkpoint's weights, or the first ones, and go on from here at half the rate.

    `first` are the weights the run began with, None for drawn ones.

    Raises:
        DivergedError: training went back before. A checkpoint then holds the best weights.
    """
    progress = state.progress
    if progress.rate_factor < 1:
        _give_up(state, run)
    newest = checkpoint.newest_sound(folder)
    good = fresh_state(run.config, torch.device(run.config.device), first)
    if newest is not None:
        checkpoint.restore(good, newest)
    state.model.load_state_dict(good.model.state_dict())
    state.optimizer.load_state_dict(good.optimizer.state_dict())
    state.ema = good.ema
    run.stepper.begin_anew()
    progress.skipped_in_row, progress.rate_factor = 0, 0.5
    run.report(
        WarningRaised(
            kind="diverging",
            message=f"went back to {newest.path.name if newest else 'the first weights'} and halved the learning rate",
            evidence=f"{SKIPS_BEFORE_GOING_BACK} steps in a row, up to {progress.step}, were not finite",
            suggestion="if it comes again the run ends; a lower learning_rate helps",
        )
    )


def _give_up(state: TrainingState, run: Run) -> None:
    if state.best:
        state.model.load_state_dict(state.best)
        state.ema = {}
        state.progress.skipped_in_row = 0
        run.save(state)
    raise DivergedError(
        f"training diverged: {SKIPS_BEFORE_GOING_BACK} steps in a row were not finite, even at half the rate",
        "lower learning_rate, or gradient_clip; the best weights until then are kept",
    )
