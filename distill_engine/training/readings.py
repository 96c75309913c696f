"""What steps came to, read off the device without making it wait: many rows at once, in a copy that runs beside steps.

On a CPU a row is read as it comes. On a GPU the rows of a twentieth of a second are copied into pinned memory and are
looked at when the copy has arrived; only `rest` waits, where an epoch ends or is left.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from distill_engine.training.step import FIGURES, Rates, StepResult

READINGS_PER_SECOND = 20


@dataclass(frozen=True)
class _Taken:
    row: Tensor
    step: int
    rates: Rates


@dataclass(frozen=True)
class _OnTheWay:
    """Rows [n, FIGURES] that are being copied; `arrived` tells when they are there."""

    steps: Sequence[_Taken]
    rows: Tensor
    arrived: torch.cuda.Event


class Readings:
    """Takes rows in the order of the steps and gives results in that order."""

    def __init__(self) -> None:
        self._waiting: list[_Taken] = []
        self._under_way: _OnTheWay | None = None
        self._read_at = time.perf_counter()

    def add(self, row: Tensor, step: int, rates: Rates) -> list[StepResult]:
        """Take in the row [FIGURES] of a step; return what is known by now of the steps so far, and wasn't before."""
        self._waiting.append(_Taken(row, step, rates))
        if row.device.type == "cpu":
            return self.rest()
        arrived = self._arrived()
        if self._under_way is None and time.perf_counter() - self._read_at >= 1 / READINGS_PER_SECOND:
            self._send()
        return arrived

    def rest(self) -> list[StepResult]:
        """Return all that hasn't been returned yet, waiting for it where it must."""
        earlier = self._arrived(wait=True)
        steps, self._waiting = self._waiting, []
        return earlier + (_results(steps, torch.stack([one.row for one in steps])) if steps else [])

    def _send(self) -> None:
        steps, self._waiting = self._waiting, []
        self._read_at = time.perf_counter()
        rows = torch.empty(len(steps), FIGURES, pin_memory=True)
        rows.copy_(torch.stack([one.row for one in steps]), non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
        self._under_way = _OnTheWay(steps, rows, arrived)

    def _arrived(self, *, wait: bool = False) -> list[StepResult]:
        if self._under_way is None or not (wait or self._under_way.arrived.query()):
            return []
        copied, self._under_way = self._under_way, None
        copied.arrived.synchronize()
        return _results(copied.steps, copied.rows)


def _results(steps: Sequence[_Taken], rows: Tensor) -> list[StepResult]:
    return [
        StepResult(
            step=one.step,
            rates=one.rates,
            loss=loss,
            magnitude=magnitude,
            frequency=frequency,
            stft=stft,
            kl=kl,
            gradient_norm=norm,
        )
        for one, (loss, magnitude, frequency, stft, kl, norm) in zip(steps, rows.tolist(), strict=True)
    ]
