"""What a run computes on, in which numbers and by which kernels, as its configuration has it."""

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
def as_configured(config: TrainingConfig) -> Iterator[None]:
    """Compute on the run's GPU, by the fastest kernels, or by those that give the same bits each time if asked for.

    A process enters it before it computes anything on the GPU. A CPU gives the same bits anyway, as long as it has the
    same number of threads.
    """
    if config.device == "cpu":
        yield
        return
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # which cuBLAS reads once, at its first product
    before = torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled()
    torch.backends.cudnn.benchmark = not config.deterministic
    torch.use_deterministic_algorithms(config.deterministic)
    try:
        with torch.cuda.device(config.device):
            yield
    finally:
        torch.backends.cudnn.benchmark = before[0]
        torch.use_deterministic_algorithms(before[1])


def give_memory_back() -> None:
    """Let others have the memory of a GPU that nothing lies in any more; it waits for the GPU."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
