"""Is the latent in use? How many of its dimensions tell pieces apart, and whether what is decoded differs at all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

ACTIVE_VARIANCE = 0.01
"""A dimension is active where the variance of its mean over the data is greater (Burda et al. 2015, 1509.00519)."""


@dataclass(frozen=True, kw_only=True)
class LatentUse:
    """What the latent does: see `EpochDone`. `spread` is None for fewer than two pieces, or pieces all alike."""

    active: int
    dimensions: int
    spread: float | None


class LatentMeter:
    """Takes in pieces as they are validated, and keeps sums alone: memory doesn't grow with their number."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = _Sums()
        self._made = _Sums()
        self._true = _Sums()

    def add(self, mu: Tensor, recon: Tensor, x: Tensor) -> None:
        """Take in the latent's means [B, latent_dim], and reconstructed and true pieces [B, 2, n_mels, time]."""
        self._count += len(mu)
        self._mean.add(mu)
        self._made.add(recon[:, 0])
        self._true.add(x[:, 0])

    def use(self) -> LatentUse | None:
        """Return what the pieces so far show; None for no piece, or one alone."""
        if self._count < 2:
            return None
        active = self._mean.variance(self._count) > ACTIVE_VARIANCE
        made, true = (sums.variance(self._count).mean().sqrt().item() for sums in (self._made, self._true))
        spread = made / true if true > 0 and math.isfinite(made) else None
        return LatentUse(active=int(active.sum().item()), dimensions=active.numel(), spread=spread)


class _Sums:
    """Sums of numbers and of their squares over pieces, in double precision, for each place of a piece."""

    def __init__(self) -> None:
        self._sum: Tensor | float = 0.0
        self._squares: Tensor | float = 0.0

    def add(self, values: Tensor) -> None:
        values = values.double()
        self._sum = self._sum + values.sum(dim=0)
        self._squares = self._squares + values.square().sum(dim=0)

    def variance(self, count: int) -> Tensor:
        """Return the unbiased variance at each place; at least 0, which rounding may miss."""
        mean = torch.as_tensor(self._sum) / count
        return ((torch.as_tensor(self._squares) / count - mean.square()) * count / (count - 1)).clamp_min(0.0)
