"""What a run in training has around its state: data, places to write, the way to the outside, a clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from distill_engine.errors import DistillError, RunGoneError
from distill_engine.events import (
    Answer,
    AnyCommand,
    CheckpointSaved,
    Event,
    PreviewSaved,
    WarningRaised,
)
from distill_engine.patience import Patiently
from distill_engine.training.aside import Aside
from distill_engine.training.checkpoint import Checkpoints
from distill_engine.training.config import TrainingConfig
from distill_engine.training.dataset import PieceLoader
from distill_engine.training.preview import Previews
from distill_engine.training.state import Progress, TrainingState
from distill_engine.training.step import Stepper
from distill_engine.training.summary import Origin

Report = Callable[[Event], object]
ShouldStop = Callable[[], bool]


class Orders(Protocol):
    """What the outside wants of a run that trains."""

    def waiting(self) -> bool:
        """Tell whether there is an order: asked before every step."""

    def stop_waits(self, *, now_only: bool = False) -> bool:
        """Tell whether an order to end the run waits, or one to end it at once."""

    def take(self) -> AnyCommand | None:
        """Return the next order, None where none waits."""

    def wait(self) -> AnyCommand:
        """Return the next order, as soon as there is one."""

    def answer(self, command: AnyCommand, answer: Answer, words: str, path: str = "") -> None:
        """Report what became of an order."""

    def stop_asked(self) -> bool:
        """Tell whether an order ends the run, while nothing is there yet to do others with."""


@dataclass(kw_only=True)
class Run:
    """What hardly changes while training goes on: `started` is when it would have begun without any pause.

    `patiently` does what a disk may refuse; the time for which it waits is no training time either.
    """

    config: TrainingConfig
    training: PieceLoader
    validation: PieceLoader | None
    origin: Origin
    stepper: Stepper
    checkpoints: Checkpoints
    previews: Previews
    aside: Aside
    report: Report
    orders: Orders
    patiently: Patiently
    started: float

    def loaders(self) -> list[PieceLoader]:
        """Return what pieces come from."""
        return [self.training] if self.validation is None else [self.training, self.validation]

    @property
    def total_steps(self) -> int:
        """Steps of the whole run, if nothing ends it before."""
        return self.config.max_epochs * self.training.batches_per_epoch

    def horizon(self, progress: Progress) -> int:
        """Return the steps over which schedules run: what was foreseen when the last epoch ended."""
        return progress.horizon or self.total_steps

    def foreseen_steps(self, progress: Progress) -> int:
        """Return how many steps the run will have taken at its end, by its pace so far where `max_minutes` ends it.

        A learning rate that has no time to come down leaves a model that is clearly worse.
        """
        limit, seconds = 60 * self.config.max_minutes, self.seconds()
        if not limit or not progress.step or seconds <= 0:
            return self.total_steps
        return min(self.total_steps, max(progress.step, round(progress.step * limit / seconds)))

    def seconds(self) -> float:
        """Return how long the run has trained, earlier stretches included."""
        return time.monotonic() - self.started - self.patiently.waited

    def time_is_up(self) -> bool:
        """Tell whether `max_minutes` have passed."""
        return 0 < self.config.max_minutes * 60 <= self.seconds()

    def interrupted(self) -> bool:
        """Tell whether training should look up: an order waits, or the time is up."""
        return self.orders.waiting() or self.time_is_up()

    def save(self, state: TrainingState, preview: PreviewSaved | None = None) -> Path:
        """Write a checkpoint; `preview` is one of the weights a model would be made of."""
        progress = state.progress
        progress.seconds = self.seconds()
        model = self.origin.describe(state, preview)
        path = self.patiently(lambda: self.checkpoints.save(state, model, self.origin.corpus_digest))
        event = CheckpointSaved(step=progress.step, epoch=progress.epoch, path=in_run(path), bytes=path.stat().st_size)
        self.report(event)
        return path

    def preview(self, state: TrainingState, *, best: bool = False) -> PreviewSaved | None:
        """Make a preview of the judged weights, or the best; None where a stop came between, or it can't be made.

        That of the best weights closes a run: only an order to stop at once keeps it from being made. And a preview is
        never worth a run: what goes wrong with one is a warning, but for a disk, which is waited for, and for a run's
        folder that is gone.
        """
        progress = state.progress
        weights = state.best if best and state.best else state.ema
        try:
            with state.evaluating(weights) as model:
                made = self.patiently(
                    lambda: self.previews.make(
                        model,
                        step=progress.step,
                        epoch=progress.epoch,
                        best=best,
                        should_stop=lambda: self.orders.stop_waits(now_only=best),
                    )
                )
        except RunGoneError:
            raise
        except (DistillError, OSError) as error:
            self.report(
                WarningRaised(
                    kind="preview",
                    message="a preview couldn't be written",
                    evidence=str(error),
                    suggestion="training goes on without it",
                )
            )
            return None
        if made is not None:
            self.report(made)
        return made


def in_run(checkpoint: Path) -> str:
    """Return a checkpoint's path relative to the run folder."""
    return f"{checkpoint.parent.name}/{checkpoint.name}"
