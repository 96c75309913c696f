"""What the user's own document asks of the architecture, word for word: its two verification scripts as tests."""

from __future__ import annotations

import inspect

import pytest
import torch

from distill_engine.models.vae import ConvVAE
from distill_engine.training.config import ComplexSpectrogramConfig, TrainingConfig
from distill_engine.training.loop import train, train_epoch, validate_epoch


def test_a_model_sized_by_the_arithmetic_of_five_layers_gives_back_the_shape_it_was_given() -> None:
    n_mels, time_frames = 128, 48000 // 512 + 1
    padded_h = n_mels + (32 - n_mels % 32) % 32
    padded_w = time_frames + (32 - time_frames % 32) % 32
    spatial = (padded_h // 32, padded_w // 32)
    flatten_dim = 512 * spatial[0] * spatial[1]
    assert (time_frames, spatial, flatten_dim) == (94, (4, 3), 6144)

    model = ConvVAE(latent_dim=128)
    model.decoder._init_linear(spatial)
    model.encoder._init_linear(flatten_dim)
    x = torch.randn(1, 2, 128, 94)
    recon, mu, logvar = model(x)
    assert recon.shape == x.shape
    assert mu.shape == logvar.shape == (1, 128)


def test_the_two_channel_spectrogram_has_no_switch() -> None:
    assert not hasattr(ComplexSpectrogramConfig(), "enabled")
    assert "n_fft" in ComplexSpectrogramConfig().__dataclass_fields__
    assert hasattr(TrainingConfig(), "complex_spectrogram")


@pytest.mark.parametrize("function", [train, train_epoch, validate_epoch])
def test_the_loop_knows_no_other_path_than_cached_spectrograms(function: object) -> None:
    assert callable(function)
    parameters = inspect.signature(function).parameters
    assert "use_cached_spectrograms" not in parameters
    assert "spectrogram" not in parameters
