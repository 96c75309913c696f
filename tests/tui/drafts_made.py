"""What tests of the form need: a folder of recordings that was scanned, and a model of no weights."""

from __future__ import annotations

from pathlib import Path

import msgspec

from distill_engine import home
from distill_engine.datasets import Scan, scan
from distill_engine.library import LibraryEntry, find_model
from distill_engine.models.model_info import METADATA_KEY, Architecture, MagnitudeRange, ModelInfo, encode_info
from distill_tui.drafts.forms import Form, with_dataset
from tests.engine.recordings import good


def dataset(folder: Path, count: int = 3, frames: int = 12_000) -> Scan:
    """Return what is found in a folder of so many new recordings."""
    for number in range(count):
        good(folder / f"{number}.wav", seed=number, frames=frames)
    return scan(folder)


def form_for(folder: Path, count: int = 3, frames: int = 12_000) -> Form:
    """Return a form that could start: all usual, on a few recordings."""
    return with_dataset(Form(), folder, dataset(folder, count, frames))


def model(name: str, latent_dim: int = 32) -> LibraryEntry:
    """Return a model of the library that has only its header: all a form ever reads."""
    info = ModelInfo(
        name=name,
        architecture=Architecture(latent_dim=latent_dim),
        normalisation=MagnitudeRange(magnitude_floor=-12.0, magnitude_scale=4.0),
    )
    header = msgspec.json.encode({"__metadata__": {METADATA_KEY: encode_info(info)}})
    folder = home.models_folder()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.distill").write_bytes(len(header).to_bytes(8, "little") + header)
    return find_model(name)
