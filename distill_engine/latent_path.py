"""Where a sound goes in latent space: a path that stays where the corpus lies, from still to restless.

The decision: a path never leaves the Gaussian it is drawn from. What is mixed are deviations from its middle, and on a
circle around it, so every place on the way is as likely a sound as its ends are; a straight line between two draws
would pass nearer to the middle than nearly all of them lie, where a model makes an average of everything.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from distill_engine.models.latent_spread import spread_of
from distill_engine.models.model_info import ModelInfo

SLOWEST_SECONDS, FASTEST_SECONDS = 8.0, 1.0
"""From one drawn place to the next: with hardly any evolution, and with all of it."""


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """The Gaussian from which latents of new sounds are drawn."""

    mean: Tensor
    """[latent_dim]"""

    steps: Tensor
    """[k, latent_dim]: one standard deviation along each axis, whether orthogonal or not; k may be 0."""

    rest: float
    """The standard deviation along a direction orthogonal to all of them."""

    @classmethod
    def of(cls, info: ModelInfo) -> Cloud:
        """Return the corpus's own Gaussian where the model was analysed, else the standard normal."""
        if not info.latent_mean:
            return cls.standard(info.architecture.latent_dim)
        steps = [torch.tensor(axis.direction) * axis.deviation for axis in info.latent_axes]
        mean = torch.tensor(info.latent_mean)
        return cls(
            mean=mean, steps=torch.stack(steps) if steps else mean.new_zeros(0, len(mean)), rest=info.latent_rest
        )

    @classmethod
    def around(cls, latents: Tensor, most_steps: int = 16) -> Cloud:
        """Return the Gaussian of `latents` [n, latent_dim], at least one, with its widest directions apart."""
        spread = spread_of(latents, most_steps)
        return cls(mean=spread.mean.float(), steps=spread.steps.float(), rest=spread.rest)

    @classmethod
    def standard(cls, latent_dim: int) -> Cloud:
        """Return the standard normal."""
        return cls(mean=torch.zeros(latent_dim), steps=torch.zeros(0, latent_dim), rest=1.0)

    def deviation(self, generator: torch.Generator) -> Tensor:
        """Draw a place [latent_dim], as it lies from the middle."""
        weights = torch.randn(len(self.steps), generator=generator)
        noise = torch.randn(len(self.mean), generator=generator)
        place: Tensor = weights @ self.steps + self.rest * (noise - self._along @ (self._along.T @ noise))
        return place

    @functools.cached_property
    def _along(self) -> Tensor:
        """Orthonormal directions [latent_dim, k] of the steps."""
        basis: Tensor = torch.linalg.qr(self.steps.T).Q
        return basis


@dataclass(frozen=True, kw_only=True)
class Route:
    """What a path is drawn by; equal ones give equal paths, and a longer one begins as a shorter one does."""

    seconds: float
    """How long the whole path is."""

    seed: int
    evolution: float
    """From 0, which stays where it begins, to 1, which is somewhere else each second."""

    start: Tensor | None = None
    """The latent [latent_dim] to begin from, else a drawn one."""

    end: Tensor | None = None
    """The latent to arrive at with the last place asked for, if any."""


def latent_path(cloud: Cloud, route: Route, times: Tensor) -> Tensor:
    """Return the latents [n, latent_dim] at `times` [n], in seconds from the beginning, in their order."""
    generator = torch.Generator().manual_seed(route.seed)
    drawn = cloud.deviation(generator)
    first, last = drawn if route.start is None else route.start - cloud.mean, float(times[-1])
    if route.end is None:
        home = first.expand(len(times), -1)
    else:
        home = _on_the_way(first, route.end - cloud.mean, times / last if last else torch.full_like(times, 0.5))
    if not route.evolution:
        return cloud.mean + home
    stride = SLOWEST_SECONDS * (FASTEST_SECONDS / SLOWEST_SECONDS) ** route.evolution
    leave = times if route.end is None else torch.minimum(times, last - times)
    return cloud.mean + _turned(
        home, _wandering(cloud, generator, times / stride), route.evolution * (leave / stride).clamp(0, 1)
    )


def _wandering(cloud: Cloud, generator: torch.Generator, places: Tensor) -> Tensor:
    """Return deviations [n, latent_dim] on a way through draws, of which one is passed at each whole place."""
    draws = torch.stack([cloud.deviation(generator) for _ in range(math.floor(float(places.max())) + 2)])
    index = places.long()
    return _turned(draws[index], draws[index + 1], places - index)


def _on_the_way(one: Tensor, other: Tensor, shares: Tensor) -> Tensor:
    """Return [n, latent_dim] between two deviations [latent_dim], whatever the angle: there at a share of 1.

    Spherical interpolation (Shoemake 1985) of where they point to, and their lengths evenly from one to the other's.
    """
    lengths = torch.linalg.vector_norm(one), torch.linalg.vector_norm(other)
    if not min(lengths):
        return one + shares[:, None] * (other - one)
    first, second = one / lengths[0], other / lengths[1]
    angle = (first @ second).clamp(-1.0, 1.0).acos().clamp(1e-3, math.pi - 1e-3)
    shares = shares[:, None]
    direction = (((1 - shares) * angle).sin() * first + (shares * angle).sin() * second) / angle.sin()
    along: Tensor = (lengths[0] + shares * (lengths[1] - lengths[0])) * direction
    return along


def _turned(one: Tensor, other: Tensor, shares: Tensor) -> Tensor:
    """Return [n, latent_dim] between two independent deviations, all the way over at a share of 1.

    It keeps their variance, which is what a spherical interpolation (Shoemake 1985) does with directions at right
    angles, as draws in many dimensions nearly are.
    """
    angle = (shares * (math.pi / 2))[:, None]
    return angle.cos() * one + angle.sin() * other
