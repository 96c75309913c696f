"""A model's latent axes: found in what it encodes, named by what one hears, kept in its file, and checked anew."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from distill_engine import home
from distill_engine.audio.descriptors import MEASURES
from distill_engine.audio.spectrogram import MAGNITUDE_FLOOR
from distill_engine.catalogue import axes_in_words, axes_table, details
from distill_engine.commands.analysis import analyze
from distill_engine.errors import ModelFileError, StopRequestedError, UsageError
from distill_engine.events import Event, PreprocessProgress, WarningRaised
from distill_engine.library import find_model
from distill_engine.models.analysis import LatentMap, analyse_model, check_axes
from distill_engine.models.model_info import Architecture, LatentAxis, MagnitudeRange, ModelInfo, Representation
from distill_engine.models.persistence import LoadedModel, load_model, rewrite_info, save_model
from distill_engine.models.vae import ConvVAE
from distill_engine.training.config import ComplexSpectrogramConfig, TrainingConfig
from distill_engine.worker import analyse
from tests.engine.runs import write_dataset

SPECTROGRAM = ComplexSpectrogramConfig(n_mels=32, hop_length=1024)
SHORT = 24
"""Frames of the pieces that are listened to: half a second."""
SEEDS = 6


def untrained(time_frames: int) -> LoadedModel:
    torch.manual_seed(0)
    model = ConvVAE(2, SPECTROGRAM.n_mels, time_frames).eval()
    info = ModelInfo(
        name="rain",
        architecture=Architecture(latent_dim=2, n_mels=32, time_frames=time_frames),
        representation=Representation.of(SPECTROGRAM),
        normalisation=MagnitudeRange(magnitude_floor=MAGNITUDE_FLOOR, magnitude_scale=8.0),
    )
    return LoadedModel(model=model, info=info)


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return untrained(SHORT)


def test_a_model_whose_latents_are_not_finite_is_not_analysed(pieces: Tensor) -> None:
    broken = untrained(SHORT)
    torch.nn.init.constant_(broken.model.encoder.to_mu.weight, 3e38)
    with pytest.raises(ModelFileError, match="rain makes numbers that aren't finite"):
        analyse_model(broken, [pieces])


@pytest.fixture(scope="module")
def pieces() -> Tensor:
    """Return pieces [30, 2, 32, SHORT] of sounds that differ in level and colour."""
    generator = torch.Generator().manual_seed(1)
    level, slope = torch.rand(2, 30, 1, 1, generator=generator)
    bands = torch.linspace(1, 0, 32)[:, None]
    magnitude = 1.5 * level + slope * bands + 0.05 * torch.rand(30, 32, SHORT, generator=generator)
    return torch.stack([magnitude, torch.zeros_like(magnitude)], dim=1)


@pytest.fixture(scope="module")
def found(loaded: LoadedModel, pieces: Tensor) -> LatentMap:
    return analyse_model(loaded, pieces.split(16), seeds=SEEDS)


def analysed(loaded: LoadedModel, found: LatentMap) -> LoadedModel:
    info = msgspec.structs.replace(loaded.info, latent_mean=found.mean, latent_rest=found.rest, latent_axes=found.axes)
    return LoadedModel(model=loaded.model, info=info)


def steps(found: LatentMap) -> Tensor:
    return torch.tensor([[axis.deviation * part for part in axis.direction] for axis in found.axes])


def test_axes_describe_how_the_encoded_pieces_spread(loaded: LoadedModel, pieces: Tensor, found: LatentMap) -> None:
    latents, _ = loaded.model.encode(pieces)
    assert torch.allclose(torch.tensor(found.mean), latents.detach().mean(0), atol=1e-4)
    assert torch.allclose(steps(found).T @ steps(found), torch.cov(latents.detach().T, correction=0), atol=1e-3)
    assert all(sum(part**2 for part in axis.direction) == pytest.approx(1, abs=1e-3) for axis in found.axes)


def test_an_axis_is_called_after_one_measure_or_by_its_number(found: LatentMap) -> None:
    names = [axis.name for axis in found.axes]
    assert len(set(names)) == len(names) == 2
    for place, axis in enumerate(found.axes, start=1):
        assert axis.name in MEASURES or axis.name == f"axis {place}"
        assert axis.is_named == (axis.name in MEASURES) == (axis.correlation > 0.8)
        assert -3 <= axis.low <= 0 <= axis.high <= 3
    assert found.axes[0].is_named, "or the tests below say nothing"


def test_a_named_axis_does_what_it_says_for_seeds_that_did_not_name_it(loaded: LoadedModel, found: LatentMap) -> None:
    checks = check_axes(analysed(loaded, found), seeds=5)
    assert [check.name for check in checks] == [axis.name for axis in found.axes if axis.is_named]
    for check in checks:
        assert check.monotone >= 0.8
        assert check.correlation > 0.9


def test_a_model_without_axes_has_none_to_check(loaded: LoadedModel) -> None:
    assert check_axes(loaded) == []


def test_two_pieces_show_one_axis_and_the_same_ones_the_same(loaded: LoadedModel, pieces: Tensor) -> None:
    first, again = (analyse_model(loaded, [pieces[:2]], seeds=1) for _ in range(2))
    assert first == again
    assert [axis.name for axis in first.axes] == ["axis 1"]


def test_one_piece_shows_no_axis(loaded: LoadedModel, pieces: Tensor) -> None:
    found = analyse_model(loaded, [pieces[:1]])
    assert found.axes == ()
    assert len(found.mean) == 2
    assert found.rest == 0


def test_it_tells_how_far_it_is_and_ends_when_told(loaded: LoadedModel, pieces: Tensor) -> None:
    told: list[tuple[int, int]] = []
    with pytest.raises(StopRequestedError):
        analyse_model(
            loaded,
            pieces.split(16),
            seeds=SEEDS,
            on_progress=lambda done, total, _next: told.append((done, total)),
            should_stop=lambda: len(told) > 6,
        )
    assert len(told) == 7
    assert all(0 <= done < total for done, total in told)


@pytest.fixture
def model() -> Path:
    """Return a model's file, in the library."""
    loaded = untrained(SPECTROGRAM.time_frames)
    path = home.models_folder() / "rain.distill"
    save_model(path, loaded.model, loaded.info)
    return path


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Return a folder of recordings that all say the same, which takes no time to analyse."""
    from distill_engine.audio.io import write_recording
    from tests.engine.recordings import sound

    for name in ("a.wav", "b.wav"):
        write_recording(tmp_path / name, sound(46 * 1024), 48_000)
    return tmp_path


def test_axes_are_told_in_words() -> None:
    assert axes_in_words(["brightness", "loudness", "axis 3"]) == "sliders for brightness and loudness, and 1 numbered"
    assert axes_in_words(["axis 1", "axis 2"]) == "2 numbered sliders"
    assert axes_in_words([]) == "no sliders"
    axes = [
        LatentAxis(name="brightness", direction=(1.0,), deviation=2.0, low=-2, high=3, correlation=0.934),
        LatentAxis(name="axis 2", direction=(1.0,), deviation=0.5, low=0, high=0),
    ]
    assert axes_table(axes).splitlines() == [
        "slider      correlation  safe range",
        "brightness  0.93         -2 to +3",
        "axis 2                   none known",
    ]


def test_all_that_is_known_of_a_model_tells_its_sliders(model: Path, found: LatentMap) -> None:
    assert "distill-engine analyze rain finds them" in details(find_model("rain"))
    info = load_model(model).info
    rewrite_info(model, msgspec.structs.replace(info, latent_mean=found.mean, latent_axes=found.axes))
    named = found.axes[0]
    assert f"{named.name} {named.low:+g} to {named.high:+g}" in details(find_model("rain"))


def test_analyze_writes_what_it_finds_into_the_file(model: Path, recordings: Path) -> None:
    result = CliRunner().invoke(analyze, ["rain", "--recordings", str(recordings), "--json"])
    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout) == []
    kept = load_model(model).info
    assert len(kept.latent_mean) == 2
    assert kept.latent_axes == ()


def test_analyze_asks_for_the_recordings_where_nothing_tells_which_they_were(model: Path) -> None:
    before = model.read_bytes()
    result = CliRunner().invoke(analyze, ["rain"])
    assert isinstance(result.exception, UsageError)
    assert "run is gone" in result.exception.message
    assert "--recordings" in result.exception.hint
    assert model.read_bytes() == before


def test_the_analysis_at_the_end_of_a_run_tells_how_far_it_is_and_can_be_stopped(model: Path, tmp_path: Path) -> None:
    told: list[Event] = []
    analyse(model, write_dataset(tmp_path / "there"), TrainingConfig(), told.append, lambda: len(told) > 2)
    *under_way, last = told
    assert under_way
    assert all(isinstance(event, PreprocessProgress) and event.stage == "analysing" for event in under_way)
    assert [event.done for event in under_way if isinstance(event, PreprocessProgress)] == sorted(
        {event.done for event in under_way if isinstance(event, PreprocessProgress)}
    )
    assert isinstance(last, WarningRaised)


def test_what_goes_wrong_with_the_analysis_at_the_end_of_a_run_costs_no_model(model: Path, tmp_path: Path) -> None:
    before, told = model.read_bytes(), list[Event]()
    analyse(model, tmp_path / "gone", TrainingConfig(), told.append, lambda: False)
    analyse(model, write_dataset(tmp_path / "there"), TrainingConfig(), told.append, lambda: True)
    assert [type(event) for event in told] == [WarningRaised, WarningRaised]
    for event in told:
        assert isinstance(event, WarningRaised)
        assert event.evidence
        assert "distill-engine analyze rain" in event.suggestion
    assert model.read_bytes() == before
