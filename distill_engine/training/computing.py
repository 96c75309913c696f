"""The numbers that a run computes in and how they lie in memory, as its configuration has them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager

import torch

from distill_engine.training.config import TrainingConfig


def autocast(config: TrainingConfig, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which the model computes in the run's precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")


def memory_format(config: TrainingConfig) -> torch.memory_format:
    """Return how batches and kernels lie in memory."""
    return torch.channels_last if config.memory_format == "channels_last" else torch.contiguous_format


@contextlib.contextmanager
def same_bits(config: TrainingConfig) -> Iterator[None]:
    """Let a GPU give the same bits each time, where that is asked for; else let it choose the fastest kernels.

    A CPU does so anyway, as long as it has the same number of threads.
    """
    if config.device == "cpu":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS asks for
    torch.backends.cudnn.benchmark = not config.deterministic
    torch.use_deterministic_algorithms(config.deterministic)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def give_memory_back() -> None:
    """Let others have the memory of a GPU that nothing lies in any more; it waits for the GPU."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
