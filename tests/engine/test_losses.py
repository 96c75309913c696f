"""Losses are finite and never negative, weigh what they should, and fall when a model learns."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from distill_engine.models.losses import (
    Losses,
    frequency_loss,
    kl_per_dimension,
    kl_weight,
    magnitude_loss,
    stft_loss,
    vae_losses,
)
from distill_engine.models.vae import ConvVAE
from distill_engine.training.config import KlLossConfig, LossConfig

_config = LossConfig()


def _spectrogram(pieces: int = 4, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    magnitude = torch.rand(pieces, 1, 128, 94, generator=generator) * 2
    frequency = torch.rand(pieces, 1, 128, 94, generator=generator) * 2 - 1
    return torch.cat((magnitude, frequency), dim=1)


def _losses(recon: Tensor, x: Tensor, mu: Tensor | None = None, logvar: Tensor | None = None) -> Losses:
    nothing = torch.zeros(len(x), 16)
    return vae_losses(recon, x, nothing if mu is None else mu, nothing if logvar is None else logvar, _config, 1e-3)


def _all(losses: Losses) -> list[Tensor]:
    return [getattr(losses, field.name) for field in dataclasses.fields(losses)]


def test_a_perfect_reconstruction_costs_only_the_free_bits() -> None:
    losses = _losses(_spectrogram(), _spectrogram())
    assert losses.magnitude == losses.frequency == losses.stft == 0
    assert losses.kl == pytest.approx(16 * _config.kl.free_bits)
    assert losses.total == pytest.approx(1e-3 * 16 * _config.kl.free_bits)


def test_the_total_is_the_weighted_sum_of_the_parts() -> None:
    losses = _losses(_spectrogram(seed=1), _spectrogram(), torch.ones(4, 16), torch.full((4, 16), -1.0))
    weights = _config.reconstruction
    expected = weights.magnitude_weight * losses.magnitude + weights.frequency_weight * losses.frequency
    expected = expected + _config.stft.weight * losses.stft + 1e-3 * losses.kl
    assert torch.isclose(losses.total, expected)


@pytest.mark.parametrize("level", [0.0, 1e-30, 1e-8])
def test_silence_is_finite_and_so_are_its_gradients(level: float) -> None:
    x = torch.full((2, 2, 128, 94), level)
    recon = x.clone().requires_grad_()
    losses = _losses(recon, x)
    losses.total.backward()
    assert all(part.isfinite() and part >= 0 for part in _all(losses))
    assert recon.grad is not None
    assert recon.grad.isfinite().all()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_no_part_is_ever_negative(scale: float) -> None:
    generator = torch.Generator().manual_seed(3)
    mu = scale * torch.randn(4, 16, generator=generator)
    logvar = (scale * torch.randn(4, 16, generator=generator)).clamp(-10, 4)
    losses = _losses(scale * _spectrogram(seed=1), scale * _spectrogram(), mu, logvar)
    assert all(part.isfinite() and part >= 0 and part.ndim == 0 for part in _all(losses))


def test_an_error_in_a_loud_band_costs_five_times_that_in_a_silent_one() -> None:
    x = torch.zeros(1, 128, 94)
    x[:, :64] = 3.0
    loud, silent = x.clone(), x.clone()
    loud[:, 10] += 0.5
    silent[:, 100] += 0.5
    assert magnitude_loss(loud, x) == pytest.approx(5 * magnitude_loss(silent, x).item())
    assert magnitude_loss(x + 0.25, x) == pytest.approx(0.25)


def test_a_frequency_is_weighed_by_the_magnitude_it_belongs_to() -> None:
    x = torch.zeros(1, 2, 128, 94)
    x[:, 0, 10] = 1.0
    loud, quiet = x.clone(), x.clone()
    loud[:, 1, 10], quiet[:, 1, 20] = 0.5, 0.5
    assert frequency_loss(quiet, x) == 0
    assert frequency_loss(loud, x) == pytest.approx(0.5 * (1 / 128) / 0.01)


def test_the_frequency_weights_have_a_mean_of_one() -> None:
    x = _spectrogram()
    off = x.clone()
    off[:, 1] += 0.25
    assert frequency_loss(off, x) == pytest.approx(0.25, abs=1e-4)


def test_coarse_resolutions_forgive_detail_but_not_level() -> None:
    board = ((torch.arange(128)[:, None] + torch.arange(94)[None, :]) % 2).float().expand(2, 128, 94)
    flat = torch.full((2, 128, 94), 0.5)
    assert stft_loss(board, flat, 3) == pytest.approx(0, abs=1e-5)
    assert stft_loss(flat + 0.25, flat, 3) == pytest.approx(0.25 + 0.5, abs=1e-4)


def test_the_coarse_loss_takes_no_resolutions_and_more_than_fit() -> None:
    x = _spectrogram()[:, 0]
    assert stft_loss(x + 1, x, 0) == 0
    assert stft_loss(x + 1, x, 9).isfinite()


def test_free_bits_hold_the_mean_over_the_batch_not_each_piece() -> None:
    mu = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    assert torch.allclose(kl_per_dimension(mu, torch.zeros(2, 2)), torch.tensor([1.0, 0.0]))
    kl = vae_losses(_spectrogram(2), _spectrogram(2), mu, torch.zeros(2, 2), _config, 1.0).kl
    assert kl == pytest.approx(1.0 + _config.kl.free_bits)


def test_losses_are_fp32_under_autocast() -> None:
    x = _spectrogram()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = _losses(x.bfloat16(), x)
    assert all(part.dtype == torch.float32 for part in _all(mixed))
    assert torch.isclose(mixed.magnitude, _losses(x.bfloat16(), x).magnitude)


def test_the_kl_weight_climbs_over_the_ramp_and_stays() -> None:
    config = KlLossConfig(weight=0.01, ramp_fraction=0.3)
    assert [kl_weight(config, step, 100) for step in (0, 15, 30, 100)] == pytest.approx([0, 0.005, 0.01, 0.01])
    assert kl_weight(KlLossConfig(weight=0.01, ramp_fraction=0.0), 0, 100) == 0.01
    assert kl_weight(config, 0, 0) == 0.01


def test_a_few_steps_on_a_few_pieces_bring_the_loss_down_clearly() -> None:
    torch.manual_seed(0)
    model = ConvVAE(latent_dim=16, n_mels=64, time_frames=47)
    rows, columns = torch.arange(64.0)[:, None], torch.arange(47.0)[None, :]
    ridges = [torch.exp(-(((rows - 4 * k) / 3) ** 2) - columns / 30) for k in range(8)]
    x = torch.stack(
        [torch.stack((ridge, 0.5 * torch.sin(rows / 5 + k) + 0 * columns)) for k, ridge in enumerate(ridges)]
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    totals = []
    for _ in range(25):
        losses = vae_losses(*_with_input(model, x), _config, 1e-4)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        totals.append(losses.total.item())
    assert totals[-1] < totals[0] / 3


def _with_input(model: ConvVAE, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    recon, mu, logvar = model(x)
    return recon, x, mu, logvar
