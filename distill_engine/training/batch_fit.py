"""How many pieces a step learns from where that is left to the machine: as many as half of its free memory holds.

It is decided when a run is planned and stands in the run's configuration, so that a resumed run takes the same steps.
"""

from __future__ import annotations

import functools
import time

import psutil

from distill_engine.training.config import TrainingConfig, replaced
from distill_engine.training.estimate import bytes_of_a_piece

LEFT_TO_THE_MACHINE = 0
MOST = 256
"""More make steps no faster, and fewer of them."""

_SHARE = 0.5
_FRESH_SECONDS = 10.0


def fitted(config: TrainingConfig) -> TrainingConfig:
    """Return `config` with a batch that fits in place of one left to the machine: a power of two, 256 at most.

    Of several processes each has its share of the memory and of the batch, which is then a multiple of their number.
    """
    if config.batch_size != LEFT_TO_THE_MACHINE:
        return config
    room, size = _SHARE * _free_bytes(config.device), MOST
    while size > 1 and size * bytes_of_a_piece(config) > room:
        size //= 2
    ranks = config.num_processes
    return replaced(config, {"batch_size": max(1, size // ranks) * ranks})


def _free_bytes(device: str) -> int:
    """Return how much memory is free: a GPU's where training goes there, the least of several, else the machine's."""
    free = [] if device == "cpu" else _free_on_gpus(time.monotonic() // _FRESH_SECONDS)
    return min(free, default=int(psutil.virtual_memory().available))


@functools.lru_cache(maxsize=1)
def _free_on_gpus(_at: float) -> list[int]:
    """Ask the driver, which takes a moment: too long for every keystroke in a form, so `_at` tells when anew."""
    import pynvml  # noqa: PLC0415

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [int(pynvml.nvmlDeviceGetMemoryInfo(handle).free) for handle in handles]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()
