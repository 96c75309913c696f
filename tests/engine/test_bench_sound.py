"""The figures of sound: what each measures, on signals whose answer is known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from distill_engine.bench_sound import frechet_distance, measure, sine, wobble_cents
from distill_engine.errors import DatasetError, UsageError


def test_a_sine_has_no_wobble_and_a_vibrato_has_its_own() -> None:
    assert wobble_cents(sine(440.0), 440.0) < 0.001
    time = torch.arange(96_000, dtype=torch.float64) / 48_000
    depth = 440 * (2 ** (10 / 1200) - 1)
    vibrato = (2 * math.pi * 440 * time - depth / 5 * (2 * math.pi * 5 * time).cos()).sin().float()
    assert wobble_cents(vibrato, 440.0) == pytest.approx(10 / math.sqrt(2), rel=0.05)


def test_the_frechet_distance_is_that_of_the_gaussians() -> None:
    random = torch.Generator().manual_seed(0)
    one = torch.randn(4000, 3, generator=random)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-3)
    assert frechet_distance(one, one + torch.tensor([3.0, 0.0, 4.0])) == pytest.approx(5.0, abs=1e-3)
    assert frechet_distance(one, 2 * one) == pytest.approx(math.sqrt(3), abs=0.05)


def test_a_name_that_no_recording_has_and_a_folder_without_any_to_hold_out_are_told(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal(48_000)
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * noise, 48_000, "PCM_16")
    with pytest.raises(UsageError, match="called c"):
        measure(tmp_path, ["c"], 1.0, lambda _words: None)
    with pytest.raises(DatasetError):
        measure(tmp_path, [], 1.0, lambda _words: None)


def test_all_of_it_is_measured_of_a_model_that_trained_for_a_second(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal(72_000)
    time = np.arange(72_000) / 48_000
    for name, samples in {"hiss": noise, "hum": np.sin(600 * time), "beat": noise * (time % 0.5 < 0.02)}.items():
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * samples, 48_000, "PCM_16")
    said: list[object] = []
    result = measure(tmp_path, ["hum"], 0.02, said.append)
    assert (result.round_trip.recordings, result.training.recordings, result.held_out.recordings) == (3, 2, 1)
    assert result.round_trip.lsd < result.training.lsd < 60, "a model takes away more than the representation does"
    assert set(result.wobble_cents) == {110.0, 440.0, 3000.0}
    assert max(result.wobble_cents.values()) < 0.5
    assert result.steps > 0
    assert result.axes == [], "so short a run isn't analysed"
    assert math.isfinite(result.frechet)
    assert len(said) == 3
    assert "none has a name" in result.in_words()
