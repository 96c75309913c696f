"""An estimate counts as the run will, without reading or training anything."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from distill_engine.start import estimate_for
from distill_engine.training.config import TrainingConfig, Value, replaced
from distill_engine.training.estimate import estimate, parameter_count, run_bytes, training_pieces
from tests.engine.recordings import good

HOUR = 3600.0


def config(values: Mapping[str, Value] | None = None) -> TrainingConfig:
    return replaced(TrainingConfig(), values or {})


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"latent_dim": 16},
        {"complex_spectrogram.n_mels": 80},
        {"complex_spectrogram.hop_length": 256},
        {"complex_spectrogram.n_mels": 33, "complex_spectrogram.hop_length": 1024, "latent_dim": 1},
    ],
)
def test_the_model_is_counted_to_the_last_weight(values: dict[str, Value]) -> None:
    from distill_engine.models.vae import ConvVAE

    made = config(values)
    spectrogram = made.complex_spectrogram
    model = ConvVAE(made.latent_dim, spectrogram.n_mels, spectrogram.time_frames)
    assert parameter_count(made) == sum(weights.numel() for weights in model.parameters())


def test_pieces_are_those_of_training_recordings_and_their_copies() -> None:
    # 100 recordings of 10 s: 938 frames each, so 10 pieces; 90 are trained on, each with 2 copies.
    assert training_pieces(config(), 1000, 100) == 90 * 3 * 10
    assert training_pieces(config({"val_fraction": 0}), 1000, 100) == 100 * 3 * 10
    assert training_pieces(config({"augmentation.copies": 0}), 1000, 100) == 90 * 10


def test_two_recordings_leave_one_to_train_on() -> None:
    assert training_pieces(config({"val_fraction": 0.5}), 20, 2) == 3 * 10
    assert training_pieces(config({"val_fraction": 0.01}), 20, 2) == 3 * 10


def test_one_recording_is_split_by_time() -> None:
    assert training_pieces(config({"augmentation.copies": 0}), 100, 1) == round((90 * 48_000 // 512 + 1) / 94)


def test_the_shortest_recording_gives_a_piece() -> None:
    assert training_pieces(config({"augmentation.copies": 0}), 0.05, 1) == 1
    assert training_pieces(config({"augmentation.copies": 0}), 0.5, 10) == 9


def test_recordings_of_different_lengths_are_counted_one_by_one_as_the_run_does(tmp_path: Path) -> None:
    from distill_engine.audio.preprocessing import preprocess_complex_spectrograms
    from distill_engine.datasets import scan
    from distill_engine.training.dataset import create_complex_data_loaders

    for number, seconds in enumerate((0.6, 0.7, 0.8, 0.9, 12.3)):
        good(tmp_path / "bells" / f"{number}.wav", seed=number, frames=round(48_000 * seconds))
    found = scan(tmp_path / "bells")
    for seed in range(3):
        made = config({"seed": seed, "batch_size": 1, "augmentation.copies": 0, "val_fraction": 0.4})
        corpus = preprocess_complex_spectrograms(found, made, tmp_path / "cache")
        training, _ = create_complex_data_loaders(corpus, made)
        assert estimate_for(made, found).training_pieces == training.pieces_per_epoch
        assert training_pieces(made, found.seconds, 5) != training.pieces_per_epoch


def test_the_last_batch_of_an_epoch_counts_as_a_step() -> None:
    size = estimate(config({"augmentation.copies": 0, "batch_size": 32, "max_epochs": 7}), 1000, 100)
    assert (size.training_pieces, size.steps_per_epoch, size.steps) == (900, 29, 203)


def test_a_cache_holds_every_recording_and_the_copies_of_those_trained_on() -> None:
    without = estimate(config({"augmentation.copies": 0}), HOUR, 60).cache_bytes
    assert without == pytest.approx(HOUR * 48_000 / 512 * 2 * 128 * 2, rel=0.005)
    with_copies = estimate(config({"augmentation.copies": 10}), HOUR, 60).cache_bytes
    assert with_copies == pytest.approx(without * (60 + 54 * 10) / 60, rel=0.001)


def test_a_longer_average_and_more_checkpoints_take_more_disk() -> None:
    few = estimate(config(), HOUR, 60).run_bytes
    assert estimate(config({"ema_decay": 0.0}), HOUR, 60).run_bytes < few
    assert estimate(config({"checkpoint_keep": 4}), HOUR, 60).run_bytes > few
    assert estimate(config({"preview_interval": 1}), HOUR, 60).run_bytes > few
    weights = estimate(config(), HOUR, 60).model_bytes
    assert 3 * 2 * weights < few < 2 * 3 * 4 * weights


def test_memory_grows_with_the_batch_and_the_model() -> None:
    usual = estimate(config(), HOUR, 60).memory_bytes
    assert 500e6 < usual < 1.5e9
    assert estimate(config({"batch_size": 256}), HOUR, 60).memory_bytes > 2 * usual
    assert estimate(config({"latent_dim": 1024}), HOUR, 60).memory_bytes > usual
    assert estimate(config({"ema_decay": 0.0}), HOUR, 60).memory_bytes < usual


def test_settings_and_estimates_load_without_torch() -> None:
    modules = "config, config_file, estimate, presets"
    program = (
        f"import sys; from distill_engine.training import {modules}; presets.preset_config('auto', 60, 9); "
        "sys.exit(bool({'torch', 'numpy', 'tomlkit', 'soundfile'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_run_that_ends_soon_has_fewer_checkpoints_on_disk() -> None:
    made = config({"checkpoint_minutes": 1.0, "checkpoint_interval": 10, "max_epochs": 100})
    whole, minutes, moment = (run_bytes(made, 0, seconds) for seconds in (math.inf, 119.0, 10.0))
    weights = 4 * parameter_count(made)
    assert whole - minutes >= 4 * weights, "one more while it is written"
    assert minutes - moment >= 4 * weights, "the last alone"
