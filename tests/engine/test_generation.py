"""Sound out of a model: lengths, seeds, sliders, recordings to begin from; and previews of a run."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
import torch

from distill_engine import datasets
from distill_engine.audio.io import write_recording
from distill_engine.audio.preprocessing import preprocess_complex_spectrograms
from distill_engine.audio.spectrogram import MAGNITUDE_FLOOR, Normalisation
from distill_engine.errors import StopRequestedError, UsageError
from distill_engine.events import PreviewSaved
from distill_engine.generation import Wish, generate, latent_of, reconstruct, refined, sample, spectrogram_of
from distill_engine.join_check import check_joins, count_at_joins
from distill_engine.latent_path import Cloud
from distill_engine.models.persistence import LoadedModel
from distill_engine.models.vae import ConvVAE
from distill_engine.sliders import beyond_safe
from distill_engine.training.config import ComplexSpectrogramConfig
from distill_engine.training.preview import Previews
from distill_engine.training.state import Progress
from tests.engine.recordings import sound
from tests.engine.runs import SmallRun, small_config, write_dataset
from tests.engine.steered import steered_model

CONFIG = ComplexSpectrogramConfig(n_mels=32, hop_length=1024)
NORMALISATION = Normalisation(magnitude_floor=MAGNITUDE_FLOOR, magnitude_scale=8.0)


@pytest.fixture(scope="module")
def model() -> ConvVAE:
    torch.manual_seed(0)
    return ConvVAE(8, CONFIG.n_mels, CONFIG.time_frames).eval()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return steered_model(tmp_path_factory.mktemp("steered"))


@pytest.mark.parametrize("seconds", [0.25, 2.3])
def test_generated_sound_is_as_long_as_asked_and_the_same_for_a_seed(loaded: LoadedModel, seconds: float) -> None:
    first, again, other = (generate(loaded, Wish(seconds=seconds, seed=seed)) for seed in (1, 1, 2))
    assert first.shape == (round(seconds * 48_000),)
    assert first.isfinite().all()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_model_that_nobody_analysed_makes_sound_too(model: ConvVAE) -> None:
    first, again, other = (
        sample(model, NORMALISATION, CONFIG, Cloud.standard(model.latent_dim), seconds=1.2, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first.shape == (57_600,)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_slider_moves_every_latent_of_a_sound_by_so_many_deviations(loaded: LoadedModel) -> None:
    """At 2, with a deviation of 3, it is as if the middle of the corpus lay 6 further along the axis."""
    still, moved = (spectrogram_of(loaded, Wish(seconds=1.0, sliders={"brightness": value})) for value in (0.0, 2.0))
    assert not torch.allclose(still, moved, atol=1e-3)
    first, *others = loaded.info.latent_mean
    elsewhere = msgspec.structs.replace(loaded.info, latent_mean=(first + 6.0, *others))
    as_if = spectrogram_of(LoadedModel(model=loaded.model, info=elsewhere), Wish(seconds=1.0))
    assert torch.allclose(as_if, moved, atol=1e-3)


def test_a_slider_that_is_not_there_is_refused_with_those_that_are(loaded: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no slider 'brihgtness'") as caught:
        generate(loaded, Wish(sliders={"brihgtness": 1.0}))
    assert caught.value.hint == "did you mean brightness? the sliders are brightness, axis 2"
    with pytest.raises(UsageError, match="brightness can't be 11"):
        generate(loaded, Wish(sliders={"brightness": 11.0}))
    with pytest.raises(UsageError, match="can't be nan"):
        generate(loaded, Wish(sliders={"brightness": float("nan")}))
    with pytest.raises(UsageError, match="small has no sliders yet") as caught:
        generate(steered_model(tmp_path, axes=()), Wish(sliders={"brightness": 1.0}))
    assert caught.value.hint == "distill-engine analyze small finds them"


def test_a_slider_beyond_its_safe_range_is_told_and_taken(loaded: LoadedModel) -> None:
    assert beyond_safe(loaded.info, {"brightness": 2.0, "axis 2": -3.0}) == []
    (words,) = beyond_safe(loaded.info, {"brightness": 2.5, "axis 2": 1.0})
    assert words == "brightness is at +2.5, beyond -2 to +2, where it stays safe"
    assert generate(loaded, Wish(seconds=0.5, sliders={"brightness": 10.0})).isfinite().all()


def test_a_sound_begins_from_a_recording_and_goes_to_another(loaded: LoadedModel, tmp_path: Path) -> None:
    low, high = tmp_path / "low.wav", tmp_path / "high.wav"
    write_recording(low, 0.5 * np.sin(0.02 * np.arange(40_000)), 48_000)
    write_recording(high, 0.05 * np.sin(0.9 * np.arange(40_000)), 48_000)
    first, last = latent_of(loaded, low), latent_of(loaded, high)
    assert not torch.allclose(first, last, atol=0.01)
    way = spectrogram_of(loaded, Wish(seconds=3.0, evolution=0.0, start=first, end=last))
    stays = spectrogram_of(loaded, Wish(seconds=3.0, evolution=0.0, start=first))
    assert torch.allclose(way[..., :5], stays[..., :5], atol=0.05)
    with torch.no_grad():
        arrived = loaded.normalisation.denormalise(loaded.model.decode(last[None]))[0, 0].mean()
    assert abs(way[0, :, -10:].mean() - arrived) < 0.2


def test_a_recording_s_latent_is_that_of_what_is_heard_of_it(loaded: LoadedModel, tmp_path: Path) -> None:
    samples = sound(40_000)[:, 0]
    write_recording(tmp_path / "at once.wav", samples, 48_000)
    write_recording(tmp_path / "later.wav", np.concatenate([np.zeros(30_000, np.float32), samples]), 48_000)
    write_recording(tmp_path / "silent.wav", np.zeros(9_000, np.float32), 48_000)
    at_once, later = (latent_of(loaded, tmp_path / name) for name in ("at once.wav", "later.wav"))
    assert torch.allclose(at_once, later, atol=1e-4)
    with pytest.raises(UsageError, match=r"nothing is to be heard in silent\.wav"):
        latent_of(loaded, tmp_path / "silent.wav")


def test_refined_latents_decode_nearer_to_what_they_stand_for(model: ConvVAE) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        pieces = model.decode(torch.randn(3, 8, generator=generator))
        guess = torch.zeros(3, 8)
        errors = [
            float((model.decode(refined(model, guess, pieces, steps)) - pieces)[:, 0].abs().mean())
            for steps in (0, 5, 20)
        ]
    assert errors[1] < 0.8 * errors[0]
    assert errors[2] < errors[1]
    assert all(weight.grad is None for weight in model.parameters())


def test_a_sound_can_be_stopped_while_it_is_made(loaded: LoadedModel) -> None:
    with pytest.raises(StopRequestedError):
        generate(loaded, Wish(seconds=60.0), should_stop=lambda: True)


def test_joins_of_a_generated_sound_are_places_like_any_other(loaded: LoadedModel) -> None:
    check = check_joins(loaded, [Wish(seconds=4.0, seed=seed, evolution=0.0) for seed in range(2)])
    assert check.chance > 0.01
    assert 0.1 < check.share < 0.5
    assert check.flux_ratio == pytest.approx(1.0, abs=0.2)


def test_an_attack_at_every_join_is_found_and_one_elsewhere_is_not_taken_for_it() -> None:
    noise = 0.01 * torch.randn(8 * 48_000, generator=torch.Generator().manual_seed(0))
    joins = torch.arange(1, 12) * 30_000
    struck = noise.clone()
    for join in joins.tolist():
        struck[join : join + 4800] += 0.3 * torch.exp(-torch.arange(4800) / 800) * noise[:4800].sign()
    at_joins, beside = count_at_joins([(struck, joins)]), count_at_joins([(struck, joins + 12_000)])
    assert at_joins.chance < 0.01
    assert at_joins.flux_ratio > 2
    assert beside.chance > 0.01
    assert at_joins.onsets == beside.onsets >= 10


@pytest.mark.parametrize("frames", [1, 46, 47, 48, 300])
@pytest.mark.parametrize("refining_steps", [0, 2])
def test_a_reconstruction_has_the_length_of_what_went_in(model: ConvVAE, frames: int, refining_steps: int) -> None:
    raw = torch.full((2, CONFIG.n_mels, frames), -3.0)
    raw[1] = 0.1
    made = reconstruct(model, raw, NORMALISATION, refining_steps)
    assert made.shape == raw.shape
    assert made.isfinite().all()


def test_only_an_evaluating_model_makes_sound() -> None:
    training = ConvVAE(8, CONFIG.n_mels, CONFIG.time_frames)
    with pytest.raises(AssertionError):
        sample(training, NORMALISATION, CONFIG, Cloud.standard(training.latent_dim), seconds=1.0, seed=0)
    with pytest.raises(AssertionError):
        reconstruct(training, torch.zeros(2, CONFIG.n_mels, 10), NORMALISATION)


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


def test_what_a_young_model_makes_too_loud_is_turned_down_and_told_as_loud_as_it_was(tmp_path: Path) -> None:
    config = small_config(preview_recordings=1, preview_samples=1, preview_seconds=1.0)
    corpus = preprocess_complex_spectrograms(
        datasets.scan(write_dataset(tmp_path / "recordings")), config, tmp_path / "cache"
    )
    spectrogram = config.complex_spectrogram
    model = ConvVAE(config.latent_dim, spectrogram.n_mels, spectrogram.time_frames).eval()
    with torch.no_grad():
        dict(model.decoder.layers[-1].named_parameters())["bias"][0] = 12.0
    preview = Previews(tmp_path / "previews", corpus, config, Progress()).make(
        model, step=1, epoch=1, best=False, should_stop=lambda: False
    )
    assert preview is not None
    for path in (preview.recordings[0].reconstruction, *preview.samples):
        samples, _ = soundfile.read(tmp_path / path)
        assert np.abs(samples).max() == pytest.approx(10 ** (-1 / 20), abs=1e-3)
    for level in (preview.recordings[0].reconstruction_level, *preview.sample_levels):
        assert level is not None
        assert level.peak > 1
