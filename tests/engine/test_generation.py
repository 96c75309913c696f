"""Sound out of a model: lengths, seeds, and pieces that join without a seam; and previews of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from distill_engine.audio.spectrogram import MAGNITUDE_FLOOR, Normalisation
from distill_engine.events import PreviewSaved
from distill_engine.generation import faded_together, generate, latent_path, reconstruct
from distill_engine.models.vae import ConvVAE
from distill_engine.training.config import ComplexSpectrogramConfig
from tests.engine.runs import SmallRun, small_config, write_dataset

CONFIG = ComplexSpectrogramConfig(n_mels=32, hop_length=1024)
NORMALISATION = Normalisation(magnitude_floor=MAGNITUDE_FLOOR, magnitude_scale=8.0)


@pytest.fixture(scope="module")
def model() -> ConvVAE:
    torch.manual_seed(0)
    return ConvVAE(8, CONFIG.n_mels, CONFIG.time_frames).eval()


@pytest.mark.parametrize("seconds", [0.25, 1.0, 5.3])
def test_generated_sound_is_as_long_as_asked_and_the_same_for_a_seed(model: ConvVAE, seconds: float) -> None:
    first, again, other = (generate(model, NORMALISATION, CONFIG, seconds=seconds, seed=seed) for seed in (1, 1, 2))
    assert first.shape == (round(seconds * 48_000),)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("frames", [1, 46, 47, 48, 300])
def test_a_reconstruction_has_the_length_of_what_went_in(model: ConvVAE, frames: int) -> None:
    raw = torch.full((2, CONFIG.n_mels, frames), -3.0)
    raw[1] = 0.1
    made = reconstruct(model, raw, NORMALISATION)
    assert made.shape == raw.shape
    assert made.isfinite().all()


def test_only_an_evaluating_model_makes_sound() -> None:
    training = ConvVAE(8, CONFIG.n_mels, CONFIG.time_frames)
    with pytest.raises(AssertionError):
        generate(training, NORMALISATION, CONFIG, seconds=1.0, seed=0)
    with pytest.raises(AssertionError):
        reconstruct(training, torch.zeros(2, CONFIG.n_mels, 10), NORMALISATION)


def test_pieces_that_agree_join_into_what_they_were_cut_from() -> None:
    whole = torch.randn(2, 3, 10 + 4 * 5, generator=torch.Generator().manual_seed(0))
    pieces = whole.unfold(-1, 10, 5).permute(2, 0, 1, 3)
    assert torch.allclose(faded_together(pieces, 5, len(pieces)), whole, atol=1e-6)


def test_a_step_between_pieces_becomes_a_slope() -> None:
    pieces = torch.stack([torch.full((1, 1, 10), float(value)) for value in (0, 1, 0)])
    joined = faded_together(pieces, 5, len(pieces))[0, 0]
    assert joined.diff().abs().max() <= 0.21


def test_the_latent_path_keeps_the_length_that_draws_from_the_prior_have() -> None:
    path = latent_path(40, 128, seed=3)
    assert path.shape == (40, 128)
    lengths = path.norm(dim=1)
    assert lengths.min() > 0.8 * 128**0.5
    assert (path[1:] - path[:-1]).norm(dim=1).max() < 0.5 * 128**0.5


def test_a_preview_lets_one_hear_recordings_reconstructions_and_samples(tmp_path: Path) -> None:
    run = SmallRun(folder=tmp_path / "run", dataset=write_dataset(tmp_path / "recordings"))
    config = small_config(
        max_epochs=2, preview_interval=1, preview_recordings=2, preview_samples=2, preview_seconds=1.0
    )
    run.train(config)
    previews = run.reported(PreviewSaved)
    assert [preview.epoch for preview in previews] == [1, 2]
    for preview in previews:
        assert len(preview.samples) == 2
        assert len(preview.recordings) == 1, "one recording is kept for validation"
        for relative in (*preview.samples, preview.recordings[0].original, preview.recordings[0].reconstruction):
            samples, rate = soundfile.read(run.folder / relative)
            assert (rate, samples.shape) == (48_000, (48_000,))
            assert np.isfinite(samples).all()
        assert preview.lsd is not None
        assert preview.floor_lsd is not None
        assert preview.lsd > preview.floor_lsd
    assert previews[0].floor_lsd == previews[1].floor_lsd
    first, second = (run.folder / preview.recordings[0].original for preview in previews)
    assert first.read_bytes() == second.read_bytes(), "each preview is of the same recording"
