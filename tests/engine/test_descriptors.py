"""What is measured of a sound is what it is known to be: of sines, noise, beats and fades."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from distill_engine.audio.descriptors import MEASURES, QUIETEST, Descriptors, describe

RATE = 48_000
TIME = torch.arange(RATE) / RATE


def sine(hertz: float, amplitude: float = 0.3) -> Tensor:
    return amplitude * torch.sin(2 * math.pi * hertz * TIME)


def noise() -> Tensor:
    return 0.1 * torch.randn(RATE, generator=torch.Generator().manual_seed(0))


def measured(waveform: Tensor) -> Descriptors:
    return describe(waveform, RATE)


def test_a_sine_is_as_bright_and_as_high_as_its_frequency() -> None:
    for hertz in (220.0, 1000.0, 3000.0):
        found = measured(sine(hertz))
        assert found.brightness == pytest.approx(hertz, rel=0.03)
        assert found.roll_off == pytest.approx(hertz, rel=0.1)
        assert found.pitch == pytest.approx(math.log2(hertz), abs=0.01)


def test_white_noise_is_as_noisy_as_can_be_and_has_no_pitch() -> None:
    found = measured(noise())
    assert found.noisiness == pytest.approx(1.0, abs=0.1)
    assert math.isnan(found.pitch)
    assert found.brightness == pytest.approx(RATE / 4, rel=0.02)
    assert measured(sine(440)).noisiness < 0.05


def test_loudness_is_that_of_the_standard() -> None:
    assert measured(sine(997, 1.0)).loudness == pytest.approx(-3.01, abs=0.1)
    assert measured(sine(997, 0.1)).loudness == pytest.approx(-23.01, abs=0.1)


def test_beating_partials_are_rough_and_an_octave_is_not() -> None:
    rough = measured(sine(440) + sine(480))
    assert rough.roughness > 100 * measured(sine(440) + sine(880)).roughness
    assert measured(0.1 * (sine(440) + sine(480))).roughness == pytest.approx(rough.roughness, rel=1e-3)


def test_a_sound_that_swells_has_the_attack_it_swells_with() -> None:
    for seconds in (0.1, 0.4):
        swelling = sine(440) * (TIME / seconds).clamp(max=1)
        assert 10 ** measured(swelling).attack == pytest.approx(0.7 * seconds, rel=0.15)
    struck = sine(440) * torch.exp(-5 * TIME)
    assert 10 ** measured(struck).attack < 0.01


def test_silence_around_a_sound_changes_little() -> None:
    faded = (sine(440) + 0.5 * noise()) * (20 * TIME).clamp(max=1) * (20 - 20 * TIME).clamp(max=1)
    alone = measured(faded)
    within = measured(torch.nn.functional.pad(faded, (RATE, RATE)))
    for name in ("brightness", "roll_off", "noisiness", "roughness", "pitch"):
        assert getattr(within, name) == pytest.approx(getattr(alone, name), rel=0.06), name


def test_silence_is_quiet_and_has_nothing_else() -> None:
    found = dict(zip(MEASURES, measured(torch.zeros(100)).values(), strict=True))
    assert found.pop("loudness") == QUIETEST
    assert all(math.isnan(value) for value in found.values())
