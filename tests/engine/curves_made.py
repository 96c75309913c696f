"""Learning curves for tests: made by formulas with noise of a seed, as epochs a run might have told.

With t the epoch, counted from 1, noise multiplies a loss by exp(scatter * z), z standard normal. Where neighbours are
to be alike by r, z(t) = r z(t-1) + sqrt(1 - r^2) e(t).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from distill_engine.events import EpochDone

Numbers = npt.NDArray[np.float64]

STEPS_PER_EPOCH = 10
TRAIN_SCATTER = 0.01

CURVES: dict[str, Callable[[Numbers, int], tuple[Numbers, Numbers]]] = {
    # Training and validation loss of a run of n epochs.
    "power": lambda t, _n: (0.2 + 2 * t**-0.5, 0.3 + 2 * t**-0.4),
    "exponential": lambda t, n: (0.4 + 1.6 * np.exp(-t / n), 0.6 + 1.4 * np.exp(-t / n)),
    "rests": lambda t, n: (0.4 + 1.6 * np.exp(-12 * t / n), 0.6 + 1.4 * np.exp(-12 * t / n)),
    "validation rests": lambda t, n: (0.2 + 2 * t**-0.5, 0.8 + 1.4 * np.exp(-12 * t / n)),
    "overfits": lambda t, n: (
        0.2 + 2 * t**-0.5,
        (0.6 + 1.4 * np.exp(-12 * t / n)) * (1 + 0.6 * np.maximum(0, t / n - 1 / 3)),
    ),
    "diverges": lambda t, n: ((0.3 + 2 * t**-0.5) * 1.1 ** np.clip(t - n / 2, 0, 60),) * 2,
}


def made(name: str, epochs: int, *, scatter: float, seed: int, alike: float = 0.0) -> list[EpochDone]:
    """Return the epochs of a run whose curves follow a formula, their validation scattering by this share."""
    random = np.random.default_rng(seed)
    train, validation = CURVES[name](np.arange(1, epochs + 1, dtype=np.float64), epochs)
    train = train * np.exp(TRAIN_SCATTER * random.standard_normal(epochs))
    return told(train.tolist(), (validation * np.exp(scatter * _noise(random, epochs, alike))).tolist())


def told(train: Sequence[float | None], validation: Sequence[float | None]) -> list[EpochDone]:
    """Return epochs with these losses."""
    return [
        EpochDone(
            epoch=number,
            step=STEPS_PER_EPOCH * number,
            train_loss=one,
            train_magnitude=one,
            train_frequency=0.1,
            train_stft=0.1,
            train_kl=1.0,
            validation_loss=other,
            validation_magnitude=other,
            validation_frequency=0.1,
            validation_stft=0.1,
            validation_kl=1.0,
            best=False,
            seconds_left=0.0,
        )
        for number, (one, other) in enumerate(zip(train, validation, strict=True), 1)
    ]


def unvalidated(epochs: Sequence[EpochDone]) -> list[EpochDone]:
    """Return the epochs as a run tells them in which nothing validates."""
    return [replace(epoch, validation_loss=None, validation_magnitude=None) for epoch in epochs]


def _noise(random: np.random.Generator, count: int, alike: float) -> Numbers:
    drawn = random.standard_normal(count)
    for place in range(1, count):
        drawn[place] = alike * drawn[place - 1] + np.sqrt(1 - alike**2) * drawn[place]
    return drawn
