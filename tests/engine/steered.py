"""Small models with axes made up, for tests of what is made with them."""

from __future__ import annotations

from pathlib import Path

import torch

from distill_engine.models.model_info import Architecture, LatentAxis, MagnitudeRange, ModelInfo, Representation
from distill_engine.models.persistence import LoadedModel, load_model, save_model
from distill_engine.models.vae import ConvVAE
from distill_engine.training.config import ComplexSpectrogramConfig

SPECTROGRAM = ComplexSpectrogramConfig(n_mels=32, hop_length=1024)
FRAMES = 32
LATENT = 4
AXES = (
    LatentAxis(name="brightness", direction=(1.0, 0.0, 0.0, 0.0), deviation=3.0, low=-2.0, high=2.0),
    LatentAxis(name="axis 2", direction=(0.0, 1.0, 0.0, 0.0), deviation=0.5, low=-3.0, high=3.0),
)
MEAN = (1.0, 0.0, -1.0, 0.0)


def write_model(path: Path, *, seed: int = 0, axes: tuple[LatentAxis, ...] = AXES, floor: float = -12.66) -> Path:
    """Write an untrained model to a file; return it."""
    torch.manual_seed(seed)
    info = ModelInfo(
        id=f"{seed:032x}",
        name=path.stem,
        architecture=Architecture(latent_dim=LATENT, n_mels=SPECTROGRAM.n_mels, time_frames=FRAMES),
        representation=Representation.of(SPECTROGRAM),
        normalisation=MagnitudeRange(magnitude_floor=floor, magnitude_scale=8.0),
        latent_mean=MEAN if axes else (),
        latent_rest=0.25 if axes else 1.0,
        latent_axes=axes,
    )
    save_model(path, ConvVAE(LATENT, SPECTROGRAM.n_mels, FRAMES), info)
    return path


def steered_model(folder: Path, *, axes: tuple[LatentAxis, ...] = AXES) -> LoadedModel:
    """Return an untrained model that has been on disk, as all have."""
    return load_model(write_model(folder / "small.distill", axes=axes))
