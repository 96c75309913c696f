"""The network keeps its promises about shapes, ranges, randomness and size."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch

from distill_engine.models.vae import CHANNELS, ConvVAE, flatten_size, padded_size, spatial_size


@lru_cache
def _model() -> ConvVAE:
    torch.manual_seed(0)
    return ConvVAE(latent_dim=16).eval()


def test_the_users_own_check_passes() -> None:
    spatial = ((128 + (-128) % 32) // 32, (94 + (-94) % 32) // 32)
    model = ConvVAE(latent_dim=128)
    model.decoder._init_linear(spatial)
    model.encoder._init_linear(512 * spatial[0] * spatial[1])
    x = torch.randn(1, 2, 128, 94)
    recon, mu, logvar = model(x)
    assert recon.shape == x.shape
    assert mu.shape == logvar.shape == (1, 128)


def test_the_default_model_has_the_size_the_design_names() -> None:
    weights = sum(p.numel() for p in ConvVAE().parameters())
    assert 5.4e6 < weights < 5.6e6
    assert (padded_size(128, 94), spatial_size(128, 94), flatten_size((4, 3))) == ((128, 96), (4, 3), 512 * 12)
    assert CHANNELS == (2, 32, 64, 128, 256, 512)


@pytest.mark.parametrize("size", [(128, 65), (128, 94), (128, 96), (97, 80)])
def test_every_size_that_pads_to_the_models_own_comes_back_in_its_shape(size: tuple[int, int]) -> None:
    x = torch.rand(2, 2, *size)
    assert _model()(x)[0].shape == x.shape


@pytest.mark.parametrize("size", [(128, 64), (128, 97), (96, 94), (96, 128)])
def test_another_size_is_refused_with_both_sizes_named(size: tuple[int, int]) -> None:
    height, width = padded_size(*size)
    with pytest.raises(ValueError, match=rf"{height} x {width}.* 128 x 96"):
        _model()(torch.rand(1, 2, *size))


def test_the_encoder_alone_names_both_sizes_too() -> None:
    with pytest.raises(ValueError, match=r"8192 .* 6144"):
        _model().encoder(torch.rand(1, 2, 128, 128))


def test_resized_linear_layers_take_another_size() -> None:
    model = ConvVAE(latent_dim=4)
    model.decoder._init_linear((4, 4))
    model.encoder._init_linear(flatten_size((4, 4)))
    x = torch.rand(1, 2, 128, 120)
    assert model(x)[0].shape == x.shape
    with pytest.raises(ValueError, match="128 x 96"):
        model(torch.rand(1, 2, 128, 94))


def test_resizing_to_the_same_size_keeps_the_weights() -> None:
    model = ConvVAE(latent_dim=4)
    before = model.encoder.to_mu.weight
    model.encoder._init_linear(flatten_size((4, 3)))
    assert model.encoder.to_mu.weight is before


def test_outputs_are_what_a_normalised_spectrogram_can_be() -> None:
    spectrogram = _model().decode(20 * torch.randn(8, 16))
    assert spectrogram.shape == (8, 2, 128, 94)
    assert spectrogram[:, 0].min() >= 0
    assert spectrogram[:, 1].abs().max() <= 1


def test_a_fresh_model_makes_middling_magnitudes() -> None:
    magnitude = _model().decode(torch.randn(8, 16))[:, 0]
    assert 0.6 < magnitude.mean() < 0.9


def test_latents_stay_finite_for_absurd_input() -> None:
    mu, logvar = _model().encode(1e6 * torch.rand(2, 2, 128, 94))
    assert mu.isfinite().all()
    assert ((logvar >= -10) & (logvar <= 4)).all()


def test_evaluation_is_repeatable_and_training_draws_from_the_default_generator() -> None:
    model, x = ConvVAE(latent_dim=4, dropout=0.1), torch.rand(1, 2, 128, 94)
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(model(x)[0])
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    model.eval()
    assert torch.equal(model(x)[0], model(x)[0])
    assert torch.equal(model(x)[0], model.decode(model.encode(x)[0]))


def test_training_and_evaluation_differ_by_the_noise_alone() -> None:
    """No running statistics: the encoder without dropout gives the same in both modes, whatever the batch."""
    model, x = _model(), torch.rand(3, 2, 128, 94)
    whole = model.encode(x)[0]
    model.train()
    assert torch.equal(model.encode(x)[0], whole)
    model.eval()
    assert torch.allclose(model.encode(x[:1])[0], whole[:1], atol=1e-5)
    assert not list(model.buffers())


def test_the_encoder_can_tell_how_loud_a_piece_is() -> None:
    quiet, loud = torch.full((1, 2, 128, 94), 0.1), torch.full((1, 2, 128, 94), 1.0)
    assert not torch.allclose(_model().encode(quiet)[0], _model().encode(loud)[0], atol=0.01)


def test_bf16_and_channels_last_give_fp32_close_to_plain() -> None:
    x = torch.rand(2, 2, 128, 94)
    plain = _model()(x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        mixed, mu, logvar = _model()(x)
    assert mixed.dtype == mu.dtype == logvar.dtype == torch.float32
    assert torch.allclose(mixed, plain, atol=0.05)
    assert torch.allclose(_model()(x.contiguous(memory_format=torch.channels_last))[0], plain, atol=1e-4)
