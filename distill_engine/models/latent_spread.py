"""How an encoded corpus spreads in latent space, as a Gaussian: its middle, and steps of one standard deviation.

The decision: whatever steps are chosen, they are uncorrelated over the corpus, so that independent standard normal
weights on them draw from the same Gaussian as the principal axes do. So a step is found in the space of those weights,
where the corpus is a unit sphere, and steps are orthogonal there; in latent space they needn't be.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_DEVIATION = 1e-3
"""A direction in which the corpus spreads less is none: rounding, or a corpus of one sound."""

_SHRINKING, _TINY = 0.3, 1e-12


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The corpus's Gaussian, float64."""

    mean: Tensor
    """[latent_dim]"""

    steps: Tensor
    """[k, latent_dim]: one standard deviation along each axis; k may be 0."""

    rest: float
    """The standard deviation along a direction orthogonal to all of them."""

    def draw(self, count: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return `count` weights [count, k] of the steps, and the latents [count, latent_dim] they stand for."""
        generator = torch.Generator().manual_seed(seed)
        weights = torch.randn(count, len(self.steps), generator=generator, dtype=torch.float64)
        noise = torch.randn(count, len(self.mean), generator=generator, dtype=torch.float64)
        along = torch.linalg.qr(self.steps.T).Q
        return weights, self.mean + weights @ self.steps + self.rest * (noise - noise @ along @ along.T)

    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        """Return how far latents [n, latent_dim] are apart [n]: in standard deviations, root mean square of the steps.

        What the steps don't reach doesn't count.
        """
        weights = torch.linalg.lstsq(self.steps.T, (first.double() - second.double()).T).solution
        apart: Tensor = weights.square().mean(0).sqrt()
        return apart

    def turned(self, towards: Tensor) -> Tensor:
        """Return the steps [k, latent_dim] of other axes: those along `towards` [m, k], orthonormal, and what is left.

        What is left are the principal axes of the corpus once nothing of the first m is in it, the widest first.
        """
        others = torch.linalg.svd(towards, full_matrices=True).Vh[len(towards) :]
        _, deviations, directions = torch.linalg.svd(others @ self.steps, full_matrices=False)
        return torch.cat([towards @ self.steps, _signed(deviations[:, None] * directions)])


def spread_of(latents: Tensor, most_steps: int) -> Spread:
    """Return how `latents` [n, latent_dim], at least one, spread: at most so many steps, and no more than they show."""
    latents = latents.double()
    mean = latents.mean(0)
    _, values, directions = torch.linalg.svd(latents - mean, full_matrices=False)
    deviations = values / len(latents) ** 0.5
    count = min(most_steps, int((deviations > LEAST_DEVIATION).sum()))
    left = latents.shape[1] - count
    rest = float((deviations[count:].square().sum() / left).sqrt()) if left else 0.0
    return Spread(mean=mean, steps=_signed(deviations[:count, None] * directions[:count]), rest=rest)


def surest_direction(rises: Tensor) -> Tensor:
    """Return the direction [k], of unit length or 0, along which the measure rises most surely.

    `rises` [seeds, k] tells for each seed by how much it rises along each step. It isn't their mean: where seeds
    disagree about a step, less of it is taken. The mean of what a seed rises over its deviation among seeds is largest
    along the covariance's inverse times the mean (Fisher 1936); the covariance is shrunk, for seeds are few.
    """
    mean = rises.mean(0)
    apart = rises - mean
    covariance = apart.T @ apart / max(1, len(rises) - 1)
    shrinking = _SHRINKING * covariance.trace() / len(mean) + _TINY
    even = torch.eye(len(mean), dtype=rises.dtype)
    return torch.nn.functional.normalize(torch.linalg.solve(covariance + shrinking * even, mean), dim=0)


def normal_scores(values: Tensor) -> Tensor:
    """Return `values` [n] as normal scores of their ranks, float64; what isn't finite is nan.

    Outliers, and the unit a measure is told in, then don't matter.
    """
    scores = torch.full_like(values, torch.nan, dtype=torch.float64)
    known = values.isfinite()
    scores[known] = torch.special.ndtri(ranks(values[known]))
    return scores


def ranks(values: Tensor) -> Tensor:
    """Return the ranks of `values` [n], as shares of n in (0, 1); equal values share the mean of theirs."""
    below = (values[None] < values[:, None]).double().sum(1)
    equal = (values[None] == values[:, None]).double().sum(1)
    return (below + 0.5 * equal) / len(values)


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Return Spearman's correlation of two series [n]; 0 where one of them is constant."""
    one, other = (ranks(series) - 0.5 for series in (first, second))
    size = float(torch.linalg.vector_norm(one) * torch.linalg.vector_norm(other))
    return float(one @ other) / size if size > 0 else 0.0


def _signed(steps: Tensor) -> Tensor:
    """Return the steps [k, latent_dim], each the way round in which its largest component is positive."""
    largest = steps.gather(1, steps.abs().argmax(1, keepdim=True))
    return torch.where(largest < 0, -steps, steps)
