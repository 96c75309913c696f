"""Numbers that aren't finite: such steps are left out, counted, told; after ten in a row back to what was good, once.

Where they stand in the state itself, ten steps would change nothing: training goes back as soon as that is seen. A step
that wasn't taken is a reason to look, and every eighth step is looked at, for no loss need tell of it: in the optimiser
such a number may hold up a weight for ever, and in the average it makes a model that is of no use.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from distill_engine.errors import DivergedError
from distill_engine.events import WarningRaised
from distill_engine.training import checkpoint
from distill_engine.training.run import Report, Run
from distill_engine.training.state import Sums, TrainingState, fresh_state
from distill_engine.training.step import StepResult

SKIPS_BEFORE_GOING_BACK = 10
STEPS_BETWEEN_LOOKS = 8


class DivergingError(Exception):
    """The weights, or what else a step goes by, are taken to be at fault; `evidence` says why."""

    def __init__(self, evidence: str) -> None:
        super().__init__(evidence)
        self.evidence = evidence


def look(state: TrainingState, step: int, row: Tensor) -> None:
    """Let the row of every eighth step be not finite where the state isn't, without waiting for the device."""
    if step % STEPS_BETWEEN_LOOKS == 0:
        row[-1] += 0 * state.size()


def refuse_if_unsound(state: TrainingState) -> None:
    """Raise DivergingError where a number of the state isn't finite."""
    if not state.is_finite():
        raise DivergingError(f"at step {state.progress.step} numbers of the training's own state were not finite")


def heed_skip(state: TrainingState, result: StepResult, report: Report) -> None:
    """Count steps in a row that weren't taken and tell of the first of them; raise DivergingError at the tenth.

    Raise it at once where the state is to blame.
    """
    progress = state.progress
    if result.taken:
        progress.skipped_in_row = 0
        return
    refuse_if_unsound(state)
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
        raise DivergingError(f"{SKIPS_BEFORE_GOING_BACK} steps in a row, up to {progress.step}, were not finite")


def go_back(
    state: TrainingState, run: Run, folder: Path, first: dict[str, Tensor] | None, diverging: DivergingError
) -> None:
    """Return once to the newest sound checkpoint's weights, or the first ones, and go on from here at half the rate.

    `first` are the weights the run began with, None for drawn ones.

    Raises:
        DivergedError: training went back before. A checkpoint then holds the best weights.
    """
    progress = state.progress
    newest = checkpoint.newest_sound(folder)
    good = fresh_state(run.config, torch.device(run.config.device), first)
    if newest is not None:
        checkpoint.restore(good, newest)
    state.model.load_state_dict(good.model.state_dict())
    state.optimizer.load_state_dict(good.optimizer.state_dict())
    state.ema = good.ema
    if not state.has_finite_best():
        state.take_best_of(good)
    progress.sums, progress.skipped_in_row = Sums(), 0
    if progress.rate_factor < 1:
        _give_up(state, run, diverging)
    run.stepper.begin_anew()
    progress.rate_factor = 0.5
    run.report(
        WarningRaised(
            kind="diverging",
            message=f"went back to {newest.path.name if newest else 'the first weights'} and halved the learning rate",
            evidence=diverging.evidence,
            suggestion="if it comes again the run ends; a lower learning_rate helps",
        )
    )


def _give_up(state: TrainingState, run: Run, diverging: DivergingError) -> None:
    if state.best:
        state.model.load_state_dict(state.best)
        state.ema = {}
        run.save(state)
    raise DivergedError(
        f"training diverged, even at half the rate: {diverging.evidence}",
        f"lower learning_rate, or gradient_clip{'; the best weights until then are kept' if state.best else ''}",
    )
