"""What training makes small: four parts, each at least zero, finite on silence, and computed in fp32.

Everything is measured on the normalised spectrogram's own axes. Channel 0 there is a scaled log-magnitude that starts
at zero, so a mean over bands and frames is a mean level; linear magnitudes would let the loudest bin drown the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from distill_engine.training.config import KlLossConfig, LossConfig

Number = TypeVar("Number", float, Tensor)
Across = Callable[[Tensor], Tensor]
"""Makes a mean over some samples one over all of them, where others lie in other processes."""

_LEAST_MEAN_WEIGHT = 1e-2
_WEIGHT_OF_LOUD, _LOUD = 2.0, 2.0
"""What a magnitude of 1, the corpus's RMS above the floor, weighs more than silence, and where that ends."""

_LEAST_LEVEL = 0.1


def all_here(mean: Tensor) -> Tensor:
    """Return a mean as it is: no other process has samples."""
    return mean


@dataclass(frozen=True, kw_only=True)
class Losses:
    """0-d fp32 tensors: `total` with all weights applied, its parts without any."""

    total: Tensor
    magnitude: Tensor
    frequency: Tensor
    stft: Tensor
    kl: Tensor

    def parts(self) -> Tensor:
        """Return magnitude, frequency, stft and kl as one tensor [4]."""
        return torch.stack((self.magnitude, self.frequency, self.stft, self.kl))


def vae_losses(
    recon: Tensor,
    x: Tensor,
    mu: Tensor,
    logvar: Tensor,
    config: LossConfig,
    kl_weight: float | Tensor,
    across: Across = all_here,
) -> Losses:
    """Compare `recon` with `x`, normalised [B, 2, n_mels, time], and `mu`, `logvar` [B, latent_dim] with the prior.

    `kl_weight` is this step's (see `kl_weight`); to judge a model, pass `config.kl.weight`. Every mean over samples
    goes through `across`, so that the losses are those of all samples wherever they lie.
    """
    recon, x = recon.float(), x.float()
    magnitude = magnitude_loss(recon[:, 0], x[:, 0], across)
    frequency = frequency_loss(recon, x, across)
    stft = across(stft_loss(recon[:, 0], x[:, 0], config.stft.resolutions))
    kl = across(kl_per_dimension(mu, logvar)).clamp_min(config.kl.free_bits).sum()
    total = weighted(magnitude, frequency, stft, kl, config, kl_weight)
    return Losses(total=total, magnitude=magnitude, frequency=frequency, stft=stft, kl=kl)


def weighted(
    magnitude: Number, frequency: Number, stft: Number, kl: Number, config: LossConfig, kl_weight: Number | float
) -> Number:
    """Return the total that the parts make, tensors or plain numbers: the one place where they are weighed."""
    reconstruction = config.reconstruction
    return (
        reconstruction.magnitude_weight * magnitude
        + reconstruction.frequency_weight * frequency
        + config.stft.weight * stft
        + kl_weight * kl
    )


def magnitude_loss(recon: Tensor, x: Tensor, across: Across = all_here) -> Tensor:
    """Return the mean distance of magnitudes [B, n_mels, time], the loud ones counting up to five times the silent.

    Log-magnitudes alone would weigh what one hardly hears as much as what carries the sound.
    """
    weights = 1 + _WEIGHT_OF_LOUD * x.clamp(0.0, _LOUD)
    return across((weights * (recon - x).abs()).mean()) / across(weights.mean())


def frequency_loss(recon: Tensor, x: Tensor, across: Across = all_here) -> Tensor:
    """Return the mean distance of the second channels, each bin weighted by the true magnitude there.

    The weights' mean is 1 unless nearly all is silent; the mean they are divided by stays at 0.01 or above, so that
    silence weighs nothing instead of dividing by nothing.
    """
    weights = x[:, 0].clamp_min(0.0)
    weights = weights / across(weights.mean()).clamp_min(_LEAST_MEAN_WEIGHT)
    return across((weights * (recon[:, 1] - x[:, 1]).abs()).mean())


def stft_loss(recon: Tensor, x: Tensor, resolutions: int) -> Tensor:
    """Return how far two magnitudes [B, n_mels, time] are apart when seen coarsely, the mean over the resolutions.

    Resolution r is the mean over squares of 2**r bands by 2**r frames, r from 1: at r = 0 stands the magnitude loss
    itself. At each, the mean absolute difference is added to the spectral convergence (Arik et al. 2018,
    arXiv 1808.06719): root of the mean squared difference over root of the mean square, for each piece. A piece
    quieter than 0.1 is measured as if it were at 0.1, which keeps silence finite.
    """
    parts = [_coarse_loss(recon, x, 2**power) for power in range(1, resolutions + 1)]
    return torch.stack(parts).mean() if parts else x.new_zeros(())


def kl_per_dimension(mu: Tensor, logvar: Tensor) -> Tensor:
    """Return each dimension's divergence from the standard normal in nats, [latent_dim], the mean over the batch."""
    mu, logvar = mu.float(), logvar.float()
    return (0.5 * (mu.square() + torch.expm1(logvar) - logvar)).mean(dim=0)


def kl_weight(config: KlLossConfig, step: int, total_steps: int) -> float:
    """Return the weight at `step` of `total_steps`: it climbs evenly over the first `ramp_fraction`, then stays."""
    ramp = config.ramp_fraction * total_steps
    return config.weight * min(1.0, step / ramp) if ramp > 0 else config.weight


def _coarse_loss(recon: Tensor, x: Tensor, size: int) -> Tensor:
    recon, x = _pool(recon, size), _pool(x, size)
    difference = recon - x
    area = difference[0].numel() ** 0.5
    level = torch.linalg.vector_norm(x, dim=(1, 2)) / area
    convergence: Tensor = torch.linalg.vector_norm(difference, dim=(1, 2)) / area / level.clamp_min(_LEAST_LEVEL)
    return difference.abs().mean() + convergence.mean()


def _pool(magnitude: Tensor, size: int) -> Tensor:
    """Average squares of `size`; one cut off by the edge averages what it has."""
    square = (min(size, magnitude.shape[1]), min(size, magnitude.shape[2]))
    return functional.avg_pool2d(magnitude, square, ceil_mode=True, count_include_pad=False)
