"""The numbers that a run computes in and how they lie in memory, as its configuration has them."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from distill_engine.training.config import TrainingConfig


def autocast(config: TrainingConfig, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which the model computes in the run's precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")


def memory_format(config: TrainingConfig) -> torch.memory_format:
    """Return how batches and kernels lie in memory."""
    return torch.channels_last if config.memory_format == "channels_last" else torch.contiguous_format
