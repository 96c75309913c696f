"""Models for tests of the library's screen: of headers alone, which is all a list reads, and one that makes sound."""

from __future__ import annotations

from pathlib import Path

import msgspec

from distill_engine import home
from distill_engine.models.model_info import (
    METADATA_KEY,
    Architecture,
    Distance,
    LatentAxis,
    MagnitudeRange,
    ModelInfo,
    Representation,
    TrainingSummary,
    encode_info,
)
from distill_engine.training.config import ComplexSpectrogramConfig

SUMMARY = TrainingSummary(
    dataset="strings",
    recordings=12,
    seconds=95.0,
    epochs=40,
    steps=2_000,
    best_epoch=37,
    best_validation_loss=0.4123,
    preview=Distance(lsd=7.84, sc=0.9, band=3.0),
    floor=Distance(lsd=3.52, sc=0.2, band=0.7),
    finished="2025-06-15T12:00:00+00:00",
    versions={"distill": "0.1.0", "torch": "2.11.0"},
    config="max_epochs = 40\nbatch_size = 32\n\n[augmentation]\ncopies = 7\n",
)


def axes(latent_dim: int) -> tuple[LatentAxis, ...]:
    """Return two axes, as an analysis of some model might find them."""
    first, second = (tuple(float(number == place) for number in range(latent_dim)) for place in (0, 1))
    return (
        LatentAxis(name="brightness", direction=first, deviation=2.0, low=-2.0, high=1.5, correlation=0.93),
        LatentAxis(name="axis 2", direction=second, deviation=1.0, low=-1.2, high=3.0),
    )


def model_id(digits: str) -> str:
    """Return an id that begins with these hexadecimal digits."""
    return digits.ljust(32, "0")


def write_model(
    name: str,
    digits: str,
    training: TrainingSummary = SUMMARY,
    *,
    folder: Path | None = None,
    trained_as: str = "",
    is_analysed: bool = False,
) -> Path:
    """Write a model of no weights into the library, or into a folder; return its file."""
    latent_dim = Architecture().latent_dim
    info = ModelInfo(
        id=model_id(digits),
        name=trained_as or name,
        normalisation=MagnitudeRange(magnitude_floor=-12.0, magnitude_scale=4.0),
        training=training,
        latent_mean=(0.0,) * latent_dim if is_analysed else (),
        latent_axes=axes(latent_dim) if is_analysed else (),
    )
    header = msgspec.json.encode({"__metadata__": {METADATA_KEY: encode_info(info)}})
    path = (folder or home.models_folder()) / f"{name}.distill"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


def write_sounding_model(name: str, *, is_analysed: bool = False) -> Path:
    """Write a small model with weights, as good as none, into the library; return its file."""
    import torch

    from distill_engine.models.persistence import save_model
    from distill_engine.models.vae import ConvVAE

    spectrogram = ComplexSpectrogramConfig(n_mels=32, hop_length=1024)
    info = ModelInfo(
        name=name,
        architecture=Architecture(latent_dim=8, n_mels=32, time_frames=spectrogram.time_frames),
        representation=Representation.of(spectrogram),
        normalisation=MagnitudeRange(magnitude_floor=-12.66, magnitude_scale=8.0),
        training=SUMMARY,
        latent_mean=(0.0,) * 8 if is_analysed else (),
        latent_axes=axes(8) if is_analysed else (),
    )
    torch.manual_seed(0)
    path = home.models_folder() / f"{name}.distill"
    save_model(path, ConvVAE(8, 32, spectrogram.time_frames), info)
    return path
