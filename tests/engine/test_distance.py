"""The ruler, against what one can work out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from distill_engine.audio.distance import spectral_distance

RATE = 48_000


def noise(samples: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def tone(hertz: float, samples: int = RATE) -> Tensor:
    return (0.5 * (2 * math.pi * hertz * torch.arange(samples, dtype=torch.float64) / RATE).sin()).float()


def by_definition(reference: Tensor, other: Tensor) -> tuple[float, float]:
    """LSD and SC as their definitions read, a frame at a time, in double precision."""
    lsd, sc = [], []
    for window in (512, 1024, 2048, 4096):
        x, y = (frame_by_frame(samples.double().numpy(), window) for samples in (reference, other))
        floor = 1e-4 * x.max()
        apart = 20 * np.log10(np.maximum(x, floor) / np.maximum(y, floor))
        audible = [row for row, frame in zip(apart, x, strict=True) if frame.max() > 3 * floor]
        lsd.append(np.mean([np.sqrt(np.mean(row**2)) for row in audible]))
        sc.append(np.sqrt(((x - y) ** 2).sum() / (x**2).sum()))
    return float(np.mean(lsd)), float(np.mean(sc))


def frame_by_frame(samples: np.ndarray, window: int) -> np.ndarray:
    hop = window // 4
    padded = np.concatenate([np.zeros(window // 2), samples, np.zeros(window // 2 + hop)])
    shape = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    starts = range(0, padded.size - window + 1, hop)
    return np.stack([np.abs(np.fft.rfft(shape * padded[start : start + window])) for start in starts])


def test_a_recording_is_at_no_distance_from_itself() -> None:
    distance = spectral_distance(noise(RATE), noise(RATE))
    assert (distance.lsd, distance.sc, distance.band) == (0.0, 0.0, 0.0)


def test_half_the_level_is_six_decibels_and_half_the_spectrum() -> None:
    distance = spectral_distance(noise(RATE), 0.5 * noise(RATE))
    six = 20 * math.log10(2)
    assert distance.lsd == pytest.approx(six, abs=0.01)
    assert distance.sc == pytest.approx(0.5, abs=1e-4)
    assert distance.band == pytest.approx(six, abs=0.01)


def test_silence_has_lost_the_whole_spectrum() -> None:
    assert spectral_distance(noise(RATE), torch.zeros(RATE)).sc == pytest.approx(1.0)


def test_figures_are_those_of_the_definition() -> None:
    for reference, other in [(tone(440), tone(445)), (noise(20_000), noise(20_000, seed=1)), (tone(440), noise(RATE))]:
        distance = spectral_distance(reference, other)
        lsd, sc = by_definition(reference, other)
        assert distance.lsd == pytest.approx(lsd, abs=0.01)
        assert distance.sc == pytest.approx(sc, abs=1e-3)


def test_two_takes_of_one_noise_are_far_apart_but_for_bands() -> None:
    distance = spectral_distance(noise(3 * RATE), noise(3 * RATE, seed=1))
    assert distance.lsd == pytest.approx(7.9, abs=0.2)
    assert distance.sc == pytest.approx(0.66, abs=0.03)
    assert distance.band == pytest.approx(2.5, abs=0.3)


def test_the_other_is_cut_or_padded_to_the_reference() -> None:
    reference = noise(RATE)
    assert spectral_distance(reference, torch.cat([reference, noise(5000)])).lsd == 0.0
    short = spectral_distance(reference, reference[: RATE // 2])
    padded = spectral_distance(reference, torch.cat([reference[: RATE // 2], torch.zeros(RATE // 2)]))
    assert short == padded


def test_silence_around_a_sound_is_left_out() -> None:
    silence = torch.zeros(RATE)
    alone = spectral_distance(noise(RATE), 0.5 * noise(RATE))
    within = spectral_distance(torch.cat([noise(RATE), silence]), torch.cat([0.5 * noise(RATE), silence]))
    assert within.lsd == pytest.approx(alone.lsd, abs=0.05)


def test_a_silent_reference_is_refused() -> None:
    with pytest.raises(ValueError, match="silent"):
        spectral_distance(torch.zeros(RATE), noise(RATE))
    with pytest.raises(ValueError, match="silent"):
        spectral_distance(torch.zeros(0), noise(RATE))


def test_what_is_not_finite_or_not_mono_is_refused() -> None:
    broken = noise(RATE)
    broken[5] = math.nan
    for pair in [(broken, noise(RATE)), (noise(RATE), broken)]:
        with pytest.raises(ValueError, match="finite"):
            spectral_distance(*pair)
    with pytest.raises(ValueError, match="mono"):
        spectral_distance(noise(RATE)[None], noise(RATE))


def test_the_shortest_of_recordings_can_be_measured() -> None:
    assert spectral_distance(noise(10), 0.5 * noise(10)).sc == pytest.approx(0.5, abs=1e-3)
