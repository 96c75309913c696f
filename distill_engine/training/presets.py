"""Starting points: three fixed characters, and `auto`, which fits the run to the recordings.

A preset is a plain TrainingConfig and nothing more: files and flags are laid over it, and what `auto` came to stands in
the run's own copy, so that a resumed run never guesses again.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

from distill_engine.errors import ConfigError
from distill_engine.training.config import TrainingConfig, replaced
from distill_engine.training.estimate import training_pieces

Preset = Literal["auto", "conservative", "balanced", "aggressive"]
PRESETS: tuple[str, ...] = get_args(Preset)

_CONSERVATIVE: dict[str, int | float] = {
    "max_epochs": 400,
    "batch_size": 16,
    "learning_rate": 5e-4,
    "warmup_steps": 200,
    "augmentation.copies": 4,
    "regularization.dropout": 0.1,
    "regularization.weight_decay": 1e-3,
    "regularization.gradient_clip": 0.5,
}
_AGGRESSIVE: dict[str, int | float] = {
    "max_epochs": 100,
    "batch_size": 64,
    "learning_rate": 2e-3,
    "warmup_steps": 20,
    "augmentation.copies": 1,
    "regularization.weight_decay": 0.0,
    "regularization.gradient_clip": 5.0,
}
_FIXED: dict[str, dict[str, int | float]] = {"conservative": _CONSERVATIVE, "balanced": {}, "aggressive": _AGGRESSIVE}

CHECKS_PER_RUN = 20
"""Checkpoints and previews spread over a run."""

LEAST_STEPS, MOST_STEPS = 2_000, 20_000
"""Steps of a whole run: with fewer a model can't have learnt, with more it takes hours on a small machine."""


def preset_config(name: str, seconds: float, files: int) -> TrainingConfig:
    """Return the configuration of the preset `name` for a dataset of `files` usable recordings, `seconds` in all.

    - conservative: slow and sure. Small steps, some dropout, much augmentation: for few or uneven recordings.
    - balanced: the defaults.
    - aggressive: fast and free. Large steps and batches, hardly a restraint: for much and even material.
    - auto: fits the material; see `_auto`.

    Each says how many epochs it would like, and is then sized by `_sized`. Raises ConfigError for another name;
    `seconds` and `files` must be positive.
    """
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}", f"the presets are {', '.join(PRESETS)}")
    if seconds <= 0 or files < 1:
        raise ValueError(f"a preset needs something to fit: {files} files of {seconds} s in all")
    config = _auto(seconds, files) if name == "auto" else unfitted_preset(name)
    return _sized(config, seconds, files)


def unfitted_preset(name: str) -> TrainingConfig:
    """Return what the preset `name` asks for while there is no material to fit it to: for auto, the defaults."""
    return replaced(TrainingConfig(), _FIXED.get(name, {}))


def _auto(seconds: float, files: int) -> TrainingConfig:
    """Fit the run to the material, by one number from 0 (10 s in 5 files or less) to 1 (2 hours in 500 or more).

    That number, the richness, is three parts length and one part variety, both on a logarithmic scale, and everything
    moves evenly with it (whole numbers are rounded, a batch to the nearest power of two):

    - augmented copies of each recording: 8 down to 1 - little material is stretched, much speaks for itself;
    - batch: 8 up to 64 pieces; learning rate with its square root, 5e-4 up to 1.4e-3;
    - pieces seen in the whole run: 24,000 up to 768,000. Divided by the pieces of an epoch that gives many hundred
      epochs of a few seconds, and a dozen of many hours.

    Dropout stays off: on less than two minutes of material it made all worse, what was never heard too, where pieces
    are coloured anew each time (the table: sound.md).
    """
    richness = _richness(seconds, files)
    batch = 2 ** round(_between(math.log2(8), math.log2(64), richness))
    config = replaced(
        TrainingConfig(),
        {
            "augmentation.copies": round(_geometric(8, 1, richness)),
            "batch_size": batch,
            "learning_rate": _two_digits(1e-3 * math.sqrt(batch / 32)),
        },
    )
    pieces_seen = _geometric(24_000, 768_000, richness)
    return replaced(config, {"max_epochs": max(1, round(pieces_seen / training_pieces(config, seconds, files)))})


def _sized(config: TrainingConfig, seconds: float, files: int) -> TrainingConfig:
    """Keep a run within reason on this material, whatever its character.

    The batch is halved until an epoch fills it, for one filled up with repeats costs time and teaches nothing new. The
    epochs are held to what makes 2,000 to 20,000 steps, but never under two, so only material of very many hours gets
    more. Checkpoints and previews come about twenty times a run, however long an epoch is.
    """
    pieces, batch = training_pieces(config, seconds, files), config.batch_size
    while batch > max(1, pieces):
        batch //= 2
    steps = math.ceil(pieces / batch)
    epochs = max(2, math.ceil(LEAST_STEPS / steps), min(config.max_epochs, MOST_STEPS // steps))
    interval = max(1, round(epochs / CHECKS_PER_RUN))
    sizes = {"batch_size": batch, "max_epochs": epochs, "checkpoint_interval": interval, "preview_interval": interval}
    return replaced(config, sizes)


def _richness(seconds: float, files: int) -> float:
    length = _position(seconds, 10, 7200)
    variety = _position(files, 5, 500)
    return 0.75 * length + 0.25 * variety


def _position(value: float, low: float, high: float) -> float:
    """Return where `value` lies from `low` (0) to `high` (1) on a logarithmic scale, held to the ends."""
    return min(1.0, max(0.0, math.log(value / low) / math.log(high / low)))


def _between(start: float, end: float, position: float) -> float:
    return start + (end - start) * position


def _geometric(start: float, end: float, position: float) -> float:
    return start * math.pow(end / start, position)


def _two_digits(value: float) -> float:
    return float(f"{value:.1e}")
