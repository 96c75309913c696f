"""What a run will take on this machine: a few steps are taken, unless they were before, and the rest is arithmetic.

What steps cost differs from one machine to the next and is measured (`speeds`). All else is small beside it, and is
reckoned from what it took on two cores in 2026.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from distill_engine.datasets import Scan
from distill_engine.training.config import TrainingConfig
from distill_engine.training.estimate import Estimate, previews_made, run_bytes
from distill_engine.training.hardware import decided
from distill_engine.training.speeds import fastest, measured

_VALIDATION_SHARE = 0.3
"""Of what a piece costs in a step: it goes through the model once, and nothing comes back."""

_PREPARED_A_CORE = 230.0
"""Seconds of sound that a core makes spectrograms of in a second."""

_SECONDS_A_PREVIEWED_SECOND = 0.04
_SECONDS_A_CHECKPOINT = 0.4
_SECONDS_TO_BEGIN = 3.0
_ANALYSIS_CORE_SECONDS, _LEAST_ANALYSED = 170.0, 120.0


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Seconds that a run will take, if nothing else keeps the machine busy, and its folder's size."""

    preparing: float
    """Nothing being in the cache yet."""

    training: float
    """Validation, previews and checkpoints included; `max_minutes` ends it."""

    analysing: float
    """Finding the sliders at its end."""

    run_bytes: int
    """Disk for the run's folder at its fullest."""

    @property
    def total(self) -> float:
        """All of it, from the command on."""
        return _SECONDS_TO_BEGIN + self.preparing + self.training + self.analysing


def forecast(config: TrainingConfig, takes: Estimate, found: Scan, cache: Path) -> Forecast:
    """Return what a run takes for which `takes` was estimated; measures steps where that wasn't done yet.

    Raises:
        ConfigError: its device isn't there.
    """
    config = decided(config, cache)
    speed = fastest(measured(config, cache, most=config.batch_size)).pieces_per_second
    validated = found.seconds * config.val_fraction
    of_epoch = takes.steps_per_epoch * config.batch_size + _VALIDATION_SHARE * validated
    sounds = (2 * config.preview_recordings + config.preview_samples) * config.preview_seconds
    steps = config.max_epochs * of_epoch / speed
    checkpoints = min(config.max_epochs / config.checkpoint_interval, steps / max(60 * config.checkpoint_minutes, 1.0))
    heard = previews_made(config, steps) * sounds * _SECONDS_A_PREVIEWED_SECOND
    undisturbed = steps + heard + checkpoints * _SECONDS_A_CHECKPOINT
    training = min(undisturbed, 60 * config.max_minutes or math.inf)
    run = run_bytes(config, takes.steps * training / undisturbed, training)
    cores = torch.get_num_threads()
    return Forecast(
        preparing=found.seconds * (1 + config.augmentation.copies) / (_PREPARED_A_CORE * cores),
        training=training,
        analysing=_ANALYSIS_CORE_SECONDS / cores if training >= _LEAST_ANALYSED else 0.0,
        run_bytes=run,
    )
