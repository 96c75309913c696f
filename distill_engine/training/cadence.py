"""When something that a run does again and again, such as saving, is due: by epochs, and not too often by the clock."""

from __future__ import annotations

import math
import time


class Cadence:
    """Every so many epochs, and at least so many minutes after the last was asked for.

    It counts from when one was asked for, since whoever does it beside the steps may need longer than the next epochs.
    """

    def __init__(self, *, epochs: int, minutes: float, epoch: int, waits_at_first: bool) -> None:
        """Count from `epoch` on; `waits_at_first` tells whether the least time must have passed before the first."""
        self._epochs = epochs
        self._least_seconds = 60 * minutes
        self._epoch = epoch
        self._at = time.monotonic() if waits_at_first else -math.inf

    def due(self, epoch: int) -> bool:
        """Tell whether it is time after `epoch` finished epochs."""
        return epoch - self._epoch >= self._epochs and time.monotonic() - self._at >= self._least_seconds

    def asked(self, epoch: int) -> None:
        """Count from now on, after `epoch` finished epochs."""
        self._epoch, self._at = epoch, time.monotonic()
