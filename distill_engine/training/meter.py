"""Steps are told so many times a second at most; what happened between two tellings is told together, spikes too."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from statistics import fmean
from typing import Self

from torch import Tensor

from distill_engine.events import Event, StepDone
from distill_engine.training.state import Sums
from distill_engine.training.step import StepResult

REPORTS_PER_SECOND = 20


class StepMeter:
    """Collects the steps of an epoch and reports them as `StepDone`, about twenty times a second at most.

    Used as a context: whatever ends the epoch, its last steps are reported.
    """

    def __init__(self, report: Callable[[Event], object], epoch: int, batch_size: int) -> None:
        self._report = report
        self._epoch = epoch
        self._batch_size = batch_size
        self._results: list[StepResult] = []
        self._told_at = time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def add(self, result: StepResult) -> None:
        """Take in one step; report if it is time."""
        self._results.append(result)
        if time.perf_counter() - self._told_at >= 1 / REPORTS_PER_SECOND:
            self.flush()

    def flush(self) -> None:
        """Report what has not been reported."""
        if not self._results:
            return
        results, self._results = self._results, []
        now = time.perf_counter()
        elapsed, self._told_at = now - self._told_at, now
        last = results[-1]
        losses = [result.loss for result in results]
        finite = [loss for loss in losses if math.isfinite(loss)]
        whole = len(finite) == len(losses)
        self._report(
            StepDone(
                step=last.step,
                epoch=self._epoch,
                loss=fmean(finite) if finite else None,
                loss_min=min(finite) if finite else None,
                loss_max=max(finite) if whole else None,
                magnitude=_mean(result.magnitude for result in results),
                frequency=_mean(result.frequency for result in results),
                stft=_mean(result.stft for result in results),
                kl=_mean(result.kl for result in results),
                learning_rate=last.rates.learning,
                kl_weight=last.rates.kl,
                gradient_norm=_mean(result.gradient_norm for result in results),
                pieces_per_second=len(results) * self._batch_size / elapsed,
            )
        )


def waits_counted(batches: Iterable[Tensor], sums: Sums) -> Iterator[Tensor]:
    """Yield the batches, adding to `sums` for how long each was waited for, and for how long it was learnt from."""
    asked = time.perf_counter()
    for batch in batches:
        came = time.perf_counter()
        sums.waited += came - asked
        yield batch
        asked = time.perf_counter()
        sums.used += asked - came


def _mean(values: Iterable[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return fmean(finite) if finite else None
